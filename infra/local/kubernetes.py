"""A real Kubernetes control plane on loopback: for the supervisor as specs, for tests as one object."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from infra.local.build import ensure_built, program
from infra.local.cluster_identities import ClusterKeys, ensure_encryption, ensure_keys, write_kubeconfigs
from infra.local.kubernetes_flags import (
    ClusterPaths,
    api_server_flags,
    controller_manager_flags,
    etcd_flags,
    kwok_flags,
    scheduler_flags,
)
from infra.local.kwok import MANIFESTS, list_stages
from infra.local.paths import REPOSITORY, ensure_private_folder
from infra.local.pki import Pair
from infra.local.ports import ensure_ports
from infra.local.probes import answers_https
from infra.local.process import ProcessSpec
from infra.local.registry import reap
from infra.local.runner import Runner
from infra.local.versions import ETCD, KUBERNETES, KWOK

CRDS = REPOSITORY / "helm" / "operators" / "crds"

PORTS: Mapping[str, int] = {
    "etcd": 0,
    "etcd-peer": 0,
    "api-server": 0,
    "kube-controller-manager": 0,
    "kube-scheduler": 0,
    "kwok": 0,
}

FIELD_MANAGER = "rempart-local"
ESTABLISHED_SECONDS_MAX = 30  # A definition is served within a second; more means it is refused.
API_SERVER_STOP_SECONDS = 20.0  # It lets open watches end before it goes.


@dataclass(frozen=True, slots=True)
class Cluster:
    """One prepared cluster: keys made, ports chosen, kubeconfigs written; nothing runs yet."""

    paths: ClusterPaths
    keys: ClusterKeys
    ports: Mapping[str, int]
    is_durable: bool

    @property
    def admin_kubeconfig(self) -> Path:
        return self.paths.kubeconfig("admin")


def prepare_cluster(root: Path, *, is_durable: bool = True) -> Cluster:
    """Make what the programs need before any starts. Call only while none of them runs."""
    paths = ClusterPaths(ensure_private_folder(root))
    keys = ensure_keys(ensure_private_folder(paths.keys))
    ensure_encryption(keys.encryption, os.urandom(32))
    ensure_private_folder(paths.etcd_data)
    ports = ensure_ports(root / "ports.json", PORTS)
    write_kubeconfigs(paths.kubeconfigs, paths.keys, keys.authority.certificate, ports["api-server"])
    return Cluster(paths, keys, ports, is_durable)


def control_plane_specs(cluster: Cluster) -> list[ProcessSpec]:
    """etcd, the API server and its first objects: what everything else stands on."""
    durability = "" if cluster.is_durable else " (not durable: --unsafe-no-fsync)"
    return [
        ProcessSpec(
            name="etcd",
            about=f"the cluster's store{durability}",
            argv=[
                str(program(ETCD, "etcd")),
                *etcd_flags(cluster.paths, cluster.keys, cluster.ports, is_durable=cluster.is_durable),
            ],
            is_ready=_probe(
                cluster, "etcd", "/readyz", cluster.keys.etcd_authority, cluster.keys.etcd_client
            ),
        ),
        ProcessSpec(
            name="kube-apiserver",
            about=f"Kubernetes {KUBERNETES.version}",
            argv=[str(program(KUBERNETES, "kube-apiserver")), *api_server_flags(cluster.keys, cluster.ports)],
            needs=("etcd",),
            is_ready=_probe(cluster, "api-server", "/readyz", cluster.keys.authority, _admin_pair(cluster)),
            stop_seconds=API_SERVER_STOP_SECONDS,
        ),
        _kubectl(cluster, "cluster-roles", "who may do what in the cluster", MANIFESTS / "rbac.yaml"),
        _kubectl(
            cluster, "cluster-admission", "where the control plane may write", MANIFESTS / "admission.yaml"
        ),
        *definition_specs(cluster.admin_kubeconfig, ("kube-apiserver",)),
        # A policy whose parameters are pools needs their definition.
        _kubectl(
            cluster,
            "cluster-pool-guard",
            "one writer for each pool",
            MANIFESTS / "pool-guard.yaml",
            needs=("cluster-definitions-served",),
        ),
    ]


def definition_specs(kubeconfig: Path, needs: tuple[str, ...]) -> list[ProcessSpec]:
    """Apply the custom resource definitions and wait until they are served; nothing if there are none."""
    if not any(CRDS.glob("*.yaml")):
        return []
    wait = [f"--timeout={ESTABLISHED_SECONDS_MAX}s", "--for=condition=Established", "-f", str(CRDS)]
    return [
        ProcessSpec(
            name="cluster-definitions",
            about="Rempart's custom resources",
            argv=[*kubectl_apply(kubeconfig), "-f", str(CRDS)],
            needs=needs,
            is_one_shot=True,
        ),
        ProcessSpec(
            name="cluster-definitions-served",
            about="Rempart's custom resources are served",
            argv=[str(program(KUBERNETES, "kubectl")), f"--kubeconfig={kubeconfig}", "wait", *wait],
            needs=("cluster-definitions",),
            is_one_shot=True,
        ),
    ]


def controller_specs(cluster: Cluster) -> list[ProcessSpec]:
    """Kubernetes' own controllers and scheduler."""
    paths, keys, ports = cluster.paths, cluster.keys, cluster.ports
    client = _admin_pair(cluster)
    return [
        ProcessSpec(
            name="kube-controller-manager",
            about="Kubernetes' own controllers",
            argv=[
                str(program(KUBERNETES, "kube-controller-manager")),
                *controller_manager_flags(paths, keys, ports),
            ],
            needs=("kube-apiserver",),
            is_ready=_probe(cluster, "kube-controller-manager", "/healthz", keys.authority, client),
        ),
        ProcessSpec(
            name="kube-scheduler",
            about="places pods on nodes",
            argv=[str(program(KUBERNETES, "kube-scheduler")), *scheduler_flags(paths, keys, ports)],
            needs=("kube-apiserver",),
            is_ready=_probe(cluster, "kube-scheduler", "/healthz", keys.authority, client),
        ),
    ]


def kwok_spec(cluster: Cluster) -> ProcessSpec:
    """The simulator of GPU nodes."""
    kubeconfig = cluster.paths.kubeconfig("kwok")
    flags = kwok_flags(kubeconfig, cluster.keys, cluster.ports["kwok"], list_stages())
    return ProcessSpec(
        name="kwok",
        about=f"simulated GPU nodes (KWOK {KWOK.version})",
        argv=[str(program(KWOK, "kwok")), *flags],
        needs=("cluster-roles",),
        is_ready=_probe(cluster, "kwok", "/healthz", cluster.keys.authority, _admin_pair(cluster)),
    )


class Kubernetes:
    """A cluster of one's own, in one folder: `start`, use the kubeconfigs, `stop`.

    Start it from a thread that lives as long as the cluster should: its programs end with that thread.
    `is_durable=False` is for tests: etcd then does not wait for the disk, and says so in `status`.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        is_durable: bool = True,
        has_controllers: bool = True,
        has_simulated_nodes: bool = True,
    ) -> None:
        self._root = data_dir
        self._is_durable = is_durable
        self._has_controllers = has_controllers
        self._has_simulated_nodes = has_simulated_nodes
        self._runner: Runner | None = None

    def start(self) -> Path:
        """Boot everything and return the admin's kubeconfig once all of it is ready.

        Errors: BuildFailed, StackFailed; then nothing is left running.
        """
        ensure_built()
        root = ensure_private_folder(self._root)
        # Before ports are chosen: what a killed run left behind still sits on them.
        reap(root / "processes.json")
        cluster = prepare_cluster(root, is_durable=self._is_durable)
        specs = control_plane_specs(cluster)
        if self._has_controllers:
            specs += controller_specs(cluster)
        if self._has_simulated_nodes:
            specs.append(kwok_spec(cluster))
        logs = ensure_private_folder(root / "logs")
        self._runner = Runner(specs, logs=logs, registry=root / "processes.json", folder=root)
        self._runner.start()
        return cluster.admin_kubeconfig

    def stop(self) -> None:
        """Stop everything in reverse; the data stays and the next start finds it."""
        if self._runner is not None:
            self._runner.stop()
            self._runner = None

    def kubeconfig(self, identity: str) -> Path:
        """The kubeconfig of one of `cluster_identities.IDENTITIES`."""
        return ClusterPaths(self._root).kubeconfig(identity)


def kubectl_apply(kubeconfig: Path) -> list[str]:
    """`kubectl apply` as this stack uses it: server side, under a name of its own."""
    kubectl = [str(program(KUBERNETES, "kubectl")), f"--kubeconfig={kubeconfig}"]
    return [*kubectl, "apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}"]


def _kubectl(
    cluster: Cluster, name: str, about: str, manifest: Path, *, needs: tuple[str, ...] = ("kube-apiserver",)
) -> ProcessSpec:
    argv = [*kubectl_apply(cluster.admin_kubeconfig), "-f", str(manifest)]
    return ProcessSpec(name=name, about=about, argv=argv, needs=needs, is_one_shot=True)


def _admin_pair(cluster: Cluster) -> Pair:
    return Pair(cluster.paths.keys / "client-admin.crt", cluster.paths.keys / "client-admin.key")


def _probe(cluster: Cluster, port: str, path: str, authority: Pair, client: Pair) -> Callable[[], bool]:
    return partial(
        answers_https, cluster.ports[port], path, authority.certificate, client.certificate, client.key
    )
