"""What the node-pool rules reason about: names on the wire and frozen views of raw objects."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from operators.apis.v1alpha1 import NodeClaimPhase
from operators.lib.objects import ObjectKey
from operators.lib.phases import PhaseTable

MANAGER = "rempart-nodepool"
ACCEPTANCE_IMAGE = "rempart.eu/local/acceptance:1"

DRAIN_FINALIZER = "rempart.eu/drain"
CLAIMS_FINALIZER = "rempart.eu/claims"

LABEL_ACCEPTANCE = "rempart.eu/acceptance"
LABEL_ACCELERATOR = "rempart.eu/accelerator"
LABEL_CELL = "rempart.eu/cell"
LABEL_DATACENTER = "rempart.eu/datacenter"
LABEL_INSTANCE_TYPE = "rempart.eu/instance-type"
LABEL_NODE_CLAIM = "rempart.eu/node-claim"
LABEL_NODE_POOL = "rempart.eu/node-pool"
LABEL_SIMULATED = "rempart.eu/simulated"
LABEL_ZONE = "topology.kubernetes.io/zone"
ANNOTATION_CLAIM_UID = "rempart.eu/claim-uid"
ANNOTATION_NODE_UID = "rempart.eu/node-uid"
TAINT_UNVALIDATED = "rempart.eu/unvalidated"
TAINT_SIMULATED = "rempart.eu/simulated"
GPU_RESOURCE = "nvidia.com/gpu"

# Karpenter's figures: a provider that has not answered in 5 min will not; a machine boots within 15 min.
LAUNCH_TIMEOUT_S = 300.0
REGISTRATION_TIMEOUT_S = 900.0
# DCGM level 2 takes 2 min, level 3 takes 15 min: the longest run plus a margin for pulling the image.
ACCEPTANCE_TIMEOUT_S = 1200.0
# A simulated run takes half a second; one that has not ended by now was lost by its simulator and is started again.
SIMULATED_ACCEPTANCE_S = 10.0
# After this a pod that its budget still protects is deleted anyway: the machine was asked back long ago.
DRAIN_TIMEOUT_S = 600.0
# After this the Node object is removed even though the provider has not reported the machine gone.
RELEASE_TIMEOUT_S = 300.0
# A claim that failed by running out of time is tried again; one that failed its checks waits for a person.
FAILED_RETRY_S = 300.0
# A machine that joins within this time needs no status write for the phases in between.
FOLD_S = 10.0


class Reason(StrEnum):
    """Reasons of conditions."""

    LAUNCHED = "Launched"
    LAUNCHING = "Launching"
    NO_CAPACITY = "NoCapacity"
    LAUNCH_FAILED = "LaunchFailed"
    LAUNCH_TIMED_OUT = "LaunchTimedOut"
    NODE_JOINED = "NodeJoined"
    WAITING_FOR_NODE = "WaitingForNode"
    NODE_VANISHED = "NodeVanished"
    NODE_NOT_READY = "NodeNotReady"
    REGISTRATION_TIMED_OUT = "RegistrationTimedOut"
    ACCEPTANCE_RUNNING = "AcceptanceRunning"
    ACCEPTANCE_PASSED = "AcceptancePassed"
    ACCEPTANCE_SIMULATED = "AcceptanceSimulated"
    ACCEPTANCE_FAILED = "AcceptanceFailed"
    ACCEPTANCE_TIMED_OUT = "AcceptanceTimedOut"
    NODE_READY = "NodeReady"
    DRAINING = "Draining"
    DRAINED = "Drained"
    RELEASING = "Releasing"
    PROVIDER_UNSUPPORTED = "ProviderUnsupported"


RETRYABLE = frozenset({Reason.LAUNCH_TIMED_OUT, Reason.REGISTRATION_TIMED_OUT, Reason.ACCEPTANCE_TIMED_OUT})

_P = NodeClaimPhase
_TEARDOWN = frozenset({_P.DRAINING, _P.RELEASING})
CLAIM_PHASES: PhaseTable[NodeClaimPhase] = PhaseTable(
    transitions={
        _P.PENDING: frozenset({_P.LAUNCHING, _P.REGISTERING, _P.VALIDATING, _P.READY, _P.FAILED}) | _TEARDOWN,
        _P.LAUNCHING: frozenset({_P.REGISTERING, _P.VALIDATING, _P.READY, _P.FAILED}) | _TEARDOWN,
        _P.REGISTERING: frozenset({_P.LAUNCHING, _P.VALIDATING, _P.READY, _P.FAILED}) | _TEARDOWN,
        _P.VALIDATING: frozenset({_P.LAUNCHING, _P.READY, _P.FAILED}) | _TEARDOWN,
        _P.READY: frozenset({_P.LAUNCHING, _P.VALIDATING}) | _TEARDOWN,
        _P.FAILED: frozenset({_P.LAUNCHING}) | _TEARDOWN,
        _P.DRAINING: frozenset({_P.RELEASING}),
        _P.RELEASING: frozenset(),
    },
    timeouts_s={
        _P.LAUNCHING: LAUNCH_TIMEOUT_S,
        _P.REGISTERING: REGISTRATION_TIMEOUT_S,
        _P.VALIDATING: ACCEPTANCE_TIMEOUT_S,
        _P.DRAINING: DRAIN_TIMEOUT_S,
        _P.RELEASING: RELEASE_TIMEOUT_S,
    },
)


@dataclass(frozen=True, slots=True)
class Taint:
    """A mark on a node; two taints are the same mark when key and effect are equal."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


UNVALIDATED = Taint(TAINT_UNVALIDATED)
SIMULATED = Taint(TAINT_SIMULATED, "true")


@dataclass(frozen=True, slots=True)
class MachineOrder:
    """What a provider is asked for. The claim's uid makes the request repeatable."""

    claim_uid: str
    claim_name: str
    node_name: str
    pool: str
    cpu_milli: int
    memory_mib: int
    gpus: int
    labels: tuple[tuple[str, str], ...]
    taints: tuple[Taint, ...]
    ordered_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """A NodeClaim as the rules see it."""

    name: str
    uid: str
    phase: NodeClaimPhase
    phase_since: datetime
    created_at: datetime
    deleting_since: datetime | None
    ready_reason: str
    launched_reason: str
    is_accepted: bool


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A Node as the rules see it."""

    name: str
    uid: str
    provider_id: str
    is_ready: bool
    not_ready_message: str
    is_cordoned: bool
    is_deleting: bool
    labels: dict[str, str]
    taints: tuple[Taint, ...]

    @property
    def is_unvalidated(self) -> bool:
        """Whether the node still carries the taint of an unchecked machine."""
        return any(taint.key == TAINT_UNVALIDATED for taint in self.taints)


class Outcome(StrEnum):
    """How far an acceptance run is."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One acceptance check's result in wire words: passed, failed, skipped, simulated."""

    name: str
    result: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AcceptanceFacts:
    """An acceptance pod as the rules see it. `failure` is a sentence when the outcome is FAILED.

    `simulated_since` is when a simulated run that has not ended began; None for a real one or an ended one.
    """

    node_uid: str
    outcome: Outcome
    is_deleting: bool
    checks: tuple[Check, ...] = ()
    failure: str = ""
    simulated_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod on a node that is drained."""

    key: ObjectKey
    uid: str
    is_mirror: bool
    is_daemon: bool
    is_finished: bool
    is_acceptance: bool
    deleting_since: datetime | None
    grace_s: int
