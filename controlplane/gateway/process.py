"""The gateway process: follow snapshots, write Envoy's files, hold calls, report demand, collect usage."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import redis.asyncio as aioredis
import structlog
from redis.exceptions import RedisError

from controlplane.gateway.activator import Activator
from controlplane.gateway.collector import Collector
from controlplane.gateway.demand import REPORT_SECONDS, DemandPublisher, DemandReport, read_active_calls
from controlplane.gateway.domain import GatewayConfig, Routing
from controlplane.gateway.http_server import HttpServer
from controlplane.gateway.metrics import Metrics
from controlplane.gateway.pressure import report_pressure
from controlplane.gateway.redis_feed import RedisFeed, connect
from controlplane.gateway.refusals import RefusalReporter
from controlplane.gateway.revoked import Revoked
from controlplane.gateway.room import Room
from controlplane.gateway.route_rules import decide_routes
from controlplane.gateway.store import ENDPOINTS_PREFIX, ROUTING_KEY, ROWS_LOGGED_MAX, Store
from controlplane.gateway.streams import Streams
from controlplane.gateway.wake import WAKES_LENGTH_MAX, WAKES_STREAM, WakeRecord
from controlplane.gateway.xds_writer import XdsWriter, write_atomically
from controlplane.spool import disk
from controlplane.spool.segments import Spool, SpoolBusy
from controlplane.spool.shipper import Counts, IngestTarget, Shipper

log = structlog.get_logger(__name__)

COLLECT_SECONDS = 0.1
"""Between two looks at the access log; with Envoy's flush of 0.2 s a call is durable within about 0.3 s."""

SPOOL_SEGMENT_BYTES_MAX = 8 * 1024 * 1024
"""About 10,000 events: what is shipped leaves the disk in such pieces."""

TURN_OVER_SECONDS = 5.0
ROOM_SECONDS = 0.1
WAKES_WAITING_MAX = 1000
"""Wake records kept while Redis is cut; they are telemetry, so the oldest is given up past this."""


def ensure_token(config: GatewayConfig) -> GatewayConfig:
    """Give the configuration the token of the inner doors: made once for a state folder, kept in it."""
    path = config.gateway_dir / "internal-token"
    config.gateway_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.is_file():
        write_atomically(path, secrets.token_hex(32).encode())
    return replace(config, internal_token=path.read_text(encoding="ascii"))


class GatewayProcess:
    """Everything the process runs, started and stopped as one."""

    def __init__(self, config: GatewayConfig) -> None:
        self._config = ensure_token(config)
        self._store = Store(self._config.gateway_dir / "snapshots")
        self._writer = XdsWriter(self._config)
        self._client: aioredis.Redis = connect(config.redis_url)
        self._feed = RedisFeed(self._client, self._store)
        self._publisher = DemandPublisher(self._client)
        self._wakes: asyncio.Queue[WakeRecord] = asyncio.Queue(WAKES_WAITING_MAX)
        self._background: set[asyncio.Task[bool]] = set()
        self._reported: set[str] = set()
        self._spool: Spool | None = None
        self._metrics = Metrics()
        self._room = Room(config.gateway_dir, config.go_file, config.access_log, config.disk_reserve_bytes)
        self._is_table_due = False

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; a part that fails ends the process, and the supervisor starts it again."""
        self._store.load()
        self._room.step()
        disk.make_folder(self._config.starts_dir)
        self._writer.write_bootstrap()
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=timeout
        ) as session:
            limits = self._config.limits
            activator = Activator(self._store, session, self._on_edge, self._on_wake, limits)
            streams = Streams(self._config.ended_file, self._store, Revoked(self._config.revoked_file))
            self._store.listen(self._on_change)
            self._write_table()
            refusals = RefusalReporter(self._ingest_target(), self._metrics)
            server = HttpServer(
                self._config, self._store, activator, self._status, self._metrics, streams.take, refusals.take
            )
            await server.start()
            log.info("gateway_ready", port=self._config.port, activator_port=self._config.activator_port)
            tasks = [
                asyncio.create_task(self._feed.run(), name="feed"),
                asyncio.create_task(self._report(session, activator), name="demand"),
                asyncio.create_task(self._collect(session), name="collector"),
                asyncio.create_task(self._watch_room(), name="room"),
                asyncio.create_task(self._send_wakes(), name="wakes"),
                asyncio.create_task(self._report_pressure(session), name="pressure"),
                asyncio.create_task(streams.run(), name="streams"),
                asyncio.create_task(refusals.run(session), name="refusals"),
                asyncio.create_task(stop.wait(), name="stop"),
            ]
            if self._config.ingest_url:
                tasks.append(asyncio.create_task(self._make_shipper().run(session), name="shipper"))
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                await server.stop()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self._client.aclose()

    def _on_change(self, key: str) -> None:
        if key == ROUTING_KEY:
            self._write_table()
        elif key.startswith(ENDPOINTS_PREFIX):
            name = key.removeprefix(ENDPOINTS_PREFIX)
            route = self._store.routes_by_id().get(name)
            if route is not None and not route.is_simulated:
                try:
                    self._writer.write_endpoints(name, self._store.endpoints_of(name))
                except OSError as err:
                    log.error("endpoints_not_written", reason=str(err))
                    self._is_table_due = True

    def _write_table(self) -> None:
        # If no snapshot was ever seen an empty table is written, so that Envoy starts and refuses.
        table = decide_routes(self._store.routing or Routing("none", ()))
        endpoints = {name: self._store.endpoints_of(name) for name in self._store.endpoint_sets}
        try:
            self._writer.write_table(table, endpoints)
            self._is_table_due = False
        except OSError as err:
            log.error("routes_not_written", reason=str(err))
            self._is_table_due = True

    def _on_edge(self, report: DemandReport) -> None:
        # Whoever was told of demand is also told of its end, even if it ends before the next report.
        self._reported.add(report.regional_deployment_id)
        task = asyncio.create_task(self._publisher.publish([report], is_edge=True))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _on_wake(self, record: WakeRecord) -> None:
        if self._wakes.full():
            self._wakes.get_nowait()
            log.warning("wake_record_given_up")
        self._wakes.put_nowait(record)

    async def _send_wakes(self) -> None:
        while True:
            record = await self._wakes.get()
            while True:
                try:
                    fields: dict[Any, Any] = {"wake": record.wire()}
                    await self._client.xadd(WAKES_STREAM, fields, maxlen=WAKES_LENGTH_MAX, approximate=True)
                    break
                except (RedisError, OSError, TimeoutError):
                    await asyncio.sleep(REPORT_SECONDS)

    async def _report(self, session: aiohttp.ClientSession, activator: Activator) -> None:
        """Each second say what every deployment has in flight; those that fell idle are told so once more."""
        while True:
            active = await read_active_calls(session, self._config.admin_port)
            at = datetime.now(UTC)
            held = activator.reports(at)
            reports = []
            for name in set(active) | set(held) | self._reported:
                waiting = held[name].waiting if name in held else 0
                # Envoy counts a held call too: its upstream is the activator.
                passed_on = held[name].in_flight if name in held else 0
                in_flight = max(active.get(name, 0) - waiting, passed_on)
                since = held[name].first_waiting_at if name in held else None
                reports.append(DemandReport(name, in_flight, waiting, since, at))
            reports = [
                r for r in reports if r.in_flight or r.waiting or r.regional_deployment_id in self._reported
            ]
            if await self._publisher.publish(reports):
                self._reported -= {r.regional_deployment_id for r in reports}
                self._reported |= {r.regional_deployment_id for r in reports if r.in_flight or r.waiting}
            await asyncio.sleep(REPORT_SECONDS)

    async def _report_pressure(self, session: aiohttp.ClientSession) -> None:
        config = self._config
        await report_pressure(session, config.admin_port, config.connections_max, self._writer)

    async def _collect(self, session: aiohttp.ClientSession) -> None:
        loop = asyncio.get_running_loop()
        collector = await self._open_collector()
        next_turn = loop.time()
        while True:
            try:
                # fsync waits for the disk: not in the thread that streams answers.
                while await asyncio.to_thread(collector.step):
                    pass
                if loop.time() >= next_turn:
                    next_turn = loop.time() + TURN_OVER_SECONDS
                    if await asyncio.to_thread(collector.turn_over):
                        await self._reopen_logs(session)
                    await asyncio.to_thread(collector.drop_finished)
                    unknown = await asyncio.to_thread(collector.settle, datetime.now(UTC))
                    self._metrics.usage_unknown.inc(unknown)
                    self._metrics.calls_open.set(collector.starts.open_count)
            except OSError as err:
                # Calls are refused by then (room.py); what those that still run used waits in the access log.
                log.error("usage_not_collected", reason=str(err))
                await asyncio.sleep(REPORT_SECONDS)
            await asyncio.sleep(COLLECT_SECONDS)

    async def _watch_room(self) -> None:
        """Refuse calls before there is no room to record them; write what a full disk did not take once it does."""
        while True:
            is_going = await asyncio.to_thread(self._room.step)
            self._metrics.is_recording.set(is_going)
            if self._is_table_due:
                self._write_table()
            await asyncio.sleep(ROOM_SECONDS)

    async def _open_collector(self) -> Collector:
        """Open the spool and what reads the access log; a disk that does not let it is asked again."""
        cursor = self._config.access_log.with_name("cursor.json")
        while True:
            try:
                if self._spool is None:
                    self._spool = await asyncio.to_thread(
                        Spool, self._config.spool_dir, segment_bytes_max=SPOOL_SEGMENT_BYTES_MAX
                    )
                    self._metrics.spool_damage.inc(self._spool.damage.lines + self._spool.damage.segments)
                return await asyncio.to_thread(
                    Collector, self._config.access_log, self._spool, cursor, self._config.name,
                    self._config.starts_dir, lambda: self._store.routing,
                )  # fmt: skip
            except (OSError, SpoolBusy) as err:
                log.error("usage_not_collected", reason=f"{type(err).__name__}: {err}")
            await asyncio.sleep(REPORT_SECONDS)

    def _make_shipper(self) -> Shipper:
        config, metrics = self._config, self._metrics
        # The spool is opened by the collector, which repairs it first.
        return Shipper(
            config.spool_dir,
            config.gateway_dir / "shipper",
            "usage",
            self._ingest_target(),
            lambda: None if self._spool is None else self._spool.durable,
            counts=Counts(metrics.usage_shipped, metrics.usage_set_aside, metrics.usage_not_taken),
        )

    def _ingest_target(self) -> IngestTarget:
        return IngestTarget(self._config.ingest_url, self._config.ingest_key, self._config.ingest_key_file)

    async def _reopen_logs(self, session: aiohttp.ClientSession) -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            url = f"http://127.0.0.1:{self._config.admin_port}/reopen_logs"
            async with session.post(url, timeout=aiohttp.ClientTimeout(total=REPORT_SECONDS)) as response:
                log.info("access_log_turned_over", status=response.status)

    def _status(self) -> dict[str, object]:
        routing, keys = self._store.routing, self._store.keys
        return {
            "status": "ready",
            "redis": self._feed.is_connected,
            "routing_version": None if routing is None else routing.version,
            "keys_version": None if keys is None else keys.version,
            "keys_generated_at": None if keys is None else keys.generated_at.isoformat(),
            "rows_dropped": self._list_dropped(),
            "is_recording": self._room.is_going,
            "snapshots_refused": dict(self._store.refused),
        }

    def _list_dropped(self) -> list[dict[str, str]]:
        """List the rows that are not live, for whoever runs the gateway; the metrics count all of them."""
        rows = [(key, row) for key, dropped in self._store.dropped.items() for row in dropped]
        self._metrics.rows_dropped.set(len(rows))
        self._metrics.snapshots_refused.set(len(self._store.refused))
        return [
            {"snapshot": key, "row": row.row, "reason": row.reason} for key, row in rows[:ROWS_LOGGED_MAX]
        ]
