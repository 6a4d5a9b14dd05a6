"""One wake of a sleeping service, from the first call's first byte to the first token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson

WAKES_STREAM = "rempart:wakes"
WAKES_LENGTH_MAX = 10_000


@dataclass(frozen=True, slots=True)
class WakeRecord:
    """What is told of a finished wake; all instants are the gateway's clock."""

    request_id: str
    regional_deployment_id: str
    first_byte_at: datetime
    demand_at: datetime
    endpoint_at: datetime
    first_token_at: datetime
    instance: str

    def wire(self) -> bytes:
        return orjson.dumps(
            {
                "request_id": self.request_id,
                "regional_deployment_id": self.regional_deployment_id,
                "first_byte_at": self.first_byte_at.isoformat(),
                "demand_at": self.demand_at.isoformat(),
                "endpoint_at": self.endpoint_at.isoformat(),
                "first_token_at": self.first_token_at.isoformat(),
                "instance": self.instance,
            }
        )


class Wake:
    """A wake under way. The first call that gets a token ends it, whichever call began it."""

    def __init__(self, regional_deployment_id: str, first_byte_at: datetime, demand_at: datetime) -> None:
        self._regional_deployment_id = regional_deployment_id
        self._first_byte_at = first_byte_at
        self._demand_at = demand_at
        self._endpoint_at: datetime | None = None

    def endpoint_seen(self, at: datetime) -> None:
        """Note when an endpoint first could be sent to."""
        if self._endpoint_at is None:
            self._endpoint_at = at

    def finish(self, request_id: str, instance: str, at: datetime) -> WakeRecord:
        return WakeRecord(
            request_id,
            self._regional_deployment_id,
            self._first_byte_at,
            self._demand_at,
            self._endpoint_at or at,
            at,
            instance,
        )
