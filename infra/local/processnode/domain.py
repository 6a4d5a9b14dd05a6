"""What the process node reasons about: hosts, what a pod asks for, and what became of its container."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class RestartPolicy(StrEnum):
    """When a container that ended starts again; Kubernetes' words."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class EnvSource(StrEnum):
    """Where the value of an environment variable comes from."""

    LITERAL = "literal"
    SECRET = "secret"  # noqa: S105  (a kind of source, not a password)
    CONFIG_MAP = "configMap"
    FIELD = "field"


class StateKind(StrEnum):
    """The three states of a container; Kubernetes' words."""

    WAITING = "waiting"
    RUNNING = "running"
    TERMINATED = "terminated"


class PodRefused(Exception):
    """This pod cannot run here as it is written.

    Shapes: `reason` is what kubectl shows; `is_final` means that only another pod would help,
            otherwise the world may change (a Secret may appear) and the node tries again.
    """

    def __init__(self, reason: str, message: str, *, is_final: bool = True) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class HostOffer:
    """What one host brings; written to `host.json`. Units: thousandths of a core, MiB."""

    host_id: str
    cpu_milli: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Taint:
    """A mark that keeps pods away from a node unless they tolerate it."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """A host that was given to a node claim; read from `assignment.json`."""

    claim_uid: str
    node_name: str
    provider_id: str
    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[Taint, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvEntry:
    """One environment variable as the pod spells it.

    Shapes: `value` is the literal, the object's name, or the field path, by `source`; `key` only for objects.
    """

    name: str
    source: EnvSource
    value: str
    key: str = ""
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port the container declares; the node gives it a loopback port of its own."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Probe:
    """A question asked again and again to a container. Units: seconds.

    Shapes: `path` is empty for a TCP probe; `port` is the declared number.
    """

    path: str
    port: int
    initial_delay: int
    period: int
    timeout: int
    success_threshold: int
    failure_threshold: int


@dataclass(frozen=True, slots=True)
class PodPlan:
    """How this node runs one pod: everything it takes from the pod's spec.

    Shapes: `command` is the program and its arguments before `$(NAME)` expansion. `env_secrets` are names of Secrets
            whose keys are variables; `engine` whose list of variables a tenant is held to, None for the platform's.
    Units:  `grace_seconds`, `deadline_seconds` seconds; `memory_limit_mib` None when the pod sets no limit.
    """

    namespace: str
    name: str
    uid: str
    container: str
    command: tuple[str, ...]
    env: tuple[EnvEntry, ...]
    env_secrets: tuple[str, ...]
    engine: str | None
    ports: tuple[ContainerPort, ...]
    restart_policy: RestartPolicy
    grace_seconds: int
    deadline_seconds: int | None
    cpu_request_milli: int
    memory_limit_mib: int | None
    readiness: Probe | None
    liveness: Probe | None
    startup: Probe | None


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One state of the container, with the times and the reason that belong to it."""

    kind: StateKind
    reason: str = ""
    message: str = ""
    exit_code: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    container_id: str = ""


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """Everything the pod's status is computed from.

    Shapes: `ports` maps declared port names to assigned ports; `last_state` is the run before this one;
            `is_final` means that the container will not start again.
    """

    state: ContainerState
    last_state: ContainerState | None = None
    is_ready: bool = False
    is_started: bool = False
    is_final: bool = False
    restart_count: int = 0
    pod_reason: str = ""
    pod_message: str = ""
    ready_at: datetime | None = None
    ports: tuple[tuple[str, int], ...] = field(default=())
