"""Numbers the GPUs of each node and keeps their metered intervals, one pass per node.

The spool is the truth of what was metered, the pod's annotation of what was given. Both outlive the process:
after a restart open intervals continue, and those whose pod is gone close when they were last seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

import structlog

from controlplane.spool.record_rules import JsonObject, Position
from controlplane.spool.segments import Spool, SpoolBusy
from operators.allocation.allocation_rules import (
    BEAT_SECONDS,
    Assignment,
    GpuPod,
    Interval,
    NodeFacts,
    Phase,
    Record,
    beat_all,
    decide_assignments,
    decide_records,
)
from operators.allocation.events import event_of, read_event
from operators.allocation.views import ANNOTATION_GPUS, format_gpus, observe_gpu_pod, observe_node
from operators.lib.clock import Clock
from operators.lib.controller import Result, World
from operators.lib.metrics import Metrics
from operators.lib.objects import PODS, Obj, ObjectKey
from operators.lib.store import Change, Store

FIELD_MANAGER = "rempart-allocation"
INDEX_NODE = "gpu-node"

SPOOL = "allocation"
SEGMENT_BYTES_MAX = 16 * 1024 * 1024
SEGMENTS_KEPT = 2
"""A segment begins with a beat of everything open: the newest two tell what is open, whenever the older one ended."""

RECOVERIES_MAX = 10
"""Attempts to read back what was open before a segment that nobody can read is passed over."""

# GPUs that are not free yet (a pod that is still ending) are looked for again this often.
WAIT_SECONDS = 1.0

log = structlog.get_logger(__name__)


class AllocationLedger:
    """Open intervals and the spool that proves them. Opened when this process leads, closed after.

    Records are written before they count: memory changes only once the disk has them.
    """

    def __init__(self, directory: Path, clock: Clock, metrics: Metrics | None = None) -> None:
        self._directory = directory
        self._clock = clock
        self._metrics = metrics or Metrics()
        self._recoveries = 0
        self._spool: Spool | None = None
        self._open: dict[str, dict[int, Interval]] = {}
        self._closed_at: dict[str, dict[int, datetime]] = {}
        self._recovered_nodes: set[str] = set()
        self._appending = asyncio.Lock()
        # Whoever took over later counts: the ingest does not believe an earlier writer about the time since.
        self._epoch = 0

    @property
    def is_open(self) -> bool:
        return self._spool is not None

    @property
    def durable(self) -> Position | None:
        """How far the spool may be shipped; None while another process writes it."""
        return None if self._spool is None else self._spool.durable

    def open(self) -> None:
        """Take the spool and read back what was open. Errors: SpoolBusy; OSError while the disk does not let it."""
        assert self._spool is None
        self._epoch = int(self._clock.now().timestamp())
        spool = Spool(
            self._directory,
            segment_bytes_max=SEGMENT_BYTES_MAX,
            kept=SEGMENTS_KEPT,
            on_rotate=self._opening_beats,
        )
        try:
            self._recover(spool)
        except OSError:
            spool.close()
            raise
        self._spool = spool
        self._metrics.spool_damage.labels(SPOOL).inc(spool.damage.lines + spool.damage.segments)
        self._metrics.is_spool_open.labels(SPOOL).set(1)

    def _recover(self, spool: Spool) -> None:
        self._recoveries += 1
        self._open, self._closed_at = {}, {}
        try:
            for event in spool.recover():
                self._apply_event(event)
        except OSError as err:
            if self._recoveries < RECOVERIES_MAX:
                raise
            log.error("open_intervals_not_read", error=str(err))
        self._recovered_nodes = {node for node, intervals in self._open.items() if intervals}

    def _apply_event(self, event: JsonObject) -> None:
        try:
            recorded = read_event(event)
        except (KeyError, ValueError, TypeError, AttributeError) as err:
            log.error("spooled_event_unreadable", error=repr(err)[:300])
            return
        if recorded is not None:
            self._apply(recorded.interval, recorded.phase)

    def close(self) -> None:
        """Let go of the spool; another process may take it."""
        self._metrics.is_spool_open.labels(SPOOL).set(0)
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def open_intervals(self, node: str) -> dict[int, Interval]:
        """Open intervals of a node by GPU index."""
        return dict(self._open.get(node, {}))

    def nodes(self) -> list[str]:
        """Nodes with an open interval."""
        return [node for node, intervals in self._open.items() if intervals]

    async def settle(self, node: NodeFacts | None, name: str, pods: Sequence[GpuPod]) -> tuple[Record, ...]:
        """Decide a node's records and put them on disk."""
        async with self._appending:
            assert self._spool is not None
            records = decide_records(
                node,
                pods,
                self._open.get(name, {}),
                self._closed_at.get(name, {}),
                self._clock.now(),
                is_recovering=name in self._recovered_nodes,
            )
            if records:
                # fsync takes milliseconds on a good day: other reconciles go on meanwhile.
                await asyncio.to_thread(self._spool.append, [event_of(each, self._epoch) for each in records])
            for record in records:
                self._apply(record.interval, record.phase)
            self._recovered_nodes.discard(name)
            return records

    def _apply(self, interval: Interval, phase: Phase) -> None:
        intervals = self._open.setdefault(interval.node, {})
        if phase is Phase.CLOSE:
            held = intervals.get(interval.gpu_index)
            if held is not None and held.pod_uid == interval.pod_uid:
                del intervals[interval.gpu_index]
            self._closed_at.setdefault(interval.node, {})[interval.gpu_index] = interval.observed_at
        else:
            intervals[interval.gpu_index] = interval

    def _opening_beats(self) -> Sequence[JsonObject]:
        """A segment begins with a beat of everything open, so that older segments may go."""
        every = [each for intervals in self._open.values() for each in intervals.values()]
        return [event_of(record, self._epoch) for record in beat_all(every, self._clock.now())]


class AllocationReconciler:
    """One pass per node: number what is new, write it on the pods, then record."""

    def __init__(self, nodes: Store, pods: Store, ledger: AllocationLedger, cell: str) -> None:
        self._nodes = nodes
        self._pods = pods
        self._ledger = ledger
        self._cell = cell

    async def reconcile(self, key: ObjectKey, world: World) -> Result:
        """One pass for one node, which may be gone already."""
        if not self._ledger.is_open:
            # The spool is still held by a predecessor that is ending; `run_ledger` takes it.
            return Result(requeue_after_s=WAIT_SECONDS)
        raw = self._nodes.get(key)
        node = observe_node(raw, self._cell) if raw is not None else None
        pods = self._observe_pods(key.name)
        assigned = decide_assignments(node.gpu_total, pods) if node is not None else ()
        for assignment in assigned:
            await self._write(assignment, world)
        pods = self._observe_pods(key.name)
        for record in await self._ledger.settle(node, key.name, pods):
            if record.phase is not Phase.BEAT:
                log.info("gpu_interval", id=record.id, gpu=record.interval.gpu_id, reason=record.reason)
        if any(not pod.gpus and not pod.is_ended for pod in pods):
            return Result(requeue_after_s=WAIT_SECONDS)
        return Result(requeue_after_s=self._until_beat(key.name, world.clock.now()))

    def _observe_pods(self, node: str) -> list[GpuPod]:
        found = (observe_gpu_pod(pod) for pod in self._pods.by_index(INDEX_NODE, node))
        return [pod for pod in found if pod is not None]

    async def _write(self, assignment: Assignment, world: World) -> None:
        pod = assignment.pod
        patch: Obj = {
            "metadata": {"uid": pod.uid, "annotations": {ANNOTATION_GPUS: format_gpus(assignment.gpus)}}
        }
        key = ObjectKey(pod.namespace, pod.name)
        self._pods.observe_write(await world.client.patch(PODS, key, patch, manager=FIELD_MANAGER))

    def _until_beat(self, node: str, now: datetime) -> float | None:
        waits = [
            BEAT_SECONDS - (now - interval.opened_at).total_seconds() % BEAT_SECONDS
            for interval in self._ledger.open_intervals(node).values()
        ]
        return min(waits, default=None)


async def run_ledger(ledger: AllocationLedger, wake: Callable[[str], None]) -> None:
    """Hold the spool while this process leads. `wake` gets the nodes whose intervals were read back.

    A disk that does not let it be opened is asked again: this process records nothing and numbers no GPU meanwhile
    (`rempart_operator_spool_open` is 0), and goes on by itself once the disk is good.
    """
    try:
        while not ledger.is_open:
            try:
                ledger.open()
            except SpoolBusy:
                log.warning("spool_busy", retry_seconds=WAIT_SECONDS)
                await asyncio.sleep(WAIT_SECONDS)
            except OSError as err:
                log.error("spool_not_opened", error=str(err), retry_seconds=WAIT_SECONDS)
                await asyncio.sleep(WAIT_SECONDS)
        for node in ledger.nodes():
            wake(node)
        await asyncio.Event().wait()
    finally:
        ledger.close()


def node_of_pod(pod: Obj) -> Iterable[str]:
    """Index of pods by the node they are bound to."""
    node = (pod.get("spec") or {}).get("nodeName")
    if node:
        yield node


def keys_of_node(change: Change) -> Iterable[ObjectKey]:
    """Which node a pod's change concerns."""
    pod = change.new or change.old
    assert pod is not None
    for node in node_of_pod(pod):
        yield ObjectKey("", node)
