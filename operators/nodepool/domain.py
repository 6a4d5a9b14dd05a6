"""What the node-pool rules reason about: names on the wire and frozen views of raw objects."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from operators.apis.v1alpha1 import NodeClaimPhase
from operators.lib.objects import ObjectKey
from operators.lib.phases import PhaseLimits

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
LABEL_TENANT = "rempart.eu/tenant"
LABEL_ZONE = "topology.kubernetes.io/zone"
ANNOTATION_CLAIM_UID = "rempart.eu/claim-uid"
ANNOTATION_NODE_UID = "rempart.eu/node-uid"
# The acceptance record of a node, kept on the Node itself: it outlives the claim's status.
ANNOTATION_ACCEPTED = "rempart.eu/accepted"
# Since when the order stands that was carried out on the Node last: an uncordon opens it once.
ANNOTATION_ORDER = "rempart.eu/order"
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
# What heals outside is tried again after this; a machine that failed its checks does not heal by waiting.
FAILED_RETRY_S = 300.0
# A machine that joins within this time needs no status write for the phases in between.
FOLD_S = 10.0


class Reason(StrEnum):
    """Reasons of conditions."""

    LAUNCHED = "Launched"
    LAUNCHING = "Launching"
    NO_CAPACITY = "NoCapacity"
    LAUNCH_FAILED = "LaunchFailed"
    LAUNCH_REFUSED = "LaunchRefused"
    LAUNCH_TIMED_OUT = "LaunchTimedOut"
    NODE_JOINED = "NodeJoined"
    WAITING_FOR_NODE = "WaitingForNode"
    NODE_VANISHED = "NodeVanished"
    NODE_NOT_READY = "NodeNotReady"
    NODE_DELETING = "NodeDeleting"
    NODE_TAINTED = "NodeTainted"
    NODE_PRESSURE = "NodePressure"
    CORDONED = "Cordoned"
    GPUS_MISSING = "GpusMissing"
    NOT_IN_POOL = "NotInPool"
    REGISTRATION_TIMED_OUT = "RegistrationTimedOut"
    ACCEPTANCE_RUNNING = "AcceptanceRunning"
    ACCEPTANCE_PASSED = "AcceptancePassed"
    ACCEPTANCE_SIMULATED = "AcceptanceSimulated"
    ACCEPTANCE_FAILED = "AcceptanceFailed"
    ACCEPTANCE_TIMED_OUT = "AcceptanceTimedOut"
    ACCEPTANCE_REFUSED = "AcceptanceRefused"
    ACCEPTANCE_PENDING = "AcceptancePending"
    NODE_CHANGE_REFUSED = "NodeChangeRefused"
    WORK_ON_NODE = "WorkOnNode"
    NODE_READY = "NodeReady"
    DRAINING = "Draining"
    DRAINED = "Drained"
    RELEASING = "Releasing"
    RELEASE_FAILED = "ReleaseFailed"
    PROVIDER_UNSUPPORTED = "ProviderUnsupported"


# What a claim may fail of. All but the last heal outside, so they are tried again; hardware that failed its
# checks does not become sound by waiting.
LAUNCH_FAILURES = frozenset({Reason.LAUNCH_TIMED_OUT, Reason.LAUNCH_FAILED, Reason.PROVIDER_UNSUPPORTED})
JOIN_FAILURES = frozenset({Reason.REGISTRATION_TIMED_OUT})
CHECK_FAILURES = frozenset({Reason.ACCEPTANCE_TIMED_OUT, Reason.ACCEPTANCE_FAILED})
FAILURES = LAUNCH_FAILURES | JOIN_FAILURES | CHECK_FAILURES
RETRYABLE = FAILURES - {Reason.ACCEPTANCE_FAILED}
# A claim that waits for one of these waits as long as it takes, and says so.
PATIENT = frozenset({Reason.NO_CAPACITY, Reason.LAUNCH_REFUSED, Reason.NOT_IN_POOL})

_P = NodeClaimPhase
TEARDOWN = frozenset({_P.DRAINING, _P.RELEASING})
CLAIM_LIMITS: PhaseLimits[NodeClaimPhase] = PhaseLimits(
    {
        _P.LAUNCHING: LAUNCH_TIMEOUT_S,
        _P.REGISTERING: REGISTRATION_TIMEOUT_S,
        _P.VALIDATING: ACCEPTANCE_TIMEOUT_S,
        _P.RELEASING: RELEASE_TIMEOUT_S,
    }
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
class Check:
    """One acceptance check's result in wire words: passed, failed, skipped, simulated."""

    name: str
    result: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """A passed acceptance run: of which node, when (wire form), and what was checked.

    `node_uid` is empty in records that were written before nodes were named in them.
    """

    node_uid: str
    passed_at: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """A NodeClaim as the rules see it. The status part may be wrong: people edit it, backups restore it.

    `phase_since` is None when the status does not tell it. `tolerated`: taints that every pod of a
    tenant on this pool tolerates. `gpus`: how many the machine was ordered with.
    """

    name: str
    uid: str
    phase: NodeClaimPhase
    phase_since: datetime | None
    created_at: datetime
    deleting_since: datetime | None
    ready_reason: str
    ready_message: str
    launched_reason: str
    proof: Proof | None
    gpus: int = 0
    tolerated: tuple[Taint, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A Node as the rules see it.

    `pressures`: conditions of the kubelet that keep pods away. `gpus` and `pods`: what the scheduler may
    give out. `proof`: the acceptance record that the Node carries.
    """

    name: str
    uid: str
    provider_id: str
    is_ready: bool
    not_ready_message: str
    is_cordoned: bool
    is_deleting: bool
    labels: dict[str, str]
    taints: tuple[Taint, ...]
    pressures: tuple[str, ...] = ()
    gpus: int = 0
    pods: int = 110
    proof: Proof | None = None
    not_ready_since: datetime | None = None

    @property
    def is_unvalidated(self) -> bool:
        """Whether the node still carries the taint of an unchecked machine."""
        return any(taint.key == TAINT_UNVALIDATED for taint in self.taints)


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for one machine: a word of NodeAction, and since when, as written and as an instant."""

    action: str
    since_text: str
    since: datetime


class Outcome(StrEnum):
    """How far an acceptance run is."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


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
    labels: tuple[tuple[str, str], ...] = ()
    needs_gpu: bool = False
    node: str = ""
