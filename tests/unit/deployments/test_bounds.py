"""What the API accepts, every later layer accepts: gateway, Envoy's numbers, custom resource, operators."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from controlplane.capacity.domain import NodePool, PoolState, ProviderKind
from controlplane.capacity.manifest import build_node_pool
from controlplane.capacity.schemas import NodePoolIn
from controlplane.deployments.definition_rules import dump_plan, load_plan
from controlplane.deployments.definition_schemas import DefinitionIn, to_definition
from controlplane.deployments.domain import Definition, RouteState
from controlplane.deployments.manifest import EngineChoice, build_manifests
from controlplane.deployments.routing_rules import Routed, build_snapshot
from controlplane.gateway.envoy_clusters import build_clusters
from controlplane.gateway.envoy_routes import build_routes
from controlplane.gateway.refusal_rules import not_admissible
from controlplane.gateway.route_rules import decide_routes
from controlplane.gateway.snapshot_rules import parse_routing
from controlplane.kernel import bounds
from controlplane.kernel.ids import NodePoolId
from operators.apis.v1alpha1 import CustomResource, GPUNodePool, InferenceDeployment
from operators.inference.replica_rules import PodToCreate
from operators.inference.resources import PodStamps, build_pod
from operators.inference.scaling_rules import ScalingLimits
from operators.lib.crdgen import definition as crd
from tests.fixtures.schema_bodies import bodies, leaves, longest_text, put
from tests.unit.deployments.parts import NOW, deployment, fixed, part, service
from tests.unit.gateway.values import CONFIG, route_item, routing

SCHEMA = DefinitionIn.model_json_schema()
POOL_SCHEMA = NodePoolIn.model_json_schema()
SMALLEST = {"name": "a", "inference": {"model": "m"}}
ENGINE = EngineChoice("m", "u:m", "sha256:" + "a" * 64, "Apache-2.0", "llama-cpp", "image:1", ())
ENVOY_NUMBER_MAX = 2**32 - 1
ENVOY_BODY_BYTES_MAX = 8192
# The longest that each row of the platform's own can be, so that what a tenant sends meets the worst neighbours.
WIDE = replace(
    part().placement,
    pool_name="p" * 50,
    datacenter="d" * 40,
    cell="c" * 40,
    operator="é" * bounds.ENTITY_NAME_LENGTH,
    accelerator_sku="g" * 63,
    gpus_per_replica=bounds.GPUS.most,
    cpu_milli=bounds.CPU_MILLI.most,
    memory_mib=bounds.MEMORY_MIB.most,
)


def structural_schema(kind: type[CustomResource]) -> dict[str, Any]:
    """What the API server checks of an object, its CEL rules aside: those run in tests/operators/chart."""
    schema: dict[str, Any] = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


CRD = jsonschema_rs.validator_for(structural_schema(InferenceDeployment))
POOL_CRD = jsonschema_rs.validator_for(structural_schema(GPUNodePool))


def carry(accepted: Definition) -> None:
    """Take a definition that the API accepted through every layer; each asserts or raises where it refuses."""
    accepted = load_plan(json.loads(json.dumps(dump_plan(accepted))))
    placed = part(
        service_name=accepted.name,
        object_name=f"{accepted.name}-12345678",
        placement=WIDE,
        replicas_min=accepted.replicas_min,
        replicas_max=accepted.replicas_max,
        route_state=RouteState.ACTIVE,
    )
    _route(accepted, placed)
    _run(accepted, placed)


def _route(accepted: Definition, placed: Any) -> None:
    named = service(name=accepted.name, host=f"{accepted.name}-12345678.rempart.localhost")
    snapshot = build_snapshot(1, NOW, [Routed(named, placed, accepted)])
    table = decide_routes(parse_routing(json.loads(json.dumps(snapshot))))
    assert len(table.by_model) == len(table.by_host) == 1
    for number in _numbers([build_routes(CONFIG, table), build_clusters(CONFIG, table.clusters)]):
        assert 0 <= number <= ENVOY_NUMBER_MAX


def _run(accepted: Definition, placed: Any) -> None:
    manifests = build_manifests(placed, accepted, ENGINE, dict.fromkeys(accepted.secret_names, "v"))
    for manifest in manifests:
        assert len(manifest["metadata"]["name"]) <= 63
    wire = json.loads(json.dumps(manifests[-1]))
    CRD.validate(wire)
    wire["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    resource = InferenceDeployment.model_validate(wire)
    spec = resource.spec
    ScalingLimits(
        spec.replicas.min,
        spec.replicas.max,
        spec.scaling.concurrency_per_replica,
        spec.scaling.idle_seconds,
    )
    pod = build_pod(resource, PodToCreate(bounds.REPLICAS.most - 1, 99, 0), PodStamps(NOW, NOW))
    assert len(pod["metadata"]["name"]) <= 63
    for value in pod["metadata"]["labels"].values():
        assert len(value) <= 63


def _numbers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [number for child in value.values() for number in _numbers(child)]
    if isinstance(value, list):
        return [number for child in value for number in _numbers(child)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []


def read(body: dict[str, Any]) -> Definition | None:
    """The definition as the API reads it, None when it refuses the body."""
    try:
        return to_definition(DefinitionIn.model_validate(body))
    except ValidationError:
        return None


@pytest.mark.case("X1")
class TestDefinition:
    @settings(max_examples=300)
    @given(bodies(SCHEMA))
    def test_whatever_the_api_accepts_every_later_layer_accepts(self, body: dict[str, Any]) -> None:
        accepted = read(body)
        if accepted is not None:
            carry(accepted)

    @pytest.mark.parametrize(
        ("path", "schema"),
        list(leaves(SCHEMA, SCHEMA)),
        ids=lambda each: str(each) if isinstance(each, tuple) else "",
    )
    def test_each_field_at_its_bound_passes_and_beyond_it_is_refused_at_the_api(
        self, path: tuple[str | int, ...], schema: dict[str, Any]
    ) -> None:
        if schema["type"] == "integer":
            at_bound, beyond = (
                [schema["minimum"], schema["maximum"]],
                [schema["minimum"] - 1, schema["maximum"] + 1],
            )
        else:
            at_bound, beyond = [longest_text(schema)], [longest_text(schema, beyond=1)]
        for value in at_bound:
            accepted = read(_beside(path, put(SMALLEST, path, value)))
            if path[0] != "sovereignty":
                assert accepted is not None, f"{path} = {value!r} is within its bound and refused"
            if accepted is not None:
                carry(accepted)
        for value in beyond:
            assert read(_beside(path, put(SMALLEST, path, value))) is None

    def test_everything_at_its_bound_at_once_passes(self) -> None:
        accepted = read(largest_body())
        assert accepted is not None
        carry(accepted)

    def test_sum_of_the_environment_is_bounded_besides_each_variable(self) -> None:
        accepted = read({**SMALLEST, "env": full_environment()})
        assert accepted is not None
        carry(accepted)
        full = full_environment()
        full[0]["value"] += "v"
        assert read({**SMALLEST, "env": full}) is None

    def test_sum_counts_bytes_and_not_characters(self) -> None:
        wide = [{"key": f"APP_{index}", "value": "é" * 8_000} for index in range(3)]
        assert read({**SMALLEST, "env": wide}) is None

    def test_each_field_that_is_a_number_or_a_text_has_a_bound(self) -> None:
        for path, schema in leaves(SCHEMA, SCHEMA):
            if schema["type"] == "integer":
                assert {"minimum", "maximum"} <= set(schema), path
            else:
                assert "maxLength" in schema or "{0," in schema.get("pattern", ""), path


@pytest.mark.case("X1")
class TestVerdict:
    @pytest.mark.parametrize("character", ["a", '"', "\\", "\n", "é", "€", "🏰"])
    def test_refusal_of_a_long_reason_fits_envoys_bound_in_any_script(self, character: str) -> None:
        body = not_admissible(character * bounds.VERDICT_REASON_LENGTH).body
        assert len(body.encode()) <= ENVOY_BODY_BYTES_MAX
        assert json.loads(body)["error"]["code"] == "jurisdiction_not_admissible"


@pytest.mark.case("X1")
class TestNodePool:
    @settings(max_examples=200)
    @given(bodies(POOL_SCHEMA))
    def test_whatever_pool_the_api_accepts_its_cell_accepts(self, body: dict[str, Any]) -> None:
        try:
            wire = NodePoolIn.model_validate(body)
        except ValidationError:
            return
        _carry_pool(wire)

    @pytest.mark.parametrize("provider", list(ProviderKind))
    def test_nodes_at_the_bound_pass_and_one_more_is_refused_for_each_provider(
        self, provider: ProviderKind
    ) -> None:
        most = bounds.PROCESS_POOL_NODES.most if provider is ProviderKind.PROCESS else bounds.POOL_NODES.most
        body = {
            "name": "p" * 50, "datacenter": "d" * 40, "cell": "c" * 40, "provider": provider.value,
            "instance_type": "i" * 63, "cpu_milli": bounds.CPU_MILLI.most, "memory_mib": bounds.MEMORY_MIB.most,
            "watts_per_node": 1,
        }  # fmt: skip
        _carry_pool(NodePoolIn.model_validate({**body, "replicas": most}))
        with pytest.raises(ValidationError):
            NodePoolIn.model_validate({**body, "replicas": most + 1})


def _carry_pool(wire: NodePoolIn) -> None:
    pool = NodePool(
        id=NodePoolId(fixed(1)), name=wire.name, datacenter_code=wire.datacenter, country="FR",
        cell_name=wire.cell, provider=wire.provider, instance_type=wire.instance_type,
        accelerator_sku=None if wire.accelerator is None else wire.accelerator.sku,
        gpus_per_node=0 if wire.accelerator is None else wire.accelerator.count,
        cpu_milli_per_node=wire.cpu_milli, memory_mib_per_node=wire.memory_mib, watts_per_node=wire.watts_per_node,
        replicas=wire.replicas, ready_nodes=0, gpus_reserved=0, cpu_milli_reserved=0,
        memory_mib_reserved=0, state=PoolState.ACTIVE, message="", created_at=NOW,
        version=1,
    )  # fmt: skip
    manifest = json.loads(json.dumps(build_node_pool(pool)))
    POOL_CRD.validate(manifest)
    if wire.provider is ProviderKind.PROCESS:
        assert manifest["spec"]["replicas"] <= bounds.PROCESS_POOL_NODES.most


def _beside(path: tuple[str | int, ...], body: dict[str, Any]) -> dict[str, Any]:
    """Fill in what the rules between fields ask for, so that the field's own bound decides."""
    if path[:2] == ("scalings", 0) and path[-1] == "min" and isinstance(body["scalings"][0]["min"], int):
        body["scalings"][0]["max"] = min(max(1, body["scalings"][0]["min"]), bounds.REPLICAS.most)
    if path[0] == "env":
        variable = body["env"][0]
        variable.setdefault("key", "A")
        if "secret" not in variable:
            variable.setdefault("value", "")
    return body


def full_environment() -> list[dict[str, str]]:
    """As many variables as may be, with names as long as may be, and together exactly as large as they may be."""
    names = [f"{index:02d}".rjust(bounds.ENV_KEY_LENGTH, "A") for index in range(bounds.ENV_VARIABLES)]
    left = bounds.ENV_BYTES - bounds.ENV_VARIABLES * bounds.ENV_KEY_LENGTH
    made = []
    for name in names:
        value = "v" * min(left, bounds.ENV_VALUE_LENGTH - 1)
        left -= len(value)
        made.append({"key": name, "value": value})
    assert left == 0
    return made


def largest_body() -> dict[str, Any]:
    """A definition with every field at its upper bound."""
    body: dict[str, Any] = {}
    for path, schema in leaves(SCHEMA, SCHEMA):
        if path[0] not in ("sovereignty", "env"):
            value = schema["maximum"] if schema["type"] == "integer" else longest_text(schema)
            body = put(body, path, value)
    # A target has one key: one entry for each.
    target = body["scalings"][0]["targets"][0]
    body["scalings"][0]["targets"] = [{key: value} for key, value in target.items()]
    return {**body, "env": full_environment()}


def test_deployment_helper_has_the_plan_that_is_carried() -> None:
    assert deployment().plan.replicas_max in bounds.REPLICAS


@pytest.mark.case("X1")
@pytest.mark.parametrize(
    ("path", "most"),
    [
        (("max",), bounds.REPLICAS.most),
        (("concurrency_per_replica",), bounds.CONCURRENCY.most),
        (("queue", "max_requests"), bounds.QUEUE_REQUESTS.most),
        (("queue", "max_bytes"), bounds.QUEUE_BYTES.most),
        (("queue", "max_age_s"), bounds.QUEUE_SECONDS.most),
        (("first_byte_timeout_s",), bounds.FIRST_BYTE_SECONDS.most),
    ],
)
def test_gateway_takes_a_number_beyond_the_bound_as_the_bound(path: tuple[str, ...], most: int) -> None:
    for number in (most, most + 1, 2**40):
        table = decide_routes(parse_routing(routing(put(route_item(1), path, number))))
        [route] = table.clusters
        read_back = {
            "max": route.replicas_max, "concurrency_per_replica": route.concurrency_per_replica,
            "max_requests": route.queue.requests_max, "max_bytes": route.queue.bytes_max,
            "max_age_s": route.queue.age_seconds_max, "first_byte_timeout_s": route.first_byte_seconds_max,
        }  # fmt: skip
        assert read_back[path[-1]] == most
        for found in _numbers([build_routes(CONFIG, table), build_clusters(CONFIG, table.clusters)]):
            assert 0 <= found <= ENVOY_NUMBER_MAX
