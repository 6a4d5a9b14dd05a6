"""How large each thing that a caller writes may be: one bound in one place for every layer that it passes through.

A value that one layer accepts and a later one refuses stops more than itself: a gateway takes a routing table from
its snapshot, an API server takes an object, whole or not at all. So the API, the gateway and the manifests read these
numbers; the custom resources' own schemas, which import nothing of the control plane, are held to them by a test.

Lengths are in characters unless the name says bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from `least` to `most`, both included."""

    least: int
    most: int

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most


# Names. A pod's name is the service's, 8 characters of the part's id, a replica index and an attempt: 63 in all,
# which is what Kubernetes allows (RFC 1123 §2.1 labels).
SERVICE_NAME_LENGTH: Final = 40
SERVICE_NAME_PATTERN: Final = r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"
SITE_CODE_LENGTH: Final = 40
SITE_CODE_PATTERN: Final = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
INSTANCE_TYPE_LENGTH: Final = 63
INSTANCE_TYPE_PATTERN: Final = r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"
MODEL_NAME_LENGTH: Final = 128
MODEL_NAME_PATTERN: Final = r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$"
ENTITY_NAME_LENGTH: Final = 200
SITES_OF_A_SERVICE: Final = 50
SIZES_OF_A_SERVICE: Final = 8

# Scaling.
REPLICAS: Final = Range(0, 64)
REPLICAS_HIGHEST: Final = Range(1, REPLICAS.most)
CONCURRENCY: Final = Range(1, 1024)
IDLE_SECONDS: Final = Range(5, 86_400)

# What a gateway holds for a service while it wakes, and how long an engine has to begin.
QUEUE_REQUESTS: Final = Range(0, 10_000)
QUEUE_BYTES: Final = Range(0, 1 << 30)
QUEUE_SECONDS: Final = Range(1, 1_800)
FIRST_BYTE_SECONDS: Final = Range(1, 600)
GRACE_SECONDS: Final = Range(0, 30 * 86_400)

# Environment. The sum is what etcd holds of one deployment in one place; see `deployments/write_budget_rules.py`.
ENV_KEY_LENGTH: Final = 128
ENV_KEY_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
ENV_VARIABLES: Final = 64
ENV_VALUE_LENGTH: Final = 8_192
ENV_BYTES: Final = 32 * 1024
"""Names and values of one service's variables together, those of its secrets included, in UTF-8."""
SECRET_VALUE_LENGTH: Final = ENV_BYTES

# Machines and replicas.
CPU_MILLI: Final = Range(1, 4_096_000)
MEMORY_MIB: Final = Range(1, 67_108_864)
GPUS: Final = Range(1, 16)
POOL_NODES: Final = Range(0, 2_000)
PROCESS_POOL_NODES: Final = Range(0, 64)
"""A process node is a program on the machine of whoever runs the stack."""

# What all tenants share.
ROUTES: Final = 20_000
"""Routes of one snapshot: filesystem xDS is meant for hundreds; past this a snapshot is a mistake."""
VERDICT_REASON_LENGTH: Final = 1_000
REFUSAL_TEXT_BYTES: Final = 6_000
"""Of a verdict's reason in a refusal, as ASCII JSON: Envoy refuses a whole table for one body above 8 KiB."""
