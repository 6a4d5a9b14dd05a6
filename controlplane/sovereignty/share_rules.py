"""What may be stated: no company is held beyond 100 %, and identifiers carry their check digits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from controlplane.sovereignty.domain import BASIS_POINTS, Holding
from controlplane.sovereignty.graph_rules import Share, share_bp

LEI_LENGTH = 20


def find_share_overflow(existing: Sequence[Holding], new: Holding) -> tuple[Share, int] | None:
    """Return the share (and its sum in basis points) that would exceed 100 % at some instant of the new holding.

    Sums only grow where a holding begins, so the instants to look at are the beginnings.
    """
    instants = [new.valid_from, *(h.valid_from for h in existing if _covers(new, h.valid_from))]
    shares: tuple[Share, ...] = ("capital", "votes")
    for share in shares:
        for instant in sorted(instants):
            total = share_bp(new, share) + sum(share_bp(h, share) for h in existing if _covers(h, instant))
            if total > BASIS_POINTS:
                return share, total
    return None


def is_valid_lei(text: str) -> bool:
    """Check a legal entity identifier: 18 characters and two check digits, modulo 97 (ISO 17442, ISO 7064)."""
    if len(text) != LEI_LENGTH or not text.isascii() or not text.isalnum() or text != text.upper():
        return False
    return text[-2:].isdigit() and int("".join(str(int(character, 36)) for character in text)) % 97 == 1


def _covers(holding: Holding, instant: datetime) -> bool:
    return holding.valid_from <= instant and (holding.valid_to is None or instant < holding.valid_to)
