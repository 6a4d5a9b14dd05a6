"""Version v1alpha1 of the group `rempart.eu`: GPUNodePool, NodeClaim, HostQuarantine, InferenceDeployment.

The types are the single source: `python -m operators.lib.crdgen` writes the CRDs from them, the
control plane builds manifests with them (`manifest()`), operators read objects through them.
"""

from operators.apis.v1alpha1.hostquarantine import HostQuarantine, HostQuarantineSpec
from operators.apis.v1alpha1.inferencedeployment import (
    EngineSpec,
    EnvVar,
    InferenceDeployment,
    InferenceDeploymentSpec,
    InferenceDeploymentStatus,
    InferencePhase,
    InstanceStatus,
    LastColdStart,
    ModelSpec,
    ReplicaRange,
    Scaling,
    SecretRef,
)
from operators.apis.v1alpha1.meta import (
    API_VERSION,
    GROUP,
    VERSION,
    Accelerator,
    Condition,
    ConditionStatus,
    CustomResource,
    NodeTaint,
    ObjectMeta,
    Provider,
    ProviderKind,
    TaintEffect,
)
from operators.apis.v1alpha1.nodeclaim import (
    AcceptanceCheck,
    AcceptanceRecord,
    CheckResult,
    NodeClaim,
    NodeClaimPhase,
    NodeClaimSpec,
    NodeClaimStatus,
)
from operators.apis.v1alpha1.nodepool import (
    GPUNodePool,
    GPUNodePoolSpec,
    GPUNodePoolStatus,
    NodeAction,
    NodeOrder,
    Repair,
    Rollout,
)

KINDS: tuple[type[CustomResource], ...] = (GPUNodePool, NodeClaim, HostQuarantine, InferenceDeployment)

__all__ = [
    "API_VERSION",
    "GROUP",
    "KINDS",
    "VERSION",
    "Accelerator",
    "AcceptanceCheck",
    "AcceptanceRecord",
    "CheckResult",
    "Condition",
    "ConditionStatus",
    "CustomResource",
    "EngineSpec",
    "EnvVar",
    "GPUNodePool",
    "GPUNodePoolSpec",
    "GPUNodePoolStatus",
    "HostQuarantine",
    "HostQuarantineSpec",
    "InferenceDeployment",
    "InferenceDeploymentSpec",
    "InferenceDeploymentStatus",
    "InferencePhase",
    "InstanceStatus",
    "LastColdStart",
    "ModelSpec",
    "NodeAction",
    "NodeClaim",
    "NodeClaimPhase",
    "NodeClaimSpec",
    "NodeClaimStatus",
    "NodeOrder",
    "NodeTaint",
    "ObjectMeta",
    "Provider",
    "ProviderKind",
    "Repair",
    "ReplicaRange",
    "Rollout",
    "Scaling",
    "SecretRef",
    "TaintEffect",
]
