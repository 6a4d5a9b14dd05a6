"""Who talks to the local API server, as whom, and what carries the proof: one certificate each."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from infra.local.paths import ensure_private_folder, write_private
from infra.local.pki import LOOPBACK_NAMES, Authority, Leaf, Pair, ensure_signing_key

# The API server's own name inside the cluster, for programs that use it.
API_SERVER_NAMES = (
    *LOOPBACK_NAMES,
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "10.96.0.1",
)

# Identity (= file name of its kubeconfig) → user and groups. What each may do: Kubernetes' own roles for its
# own components, `manifests/rbac.yaml` for ours. Only `admin` may do everything (group system:masters).
IDENTITIES: dict[str, Leaf] = {
    "admin": Leaf("rempart-admin", ("system:masters",), is_client=True),
    "kube-controller-manager": Leaf("system:kube-controller-manager", is_client=True),
    "kube-scheduler": Leaf("system:kube-scheduler", is_client=True),
    "rempart-operators": Leaf("rempart-operators", is_client=True),
    "rempart-controlplane": Leaf("rempart-controlplane", is_client=True),
    "kwok": Leaf("kwok", is_client=True),
    "process-node": Leaf("rempart-process-node", ("rempart:process-nodes",), is_client=True),
}


@dataclass(frozen=True, slots=True)
class ClusterKeys:
    """Everything the cluster's programs prove themselves with, as paths."""

    authority: Pair
    etcd_authority: Pair
    etcd_server: Pair
    etcd_client: Pair
    api_server: Pair
    node_client: Pair
    node_server: Pair
    service_accounts: Pair
    encryption: Path


def ensure_keys(folder: Path) -> ClusterKeys:
    """Make or renew all keys under `folder` and a kubeconfig's client pair for each identity."""
    cluster = Authority(folder, "ca")
    # etcd trusts an authority of its own: a client certificate for the API server must not open the store.
    etcd = Authority(folder / "etcd", "ca")
    for name, leaf in IDENTITIES.items():
        cluster.ensure(f"client-{name}", leaf)
    node_client = Leaf("kube-apiserver-node-client", ("rempart:node-clients",), is_client=True)
    return ClusterKeys(
        authority=cluster.pair,
        etcd_authority=etcd.pair,
        etcd_server=etcd.ensure("server", Leaf("etcd", (), LOOPBACK_NAMES, is_server=True, is_client=True)),
        etcd_client=etcd.ensure("client", Leaf("kube-apiserver", is_client=True)),
        api_server=cluster.ensure("api-server", Leaf("kube-apiserver", (), API_SERVER_NAMES, is_server=True)),
        node_client=cluster.ensure("node-client", node_client),
        node_server=cluster.ensure("node-server", Leaf("process-node", (), LOOPBACK_NAMES, is_server=True)),
        service_accounts=ensure_signing_key(folder / "service-accounts.key"),
        encryption=folder / "encryption.json",
    )


def ensure_encryption(path: Path, random_key: bytes) -> None:
    """Configure encryption of Secrets in etcd, once: another key would make the stored ones unreadable."""
    if path.exists():
        return
    assert len(random_key) == 32
    key = {"name": "local", "secret": base64.b64encode(random_key).decode("ascii")}
    providers = [{"secretbox": {"keys": [key]}}, {"identity": {}}]
    content = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    }
    write_private(path, json.dumps(content, indent=1) + "\n")


def write_kubeconfigs(folder: Path, keys_folder: Path, authority: Path, port: int) -> None:
    """Write `<folder>/<identity>` for each identity, self-contained and for its owner only."""
    ensure_private_folder(folder)
    for name in IDENTITIES:
        pair = Pair(keys_folder / f"client-{name}.crt", keys_folder / f"client-{name}.key")
        write_private(folder / name, json.dumps(_kubeconfig(name, pair, authority, port), indent=1) + "\n")


def _kubeconfig(name: str, pair: Pair, authority: Path, port: int) -> dict[str, object]:
    # JSON is YAML: every reader of kubeconfigs takes it, and nothing needs quoting.
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": _encode(authority)}
    user = {"client-certificate-data": _encode(pair.certificate), "client-key-data": _encode(pair.key)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "rempart-local", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "rempart-local", "context": {"cluster": "rempart-local", "user": name}}],
        "current-context": "rempart-local",
    }


def _encode(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
