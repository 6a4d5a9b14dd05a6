"""One run of a container: when it counts as started, as ready, and when its probes give it up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from infra.local.processnode.container_process import ContainerProcess
from infra.local.processnode.domain import ContainerRecord, ContainerState, PodPlan, Probe, StateKind
from infra.local.processnode.journal import log
from infra.local.processnode.probe_rules import ProbeState, decide_interval, is_given_up, observe_answer
from infra.local.processnode.prober import is_answering
from infra.local.processnode.status_writer import StatusWriter


class ContainerRun:
    """Follows one process with the probes of its plan and tells the status writer what they conclude."""

    def __init__(
        self, plan: PodPlan, process: ContainerProcess, ports: Mapping[int, int], writer: StatusWriter
    ) -> None:
        self.end_reason = ""
        self._plan = plan
        self._process = process
        self._ports = ports
        self._writer = writer
        self._born = time.monotonic()

    def begin(self, ports: tuple[tuple[str, int], ...]) -> None:
        """Report the container as running; without a readiness probe it is ready at once."""
        now = datetime.now(UTC)
        is_started = self._plan.startup is None
        is_ready = is_started and self._plan.readiness is None
        before = self._writer.record
        running = ContainerState(
            StateKind.RUNNING, started_at=now, container_id=f"process://{self._process.pid}"
        )
        self._writer.set_record(
            ContainerRecord(
                state=running,
                last_state=before.last_state,
                is_ready=is_ready,
                is_started=is_started,
                restart_count=before.restart_count,
                ready_at=now if is_ready else None,
                ports=ports,
            )
        )

    def lose_readiness(self) -> None:
        """Report the container as not ready, because it is about to stop."""
        if self._writer.record.is_ready:
            self._writer.set_record(replace(self._writer.record, is_ready=False))

    async def probe(self) -> None:
        """Ask the probes until the container is given up (`end_reason`) or this is cancelled."""
        if self._plan.startup:
            await self._pass_startup(self._plan.startup)
        async with asyncio.TaskGroup() as group:
            if self._plan.readiness and not self.end_reason:
                readiness = group.create_task(self._watch_readiness(self._plan.readiness))
            if self._plan.liveness and not self.end_reason:
                await self._watch_liveness(self._plan.liveness)
                if self._plan.readiness:
                    readiness.cancel()

    async def _pass_startup(self, probe: Probe) -> None:
        state = await self._settle(probe)
        if not state.is_passing:
            self._give_up("startup")
            return
        is_ready = self._plan.readiness is None
        ready_at = datetime.now(UTC) if is_ready else None
        record = replace(self._writer.record, is_started=True, is_ready=is_ready, ready_at=ready_at)
        self._writer.set_record(record)

    async def _settle(self, probe: Probe) -> ProbeState:
        """Ask until the probe passes or is given up."""
        await asyncio.sleep(probe.initial_delay)
        state = ProbeState()
        asked_at = 0.0
        while not state.is_passing:
            is_success = await is_answering(probe, self._ports[probe.port])
            # Fast questions between periods find success early; only those on the period count as failures.
            if is_success or time.monotonic() - asked_at >= probe.period:
                asked_at = time.monotonic()
                state = observe_answer(state, probe, is_success)
            if is_given_up(state, probe):
                return state
            await asyncio.sleep(decide_interval(state, probe, time.monotonic() - self._born))
        return state

    async def _watch_readiness(self, probe: Probe) -> None:
        await asyncio.sleep(probe.initial_delay)
        state = ProbeState()
        while True:
            state = observe_answer(state, probe, await is_answering(probe, self._ports[probe.port]))
            if state.is_passing != self._writer.record.is_ready:
                now = datetime.now(UTC)
                ready_at = self._writer.record.ready_at or (now if state.is_passing else None)
                record = replace(self._writer.record, is_ready=state.is_passing, ready_at=ready_at)
                self._writer.set_record(record)
            await asyncio.sleep(decide_interval(state, probe, time.monotonic() - self._born))

    async def _watch_liveness(self, probe: Probe) -> None:
        await asyncio.sleep(probe.initial_delay)
        state = ProbeState(is_passing=True, has_passed=True)
        while not is_given_up(state, probe):
            state = observe_answer(state, probe, await is_answering(probe, self._ports[probe.port]))
            await asyncio.sleep(probe.period)
        self._give_up("liveness")

    def _give_up(self, kind: str) -> None:
        log("container_given_up", pod=self._plan.name, probe=kind)
        self.end_reason = f"{kind.capitalize()}ProbeFailed"
