"""Who is refused at this gateway itself, whatever the control plane says: a list that a person writes. Pure.

One name a line: an API key's id (`key_…`), a tenant's (`org_…`), or the hex hash under which a key is known. What
stands behind `#` is a remark.
"""

from __future__ import annotations

import re

from controlplane.gateway.domain import ApiKey

NAMES_MAX = 10_000
"""Names of one list; a list for an emergency, not a second table of keys."""

_NAME = re.compile(r"(?:key|org)_[0-9a-hjkmnp-tv-z]{26}|[0-9a-f]{64}")


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def parse_revoked(text: str) -> tuple[frozenset[str], tuple[int, ...]]:
    """Read a list: its names, and the numbers of the lines that name nothing.

    A line that cannot be read takes no other one's effect away.
    """
    names, bad = set(), []
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.partition("#")[0].strip()
        if is_name(name):
            names.add(name)
        elif name:
            bad.append(number)
    return frozenset(names), tuple(bad)


def is_revoked(names: frozenset[str], key: ApiKey) -> bool:
    """Whether a key, or whose it is, is on the list."""
    return not names.isdisjoint((key.key_id, key.tenant_id, key.hash))
