"""Which calls were refused to whom: from Envoy's script to the metrics, the log, and the control plane each minute.

These are counts and no evidence: what a killed process had not handed on is lost, and nothing is billed by them.
"""

from __future__ import annotations

import asyncio

import aiohttp
import structlog
from aiohttp import web

from controlplane.gateway.metrics import Metrics
from controlplane.gateway.refusal_report_rules import parse_counts, to_wire
from controlplane.kernel.ids import EventId
from controlplane.plumbing.refusal_counts import RefusalCounts
from controlplane.plumbing.refusal_rules import Counted
from controlplane.spool.shipper import IngestTarget

log = structlog.get_logger(__name__)

REPORT_SECONDS = 60.0
REQUEST_SECONDS_MAX = 10.0
PATH = "/v1/security_events"


class RefusalReporter:
    """Takes counts from all of Envoy's workers; without an address to report to, the log and the metrics have them."""

    def __init__(self, target: IngestTarget, metrics: Metrics) -> None:
        self._target = target
        self._metrics = metrics
        self._counts = RefusalCounts()
        # Sent, and not known to have arrived: the same ids again, so that nothing counts twice.
        self._waiting: list[dict[str, object]] = []

    async def take(self, request: web.Request) -> web.Response:
        """Take what one worker counted; answers 204 whatever it was."""
        rows = list(parse_counts((await request.read()).decode("ascii", "replace")))
        for row in rows:
            self._metrics.refusals.labels(row.refusal.reason).inc(row.count)
        self._counts.add(rows)
        return web.Response(status=204)

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Hand on what was counted, each minute, for ever."""
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            await self.step(session)

    async def step(self, session: aiohttp.ClientSession) -> None:
        """Hand on once. While the control plane is away counts are added to, within their bound."""
        if not self._waiting:
            rows = self._counts.take()
            for row in rows:
                _write(row)
            self._waiting = [to_wire(row, str(EventId.new())) for row in rows]
        if not self._waiting or not self._target.url:
            self._waiting = []
            return
        if await self._send(session):
            self._waiting = []

    async def _send(self, session: aiohttp.ClientSession) -> bool:
        """Send what waits; False when it has to be sent again."""
        try:
            key = await asyncio.to_thread(self._target.read_key)
            timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
            url = f"{self._target.url.rstrip('/')}{PATH}"
            async with session.post(
                url, json={"security_events": self._waiting}, timeout=timeout,
                headers={"Authorization": f"Bearer {key}"},
            ) as answer:  # fmt: skip
                if answer.status in {400, 413, 422}:
                    # It will not be taken the next time either; the log has it.
                    log.error("refusals_not_taken", status=answer.status, rows=len(self._waiting))
                    return True
                return answer.ok
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as err:
            log.warning("refusals_not_reported", reason=type(err).__name__, rows=len(self._waiting))
            return False


def _write(row: Counted) -> None:
    log.warning(
        "calls_refused",
        kind=row.refusal.kind.value,
        code=row.refusal.reason,
        path=row.refusal.route,
        client_address=row.refusal.address,
        key_id=row.refusal.key_id,
        tenant_id=row.refusal.tenant_id,
        count=row.count,
        first_at=row.first_at.isoformat(),
        last_at=row.last_at.isoformat(),
    )
