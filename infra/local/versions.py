"""Which programs the local stack builds from source, at which versions, and with which flags."""

from dataclasses import dataclass
from pathlib import Path

GO_MODULES = Path(__file__).parent / "go"

# Kubernetes 1.36 needs Go 1.26 (its own go.mod says so); the other two are content with less.
GO_VERSION_MIN = (1, 26)


@dataclass(frozen=True, slots=True)
class Source:
    """One Go module that pins a set of programs, and how to build them.

    Shapes: `packages` are Go import paths of main packages, each named after its program;
            `files` are copied out of the module `module` beside the programs.
    """

    name: str
    module: str
    version: str
    packages: tuple[str, ...]
    ldflags: tuple[str, ...]
    files: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the go.mod and go.sum that pin this source stand."""
        return GO_MODULES / self.name

    @property
    def programs(self) -> tuple[str, ...]:
        """Names of the programs that come out, in the order of `packages`."""
        return tuple("etcd" if p == ETCD_PACKAGE else p.rsplit("/", 1)[-1] for p in self.packages)


# The package of etcd is called `v3` after its major version; the program is etcd.
ETCD_PACKAGE = "go.etcd.io/etcd/server/v3"

STRIP = ("-s", "-w")

ETCD = Source(name="etcd", module=ETCD_PACKAGE, version="v3.6.5", packages=(ETCD_PACKAGE,), ldflags=STRIP)

KUBERNETES = Source(
    name="kubernetes",
    module="k8s.io/kubernetes",
    version="v1.36.3",
    packages=(
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "k8s.io/kubernetes/cmd/kubectl",
    ),
    # Without the stamp the programs call themselves v0.0.0 and refuse each other.
    ldflags=(*STRIP, "-X", "k8s.io/component-base/version.gitVersion=v1.36.3"),
)

KWOK = Source(
    name="kwok",
    module="sigs.k8s.io/kwok",
    version="v0.8.0",
    packages=("sigs.k8s.io/kwok/cmd/kwok",),
    ldflags=(*STRIP, "-X", "sigs.k8s.io/kwok/pkg/consts.Version=v0.8.0"),
    # How a simulated node and its pods behave is data inside the module; it is copied, never committed.
    files=(
        "LICENSE",
        "kustomize/stage/node/fast/node-initialize.yaml",
        "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
        "kustomize/stage/pod/fast/pod-ready.yaml",
        "kustomize/stage/pod/fast/pod-complete.yaml",
        "kustomize/stage/pod/fast/pod-delete.yaml",
    ),
)

# The engine of infrastructure as code. Its version is asked before every run, so it must be stamped in.
PULUMI = Source(
    name="pulumi",
    module="github.com/pulumi/pulumi/pkg/v3",
    version="v3.250.0",
    packages=("github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",),
    ldflags=(*STRIP, "-X", "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3.250.0"),
)

SOURCES = (ETCD, KUBERNETES, KWOK, PULUMI)

HELM = Source(
    name="helm",
    module="helm.sh/helm/v3",
    version="v3.19.0",
    packages=("helm.sh/helm/v3/cmd/helm",),
    ldflags=(*STRIP, "-X", "helm.sh/helm/v3/internal/version.version=v3.19.0"),
)

# The stack never runs these; the tests do, on the charts.
TEST_SOURCES = (HELM,)
