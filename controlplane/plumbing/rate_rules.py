"""How much a caller may ask for: a token bucket as the generic cell rate algorithm, and Retry-After. Pure.

A bucket is one number: the instant when it will be full again ("theoretical arrival time"), in microseconds. Taking
moves it ahead by one interval a token; it may run ahead of now by the bucket's capacity and no further.
Sources: ITU-T I.371 annex A (GCRA); RFC 6585 §4 (429); RFC 9110 §10.2.3 (Retry-After).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Limit:
    """`interval_us` is the time that one token takes to come back; `burst` is how many a full bucket holds."""

    interval_us: int
    burst: int

    def __post_init__(self) -> None:
        if self.interval_us < 1 or self.burst < 1:
            raise ValueError("a limit lets something through")

    @property
    def capacity_us(self) -> int:
        return self.interval_us * self.burst


def limit_of(count: int, period_seconds: int, burst: int) -> Limit:
    """Return the limit that lets `count` through in each period, and `burst` at once."""
    return Limit(max(1, period_seconds * MICROSECONDS // count), burst)


@dataclass(frozen=True, slots=True)
class Take:
    """Wish for `cost` tokens of the bucket called `bucket`."""

    bucket: str
    limit: Limit
    cost: int = 1

    @property
    def tokens(self) -> int:
        """A cost above the bucket would never be let through: it takes the whole bucket."""
        return min(self.cost, self.limit.burst)


def decide(full_at_us: int, now_us: int, take: Take) -> tuple[int, int]:
    """Return when the bucket is full again after taking, and how long to wait first: 0 when the tokens are there."""
    after = max(full_at_us, now_us) + take.limit.interval_us * take.tokens
    return after, max(0, after - now_us - take.limit.capacity_us)


def charge(full_at_us: int, now_us: int, take: Take) -> int:
    """Take without asking (or, with a negative cost, give back); never more than empties or fills the bucket."""
    after = max(full_at_us, now_us) + take.limit.interval_us * take.cost
    return min(max(after, now_us), now_us + take.limit.capacity_us)


def retry_after_seconds(wait_us: int) -> int:
    """Round up: who waits this long finds the tokens there."""
    return max(1, -(-wait_us // MICROSECONDS))
