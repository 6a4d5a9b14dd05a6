"""Audit records and their chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from controlplane.kernel.events import JsonValue
from controlplane.kernel.ids import EventId
from controlplane.plumbing.refusal_rules import Refusal

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


@dataclass(frozen=True, slots=True)
class RecordOrigin:
    """Where the act numbered `sequence` was asked for: personal data, kept beside the chain and no part of its hashes.

    `address` is the caller's network address, `key_id` the key that the request carried (None when it carried none).
    """

    sequence: int
    address: str
    user_agent: str
    request_id: str
    key_id: str | None


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """What was refused to one caller for one reason, counted over a minute or less by one door (`source`)."""

    id: EventId
    source: str
    refusal: Refusal
    count: int
    first_at: datetime
    last_at: datetime
