"""The hash chain: pure, so that an export verifies with nothing but this page.

hash = SHA-256 over the UTF-8 canonical JSON (sorted keys, no spaces) of the record without its hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from controlplane.audit.domain import GENESIS_HASH, AuditRecord
from controlplane.kernel.events import JsonValue


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The first record that does not hold, and what is wrong with it."""

    sequence: int
    reason: str


def hash_record(
    chain: str,
    sequence: int,
    occurred_at: datetime,
    actor: str,
    action: str,
    target: str,
    detail: Mapping[str, JsonValue],
    previous_hash: str,
) -> str:
    document = {
        "chain": chain,
        "sequence": sequence,
        "occurred_at": occurred_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": actor,
        "action": action,
        "target": target,
        "detail": detail,
        "previous_hash": previous_hash,
    }
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def find_break(records: Iterable[AuditRecord], *, expected_head: str | None = None) -> ChainBreak | None:
    """Check a chain from its first record on; None when it holds.

    `expected_head` is a head hash kept elsewhere: without it, records cut off the end cannot be noticed.
    """
    previous, sequence = GENESIS_HASH, 0
    for record in records:
        sequence += 1
        if record.sequence != sequence:
            return ChainBreak(
                sequence, f"record {sequence} is missing: the next one is numbered {record.sequence}"
            )
        if record.previous_hash != previous:
            return ChainBreak(sequence, "it does not follow the record before it")
        actual = hash_record(
            record.chain, record.sequence, record.occurred_at, record.actor, record.action, record.target,
            record.detail, record.previous_hash,
        )  # fmt: skip
        if actual != record.hash:
            return ChainBreak(sequence, "its content does not match its hash")
        previous = record.hash
    if expected_head is not None and previous != expected_head:
        return ChainBreak(sequence + 1, "records are missing at the end: the head differs from the one kept")
    return None
