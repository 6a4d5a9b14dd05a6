"""The command lines of the cluster's programs, as plain functions of paths and ports."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local.cluster_identities import ClusterKeys

LOOPBACK = "127.0.0.1"
SERVICE_RANGE = "10.96.0.0/16"
ISSUER = "https://kubernetes.default.svc.cluster.local"

# Simulated nodes renew their lease every quarter of this: at 200 nodes that is 7 writes a second instead of
# the 20 of the usual 40 s.
SIMULATED_LEASE_SECONDS = 120
# Two and a half missed renewals: a busy laptop must not make healthy nodes NotReady.
NODE_GRACE_SECONDS = 75

# One client each way round the default of 20 or 50 a second, which 200 nodes coming up at once would feel.
CLIENT_QPS = 200
CLIENT_BURST = 400

# Nothing listens at a simulated pod's address; taken from loopback so that a call to it never leaves the
# machine and is refused at once.
SIMULATED_POD_RANGE = "127.128.0.1/16"


@dataclass(frozen=True, slots=True)
class ClusterPaths:
    """Where one cluster's data, keys and kubeconfigs stand."""

    root: Path

    @property
    def keys(self) -> Path:
        return self.root / "pki"

    @property
    def kubeconfigs(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def etcd_data(self) -> Path:
        return self.root / "etcd"

    def kubeconfig(self, identity: str) -> Path:
        return self.kubeconfigs / identity


def etcd_flags(
    paths: ClusterPaths, keys: ClusterKeys, ports: Mapping[str, int], *, is_durable: bool
) -> list[str]:
    """One member, TLS both ways on every port; without durability it no longer waits for the disk."""
    client = f"https://{LOOPBACK}:{ports['etcd']}"
    peer = f"https://{LOOPBACK}:{ports['etcd-peer']}"
    server, authority = keys.etcd_server, str(keys.etcd_authority.certificate)
    flags = [
        "--name=local",
        f"--data-dir={paths.etcd_data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=local={peer}",
        f"--cert-file={server.certificate}",
        f"--key-file={server.key}",
        "--client-cert-auth=true",
        f"--trusted-ca-file={authority}",
        f"--peer-cert-file={server.certificate}",
        f"--peer-key-file={server.key}",
        "--peer-client-cert-auth=true",
        f"--peer-trusted-ca-file={authority}",
        "--quota-backend-bytes=2147483648",
        "--log-level=warn",
    ]
    return flags if is_durable else [*flags, "--unsafe-no-fsync"]


def api_server_flags(keys: ClusterKeys, ports: Mapping[str, int]) -> list[str]:
    """Node and RBAC authorisation, the default admission plugins (PodSecurity, ResourceQuota among them)
    and NodeRestriction; nobody unknown gets past the door."""
    return [
        f"--etcd-servers=https://{LOOPBACK}:{ports['etcd']}",
        f"--etcd-cafile={keys.etcd_authority.certificate}",
        f"--etcd-certfile={keys.etcd_client.certificate}",
        f"--etcd-keyfile={keys.etcd_client.key}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={ports['api-server']}",
        # The Service `kubernetes` cannot point at a loopback address; nothing here uses it.
        "--endpoint-reconciler-type=none",
        f"--tls-cert-file={keys.api_server.certificate}",
        f"--tls-private-key-file={keys.api_server.key}",
        "--tls-min-version=VersionTLS12",
        f"--client-ca-file={keys.authority.certificate}",
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={keys.service_accounts.certificate}",
        f"--service-account-signing-key-file={keys.service_accounts.key}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--kubelet-certificate-authority={keys.authority.certificate}",
        f"--kubelet-client-certificate={keys.node_client.certificate}",
        f"--kubelet-client-key={keys.node_client.key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--encryption-provider-config={keys.encryption}",
        "--profiling=false",
    ]


def controller_manager_flags(paths: ClusterPaths, keys: ClusterKeys, ports: Mapping[str, int]) -> list[str]:
    """Each controller under its own service account; signs node certificates that it approved."""
    return [
        *_component_flags(paths, keys, "kube-controller-manager", ports["kube-controller-manager"]),
        "--use-service-account-credentials=true",
        f"--root-ca-file={keys.authority.certificate}",
        f"--service-account-private-key-file={keys.service_accounts.key}",
        f"--cluster-signing-cert-file={keys.authority.certificate}",
        f"--cluster-signing-key-file={keys.authority.key}",
        f"--node-monitor-grace-period={NODE_GRACE_SECONDS}s",
        f"--kube-api-qps={CLIENT_QPS}",
        f"--kube-api-burst={CLIENT_BURST}",
    ]


def scheduler_flags(paths: ClusterPaths, keys: ClusterKeys, ports: Mapping[str, int]) -> list[str]:
    """Kubernetes' own scheduler as it comes."""
    return [
        *_component_flags(paths, keys, "kube-scheduler", ports["kube-scheduler"]),
        f"--kube-api-qps={CLIENT_QPS}",
        f"--kube-api-burst={CLIENT_BURST}",
    ]


def kwok_flags(kubeconfig: Path, keys: ClusterKeys, port: int, stages: tuple[Path, ...]) -> list[str]:
    """Simulate exactly the nodes that say they are fake, with the given life-cycle stages."""
    return [
        f"--kubeconfig={kubeconfig}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        f"--node-lease-duration-seconds={SIMULATED_LEASE_SECONDS}",
        f"--cidr={SIMULATED_POD_RANGE}",
        f"--node-ip={LOOPBACK}",
        f"--node-port={port}",
        f"--server-address={LOOPBACK}:{port}",
        f"--tls-cert-file={keys.node_server.certificate}",
        f"--tls-private-key-file={keys.node_server.key}",
        *(f"--config={stage}" for stage in stages),
    ]


def _component_flags(paths: ClusterPaths, keys: ClusterKeys, identity: str, port: int) -> list[str]:
    kubeconfig = paths.kubeconfig(identity)
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--tls-cert-file={keys.node_server.certificate}",
        f"--tls-private-key-file={keys.node_server.key}",
        "--leader-elect=false",
        "--profiling=false",
    ]
