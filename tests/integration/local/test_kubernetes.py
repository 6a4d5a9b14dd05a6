"""The local cluster is Kubernetes: it boots, refuses who must be refused, schedules and runs."""

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures.kubernetes import KubernetesApi

WAIT_SECONDS_MAX = 60.0
POLL_SECONDS = 0.2
NODES = 20
GPUS_PER_NODE = 8


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not is_so():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS_MAX:.0f} s: {what}"
        time.sleep(POLL_SECONDS)


def fake_node(name: str) -> dict[str, object]:
    resources = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": str(GPUS_PER_NODE)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"test": "local-stack", "rempart.eu/simulated": "true"},
        },
        "spec": {"taints": [{"key": "rempart.eu/simulated", "value": "true", "effect": "NoSchedule"}]},
        "status": {"capacity": resources, "allocatable": resources},
    }


def gpu_pod(name: str, labels: dict[str, str] | None = None) -> dict[str, object]:
    gpus = {"nvidia.com/gpu": str(GPUS_PER_NODE)}
    engine = {"name": "engine", "image": "simulated", "resources": {"limits": gpus, "requests": gpus}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "local-stack", "labels": labels or {}},
        "spec": {
            "nodeSelector": {"test": "local-stack"},
            "tolerations": [{"key": "rempart.eu/simulated", "operator": "Exists"}],
            "containers": [engine],
        },
    }


def as_list(items: list[dict[str, object]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


@pytest.fixture(scope="module")
def namespace(kubernetes_api: KubernetesApi) -> Iterator[str]:
    kubernetes_api.kubectl("create", "namespace", "local-stack")
    wait_until(
        lambda: (
            kubernetes_api.try_kubectl("-n", "local-stack", "get", "serviceaccount", "default").returncode
            == 0
        ),
        "the controller manager makes the namespace's service account",
    )
    yield "local-stack"
    kubernetes_api.kubectl("delete", "namespace", "local-stack", "--wait=false")


class TestServer:
    def test_the_api_server_is_the_pinned_kubernetes(self, kubernetes_api: KubernetesApi) -> None:
        version = json.loads(kubernetes_api.kubectl("version", "-o", "json"))
        assert version["serverVersion"]["gitVersion"] == "v1.36.3"
        assert kubernetes_api.kubectl("get", "--raw", "/readyz") == "ok"

    def test_nobody_unknown_gets_past_the_door(self, kubernetes_api: KubernetesApi) -> None:
        config = json.loads(kubernetes_api.kubeconfig.read_text(encoding="utf-8"))
        server = config["clusters"][0]["cluster"]["server"]
        context = ssl.create_default_context(cafile=str(kubernetes_api.root / "pki" / "ca.crt"))
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server}/api/v1/namespaces", context=context, timeout=10)
        assert refused.value.code == 401

    def test_the_store_refuses_a_client_of_the_cluster(self, kubernetes_api: KubernetesApi) -> None:
        ports = json.loads((kubernetes_api.root / "ports.json").read_text(encoding="utf-8"))
        keys = kubernetes_api.root / "pki"
        context = ssl.create_default_context(cafile=str(keys / "etcd" / "ca.crt"))
        url = f"https://127.0.0.1:{ports['etcd']}/version"
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            urllib.request.urlopen(url, context=context, timeout=10)
        context.load_cert_chain(str(keys / "client-admin.crt"), str(keys / "client-admin.key"))
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            urllib.request.urlopen(url, context=context, timeout=10)
        allowed = ssl.create_default_context(cafile=str(keys / "etcd" / "ca.crt"))
        allowed.load_cert_chain(str(keys / "etcd" / "client.crt"), str(keys / "etcd" / "client.key"))
        with urllib.request.urlopen(url, context=allowed, timeout=10) as answer:
            assert json.load(answer)["etcdserver"] == "3.6.5"

    def test_secrets_are_encrypted_in_the_store(self, kubernetes_api: KubernetesApi, namespace: str) -> None:
        mark = "a-value-to-look-for-on-disk"
        kubernetes_api.kubectl(
            "-n", namespace, "create", "secret", "generic", "s", f"--from-literal=k={mark}"
        )
        kubernetes_api.kubectl("-n", namespace, "create", "configmap", "c", f"--from-literal=k=plain-{mark}")
        data = b"".join(
            path.read_bytes() for path in (kubernetes_api.root / "etcd").rglob("*") if path.is_file()
        )
        assert f"plain-{mark}".encode() in data
        assert data.count(mark.encode()) == data.count(f"plain-{mark}".encode())


REFUSED = [
    ("rempart-operators", "get secrets -n local-stack"),
    ("rempart-operators", "create gpunodepools.rempart.eu"),
    ("rempart-operators", "create namespaces"),
    ("rempart-controlplane", "update inferencedeployments.rempart.eu/status -n local-stack"),
    ("rempart-controlplane", "create pods -n local-stack"),
    ("rempart-controlplane", "delete nodes"),
    ("kwok", "get secrets -n local-stack"),
    ("kwok", "create nodes"),
    ("process-node", "create pods -n local-stack"),
    ("process-node", "list secrets -n local-stack"),
    ("kube-scheduler", "create namespaces"),
    ("kube-controller-manager", "create clusterrolebindings"),
]
ALLOWED = [
    ("rempart-operators", "patch inferencedeployments.rempart.eu/status -n local-stack"),
    ("rempart-operators", "create nodeclaims.rempart.eu"),
    ("rempart-operators", "create pods -n local-stack"),
    ("rempart-controlplane", "patch inferencedeployments.rempart.eu -n local-stack"),
    ("rempart-controlplane", "create secrets -n local-stack"),
    ("rempart-controlplane", "get pods/log -n local-stack"),
    ("kwok", "patch pods/status -n local-stack"),
    ("process-node", "create nodes"),
    ("admin", "create clusterrolebindings"),
]


def ask_access(api: KubernetesApi, identity: str, question: str) -> str:
    verb, resource, *rest = question.split()
    resource, _, subresource = resource.partition("/")
    extra = [f"--subresource={subresource}"] if subresource else []
    return api.try_kubectl("auth", "can-i", verb, resource, *extra, *rest, identity=identity).stdout.strip()


class TestRoles:
    @pytest.mark.parametrize(("identity", "question"), REFUSED)
    def test_each_identity_has_only_its_own_rights(
        self, kubernetes_api: KubernetesApi, identity: str, question: str
    ) -> None:
        assert ask_access(kubernetes_api, identity, question) == "no"

    @pytest.mark.parametrize(("identity", "question"), ALLOWED)
    def test_each_identity_can_do_its_work(
        self, kubernetes_api: KubernetesApi, identity: str, question: str
    ) -> None:
        assert ask_access(kubernetes_api, identity, question) == "yes"

    def test_a_wrong_identity_is_refused_by_the_server_itself(
        self, kubernetes_api: KubernetesApi, namespace: str
    ) -> None:
        done = kubernetes_api.try_kubectl("-n", namespace, "get", "secrets", identity="rempart-operators")
        assert done.returncode == 1
        assert "Forbidden" in done.stderr
        assert "rempart-operators" in done.stderr


class TestAdmission:
    def test_a_pod_in_the_hosts_network_is_refused_where_the_namespace_forbids_it(
        self, kubernetes_api: KubernetesApi
    ) -> None:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "outside", "namespace": "rempart-system"},
            "spec": {"hostNetwork": True, "containers": [{"name": "c", "image": "x"}]},
        }
        done = kubernetes_api.try_kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
        assert done.returncode == 1
        assert 'violates PodSecurity "baseline' in done.stderr

    def test_a_quota_bounds_what_a_namespace_gets(self, kubernetes_api: KubernetesApi) -> None:
        kubernetes_api.kubectl("create", "namespace", "bounded")
        kubernetes_api.kubectl("-n", "bounded", "create", "quota", "one", "--hard=count/configmaps=1")

        def is_counted() -> bool:
            used = kubernetes_api.kubectl(
                "-n", "bounded", "get", "quota", "one", "-o", "jsonpath={.status.used}"
            )
            return bool(json.loads(used or "{}").get("count/configmaps") == "1")

        # The namespace already holds the cluster's own root certificate as a ConfigMap.
        wait_until(is_counted, "the quota controller counts")
        done = kubernetes_api.try_kubectl("-n", "bounded", "create", "configmap", "second")
        assert done.returncode == 1
        assert "exceeded quota" in done.stderr
        kubernetes_api.kubectl("delete", "namespace", "bounded", "--wait=false")


@pytest.fixture(scope="module")
def nodes(kubernetes_api: KubernetesApi, namespace: str) -> Iterator[list[str]]:
    names = [f"fake-{index}" for index in range(NODES)]
    kubernetes_api.kubectl("create", "-f", "-", stdin=as_list([fake_node(name) for name in names]))
    yield names
    kubernetes_api.kubectl("delete", "node", *names, "--wait=false")


class TestSimulatedNodes:
    def test_gpu_pods_are_scheduled_and_run_on_simulated_nodes(
        self, kubernetes_api: KubernetesApi, nodes: list[str]
    ) -> None:
        pods = as_list([gpu_pod(f"engine-{index}", {"app": "engine"}) for index in range(NODES)])
        kubernetes_api.kubectl("create", "-f", "-", stdin=pods)

        def running() -> list[dict[str, object]]:
            text = kubernetes_api.kubectl(
                "-n", "local-stack", "get", "pods", "-l", "app=engine", "-o", "json"
            )
            return [pod for pod in json.loads(text)["items"] if pod["status"]["phase"] == "Running"]

        wait_until(lambda: len(running()) == NODES, f"{NODES} pods with {GPUS_PER_NODE} GPUs each run")
        # Each pod takes a whole node's GPUs: the scheduler must have given each its own.
        assert sorted(str(pod["spec"]["nodeName"]) for pod in running()) == sorted(nodes)  # type: ignore[index]
        kubernetes_api.kubectl("-n", "local-stack", "delete", "pods", "-l", "app=engine", "--wait=false")
        wait_until(lambda: not running(), "the pods are gone again")

    def test_simulated_acceptance_pod_succeeds(self, kubernetes_api: KubernetesApi, nodes: list[str]) -> None:
        pod = gpu_pod("acceptance", {"rempart.eu/acceptance": "true"})
        kubernetes_api.kubectl("create", "-f", "-", stdin=as_list([pod]))
        kubernetes_api.kubectl(
            "-n",
            "local-stack",
            "wait",
            "--for=jsonpath={.status.phase}=Succeeded",
            "pod/acceptance",
            "--timeout=30s",
        )
        text = kubernetes_api.kubectl("-n", "local-stack", "get", "pod", "acceptance", "-o", "json")
        ended = json.loads(text)["status"]["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["message"]) == (0, "simulated")

    def test_a_node_that_does_not_say_fake_is_left_alone(
        self, kubernetes_api: KubernetesApi, nodes: list[str]
    ) -> None:
        other = fake_node("not-fake")
        other["metadata"] = {"name": "not-fake"}
        kubernetes_api.kubectl("create", "-f", "-", stdin=json.dumps(other))
        kubernetes_api.kubectl("create", "-f", "-", stdin=json.dumps(fake_node("fake-after")))
        # KWOK serves nodes in the order it sees them: once the later is ready, the earlier was passed over.
        kubernetes_api.kubectl("wait", "--for=condition=Ready", "node/fake-after", "--timeout=30s")
        text = kubernetes_api.kubectl("get", "node", "not-fake", "-o", "jsonpath={.status.conditions}")
        assert "KubeletReady" not in text
        kubernetes_api.kubectl("delete", "node", "not-fake", "fake-after")

    def test_nodes_and_pods_never_point_off_this_machine(
        self, kubernetes_api: KubernetesApi, nodes: list[str]
    ) -> None:
        kubernetes_api.kubectl("wait", "--for=condition=Ready", f"node/{nodes[0]}", "--timeout=30s")
        text = kubernetes_api.kubectl("get", "node", nodes[0], "-o", "json")
        addresses = {item["type"]: item["address"] for item in json.loads(text)["status"]["addresses"]}
        assert addresses["InternalIP"] == "127.0.0.1"


def test_kubeconfigs_are_private(kubernetes_api: KubernetesApi) -> None:
    modes = {path.stat().st_mode & 0o777 for path in kubernetes_api.kubeconfigs.values()}
    assert modes == {0o600}
    assert all(isinstance(path, Path) and path.exists() for path in kubernetes_api.kubeconfigs.values())
