"""Read what Envoy's script counted of refused calls, and write what the control plane is told. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from controlplane.plumbing.address_rules import bucket_of, parse_address
from controlplane.plumbing.refusal_rules import Counted, Refusal, kind_of

# <status> <code> <path> <network> <key> <tenant> <count> <first ms> <last ms>
_LINE = re.compile(
    r"(\d{3}) ([a-z_]{1,60}) (\S{1,60}) (\S{1,60}) (\S{1,60}) (\S{1,60}) (\d{1,15}) (\d{1,14}) (\d{1,14})"
)


def parse_counts(body: str) -> Iterator[Counted]:
    """Yield the rows of one report; a line that is none of ours is left out."""
    for line in body.splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        status, code, route, network, key, tenant, count, first, last = found.groups()
        kind = kind_of(int(status), code)
        if kind is None or int(count) < 1 or int(last) < int(first):
            continue
        refusal = Refusal(kind, code, route, write_network(network), _known(key), _known(tenant))
        yield Counted(refusal, int(count), _instant(first), _instant(last))


def write_network(network: str) -> str:
    """Write a network as the other doors do: the script leaves the four groups of an IPv6 /64 bare."""
    return bucket_of(parse_address(f"{network}::")) if ":" in network else network


def to_wire(row: Counted, identifier: str) -> dict[str, object]:
    """Write one row as `POST /v1/security_events` takes it."""
    refusal = row.refusal
    return {
        "id": identifier,
        "kind": refusal.kind.value,
        "reason": refusal.reason,
        "route": refusal.route,
        "address": refusal.address,
        "key_id": refusal.key_id,
        "organization_id": refusal.tenant_id,
        "count": row.count,
        "first_at": row.first_at.isoformat(),
        "last_at": row.last_at.isoformat(),
    }


def _known(text: str) -> str | None:
    return None if text == "-" else text


def _instant(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
