"""Audit records and their chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from controlplane.kernel.events import JsonValue

# The chain of the platform operator's own acts has this name in place of a tenant id.
PLATFORM_CHAIN = "platform"
GENESIS_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One act. `chain` is a tenant's wire id or `platform`; `sequence` starts at 1 and has no gap."""

    chain: str
    sequence: int
    occurred_at: datetime
    actor: str
    action: str
    target: str
    detail: Mapping[str, JsonValue]
    previous_hash: str
    hash: str
