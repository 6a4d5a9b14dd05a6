"""The charts on a real API server: accepted, admitted under the restricted standard, usable, and gone again."""

import json
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.kernel.errors import NotFound
from controlplane.plumbing.cluster import ClusterRefused, Clusters
from operators.lib.access import load_access
from operators.lib.client import KubernetesClient
from tests.fixtures.kubernetes import KubernetesApi
from tests.operators.chart.charts import (
    CASES,
    CHARTS,
    NAMES,
    RELEASE,
    REQUIRED,
    Helm,
    Object,
    Values,
    values_of,
    workloads,
)
from tests.operators.harness import (
    create_pool,
    delete_pool,
    pool_manifest,
    running,
    scale,
    settings_for,
    until_ready,
)

DEADLINE_S = 60.0
POLL_S = 0.2
CLUSTER_WIDE = "clusterrole,clusterrolebinding"
# What an upgrade changes: three of something.
MORE: dict[str, Values] = {
    "operators": {"replicas": 3},
    "controlplane": {"api": {"replicas": 3}},
    "gateway": {"replicas": 3, "drainSeconds": 30},
}


def until(check: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE_S
    while not (value := check()):
        assert time.monotonic() < end, f"not within {DEADLINE_S:.0f} s: {what}"
        time.sleep(POLL_S)
    return value


@pytest.fixture(scope="module", autouse=True)
def prometheus_kinds(kubernetes_api: KubernetesApi) -> Iterator[None]:
    """The Prometheus operator's two kinds by name, with any content: its schemas are not ours to test."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    definitions = []
    for kind, plural in (("PodMonitor", "podmonitors"), ("PrometheusRule", "prometheusrules")):
        schema = {"type": "object", "properties": {"spec": anything}}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
        definitions.append(
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{plural}.monitoring.coreos.com"},
                "spec": {
                    "group": "monitoring.coreos.com",
                    "scope": "Namespaced",
                    "names": names,
                    "versions": [version],
                },
            }
        )
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": definitions})
    kubernetes_api.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    kubernetes_api.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    yield
    kubernetes_api.kubectl("delete", "--wait=false", "-f", "-", stdin=text)


@pytest.fixture(scope="module")
def emptied(kubernetes_api: KubernetesApi) -> Iterator[list[str]]:
    """Namespaces that tests gave back; in the end each must be gone, with all that was in it."""
    names: list[str] = []
    yield names
    kubernetes_api.kubectl("delete", "namespace", *names, "--ignore-not-found", "--timeout=50s")


@pytest.fixture
def namespace(
    kubernetes_api: KubernetesApi, emptied: list[str], request: pytest.FixtureRequest
) -> Iterator[str]:
    """A fresh namespace that admits only pods of the restricted standard."""
    name = f"chart-{zlib.crc32(request.node.nodeid.encode()):08x}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    kubernetes_api.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    try:
        yield name
    finally:
        kubernetes_api.kubectl("delete", "namespace", name, "--wait=false")
        emptied.append(name)


def items(api: KubernetesApi, kinds: str, namespace: str, selector: str = "") -> list[Object]:
    found = api.kubectl("get", kinds, "-n", namespace, "-o", "json", f"--selector={selector}")
    listed: list[Object] = json.loads(found)["items"]
    return listed


def wanted_pods(objects: list[Object]) -> dict[str, int]:
    """How many pods each workload of the chart makes."""
    return {each["metadata"]["name"]: each["spec"].get("replicas", 1) for each in workloads(objects).values()}


def admitted_pods(api: KubernetesApi, namespace: str, names: set[str]) -> dict[str, int]:
    """How many pods stand for each workload: a pod that admission refused is in no list."""
    found = dict.fromkeys(names, 0)
    for pod in items(api, "pods", namespace):
        matching = [name for name in names if pod["metadata"]["name"].startswith(f"{name}-")]
        found[max(matching, key=len)] += 1
    return found


@pytest.mark.parametrize(("chart", "kind"), CASES)
def test_a_chart_is_accepted_its_pods_are_admitted_and_nothing_stays(
    helm: Helm, kubernetes_api: KubernetesApi, namespace: str, chart: str, kind: str
) -> None:
    text = helm.template(chart, values_of(chart, kind), namespace)
    objects = helm.objects(chart, values_of(chart, kind), namespace)
    before = kubernetes_api.kubectl("get", CLUSTER_WIDE, "-o", "name")
    apply = ("apply", "--server-side", "--validate=strict", "-n", namespace, "-f", "-")
    dry = kubernetes_api.kubectl(*apply, "--dry-run=server", stdin=text)
    assert dry.count("serverside-applied (server dry run)") == len(objects)
    assert kubernetes_api.kubectl("get", CLUSTER_WIDE, "-o", "name") == before
    try:
        applied = kubernetes_api.kubectl(*apply, stdin=text)
        assert applied.count("serverside-applied") == len(objects)
        wanted = wanted_pods(objects)
        until(lambda: admitted_pods(kubernetes_api, namespace, set(wanted)) == wanted, f"pods {wanted}")
        again = kubernetes_api.kubectl(*apply, "--dry-run=server", stdin=text)
        assert again == dry
    finally:
        kubernetes_api.kubectl("delete", "-n", namespace, "--ignore-not-found", "-f", "-", stdin=text)
    assert kubernetes_api.kubectl("get", CLUSTER_WIDE, "-o", "name") == before
    until(lambda: not items(kubernetes_api, "pods", namespace), "the pods gone")


@pytest.mark.parametrize("chart", NAMES)
def test_helm_installs_upgrades_and_uninstalls(
    helm: Helm, kubernetes_api: KubernetesApi, namespace: str, chart: str
) -> None:
    # The hooks' Jobs would wait for a database that is not there; the test above has applied them.
    common = (f"--kubeconfig={kubernetes_api.kubeconfig}", f"--namespace={namespace}", "--no-hooks")
    before = kubernetes_api.kubectl("get", CLUSTER_WIDE, "-o", "name")
    path, selector = str(CHARTS / chart), f"app.kubernetes.io/instance={RELEASE}"
    installed = helm.run("install", RELEASE, path, *common, values=REQUIRED[chart])
    assert installed.returncode == 0, installed.stderr
    assert f"in {namespace}" in installed.stdout, "the notes say where it is"
    upgraded = helm.run("upgrade", RELEASE, path, *common, values=REQUIRED[chart] | MORE[chart])
    assert upgraded.returncode == 0, upgraded.stderr
    sets = items(kubernetes_api, "deployments,statefulsets", namespace, selector)
    assert 3 in {each["spec"]["replicas"] for each in sets}
    gone = helm.run("uninstall", RELEASE, *common)
    assert gone.returncode == 0, gone.stderr
    assert not items(kubernetes_api, "deployments,statefulsets,services,networkpolicies", namespace, selector)
    assert kubernetes_api.kubectl("get", CLUSTER_WIDE, "-o", "name") == before


@pytest.fixture
def install(helm: Helm, kubernetes_api: KubernetesApi, namespace: str) -> Iterator[Callable[[str], None]]:
    """Installs charts with what is required; they are gone after the test."""
    common = (f"--kubeconfig={kubernetes_api.kubeconfig}", f"--namespace={namespace}", "--no-hooks")
    releases: list[str] = []

    def run(chart: str) -> None:
        done = helm.run("install", RELEASE, str(CHARTS / chart), *common, values=REQUIRED[chart])
        assert done.returncode == 0, done.stderr
        releases.append(RELEASE)

    yield run
    for release in releases:
        helm.run("uninstall", release, *common)


def kubeconfig_of(api: KubernetesApi, namespace: str, account: str, folder: Path) -> Path:
    """A kubeconfig with the short-lived token that a pod of this account would have."""
    config: dict[str, Any] = json.loads(api.kubeconfig.read_text(encoding="utf-8"))
    token = api.kubectl("create", "token", account, "-n", namespace, "--duration=10m").strip()
    config["users"] = [{"name": account, "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = account
    path = folder / account
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


async def test_the_installed_operators_make_a_pool_and_give_it_back(
    install: Callable[[str], None], kubernetes_api: KubernetesApi, namespace: str, tmp_path: Path
) -> None:
    install("operators")
    account = kubeconfig_of(kubernetes_api, namespace, f"{RELEASE}-operators", tmp_path)
    settings = settings_for(
        account, tmp_path, is_leader_election_on=True, namespace=namespace, system_namespace=namespace
    )
    async with KubernetesClient(load_access(str(kubernetes_api.kubeconfig))) as admin, running(settings):
        pool = await create_pool(admin, pool_manifest("charted", 2))
        await until_ready(admin, pool, 2)
        await scale(admin, pool, 1)
        await until_ready(admin, pool, 1)
        await delete_pool(admin, pool)
    (lease,) = items(kubernetes_api, "leases", namespace)
    assert lease["metadata"]["name"] == "rempart-operators"


def until_refused(api: KubernetesApi, user: str, manifest: Object) -> None:
    """Wait until admission refuses it: a policy is in force a moment after it was installed."""
    dry = ("apply", "--server-side", "--dry-run=server", f"--as={user}", "-f", "-")

    def is_refused() -> bool:
        told = api.try_kubectl(*dry, stdin=json.dumps(manifest))
        return told.returncode != 0 and "denied request" in told.stderr

    until(is_refused, f"the policy refuses {user}")


def test_the_installed_control_plane_may_do_its_work_and_read_no_secret(
    install: Callable[[str], None], kubernetes_api: KubernetesApi, namespace: str, tmp_path: Path
) -> None:
    install("controlplane")

    def cell_of(program: str) -> Clusters:
        return Clusters(kubeconfig_of(kubernetes_api, namespace, f"{RELEASE}-{program}", tmp_path))

    worker, watcher, api = cell_of("worker"), cell_of("watcher"), cell_of("api")
    project = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"rmp-{namespace}"}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "chat-env", "namespace": f"rmp-{namespace}"},
        "stringData": {"TOKEN": "x"},
    }
    pool = pool_manifest(f"{namespace}-pool", 0)
    try:
        for manifest in (project, secret, pool, pool):
            worker.apply(manifest)
        names = {each["metadata"]["name"] for each in watcher.list_all("GPUNodePool")[0]}
        assert f"{namespace}-pool" in names
        for kind in ("NodeClaim", "InferenceDeployment"):
            watcher.list_all(kind)
        assert worker.find("InferenceDeployment", f"rmp-{namespace}", "none") is None
        with pytest.raises(NotFound):
            api.read_log(f"rmp-{namespace}", "none", tail_lines=1)
        for program in (worker, watcher, api):
            with pytest.raises(ClusterRefused, match="cannot get resource"):
                program.find("Secret", f"rmp-{namespace}", "chat-env")
        with pytest.raises(ClusterRefused, match="cannot patch resource"):
            watcher.apply(pool)
        for other in ("kube-system", namespace):
            taken = {**secret, "metadata": {"name": "taken-over", "namespace": other}}
            until_refused(kubernetes_api, f"system:serviceaccount:{namespace}:{RELEASE}-worker", taken)
            with pytest.raises(ClusterRefused, match="projects' namespaces"):
                worker.apply(taken)
        with pytest.raises(ClusterRefused, match="cannot list resource"):
            api.list_all("GPUNodePool")
        worker.delete("Secret", f"rmp-{namespace}", "chat-env")
        worker.delete("GPUNodePool", None, f"{namespace}-pool")
        worker.delete("InferenceDeployment", f"rmp-{namespace}", "none")
    finally:
        kubernetes_api.kubectl("delete", "gnp", f"{namespace}-pool", "--ignore-not-found")
        kubernetes_api.kubectl("delete", "namespace", f"rmp-{namespace}", "--ignore-not-found")
