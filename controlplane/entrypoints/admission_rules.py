"""Which limits a request meets before anything is read from the database. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controlplane.plumbing.rate_rules import Limit, Take, limit_of

MINUTE: Final = 60
HOUR: Final = 3600
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# An organization may use twice what one of its keys may.
KEYS_OF_A_TENANT: Final = 2
# Operations that read or compute much more than a page of rows: one counts as several.
_HEAVY: Final = 10
_HEAVY_ENDS: Final = ("/export", "/verification", "/fec", "/preview", "/explanation", "/close")
_HEAVY_PARTS: Final = ("/streams/logs/",)
INGEST: Final = "/v1/usage_events"
# What a stranger may send; each is counted by the caller's address.
SIGNUP_PATHS: Final = frozenset({"/v1/signup", "/v1/invitations/accept"})
# A probe must be answered however busy the door is; none of these costs a query for each request.
UNCOUNTED: Final = frozenset({"/healthz", "/readyz"})


class RouteClass(StrEnum):
    """What is counted apart: a flood of one kind leaves the others their room."""

    READS = "reads"
    WRITES = "writes"
    INGEST = "ingest"
    SIGNUP = "signup"
    ANONYMOUS = "anonymous"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Rates:
    """What one key or one address may do, from the settings; no number can be zero or without end."""

    reads_per_minute: int
    writes_per_minute: int
    ingests_per_minute: int
    signups_per_hour: int
    failed_signins_per_minute: int
    anonymous_per_minute: int

    def limit(self, route_class: RouteClass) -> Limit:
        """A quarter of a minute's worth may come at once; of what a stranger may do, the whole."""
        match route_class:
            case RouteClass.READS:
                return _steady(self.reads_per_minute)
            case RouteClass.WRITES:
                return _steady(self.writes_per_minute)
            case RouteClass.INGEST:
                return _steady(self.ingests_per_minute)
            case RouteClass.SIGNUP:
                return limit_of(self.signups_per_hour, HOUR, self.signups_per_hour)
            case RouteClass.FAILED:
                return limit_of(self.failed_signins_per_minute, MINUTE, self.failed_signins_per_minute)
            case RouteClass.ANONYMOUS:
                return limit_of(self.anonymous_per_minute, MINUTE, self.anonymous_per_minute)


def _steady(per_minute: int) -> Limit:
    return limit_of(per_minute, MINUTE, max(1, per_minute // 4))


def classify(method: str, path: str, *, has_key: bool) -> RouteClass:
    if path in SIGNUP_PATHS and method not in READING:
        return RouteClass.SIGNUP
    if not has_key:
        return RouteClass.ANONYMOUS
    if path == INGEST:
        return RouteClass.INGEST
    return RouteClass.READS if method in READING else RouteClass.WRITES


def cost_of(path: str) -> int:
    """How many tokens a request takes."""
    if path.endswith(_HEAVY_ENDS) or any(part in path for part in _HEAVY_PARTS):
        return _HEAVY
    return 1


def takes_of_key(
    rates: Rates, route_class: RouteClass, path: str, key: str, caller: str | None
) -> list[Take]:
    """Return what a request with a key takes: of the key, and of the caller (a tenant) once it is known."""
    limit, cost = rates.limit(route_class), cost_of(path)
    takes = [Take(f"{route_class}:key:{key}", limit, cost)]
    if caller is not None:
        shared = Limit(max(1, limit.interval_us // KEYS_OF_A_TENANT), limit.burst * KEYS_OF_A_TENANT)
        takes.append(Take(f"{route_class}:tenant:{caller}", shared, cost))
    return takes


def take_of_address(rates: Rates, route_class: RouteClass, address: str, cost: int = 1) -> Take:
    return Take(f"{route_class}:address:{address}", rates.limit(route_class), cost)


def sentence(route_class: RouteClass, seconds: int) -> str:
    """Say what was too much and what to do."""
    what = {
        RouteClass.READS: "This key or its organization has read too much in a short time",
        RouteClass.WRITES: "This key or its organization has changed too much in a short time",
        RouteClass.INGEST: "This producer sends usage faster than it is taken in",
        RouteClass.SIGNUP: "Too many organizations were signed up from this address",
        RouteClass.FAILED: "Too many requests with wrong API keys came from this address",
        RouteClass.ANONYMOUS: "Too many requests without an API key came from this address",
    }[route_class]
    unit = "second" if seconds == 1 else "seconds"
    return f"{what}; send the request again in {seconds} {unit}."
