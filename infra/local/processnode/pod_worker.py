"""One pod's life on this node: start, probe, restart, stop, report; one task per pod."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from infra.local.processnode.api_client import RETRY_FIRST_SECONDS, RETRY_MOST_SECONDS, ApiClient, ApiError
from infra.local.processnode.container_log import ContainerLog, drop_old_logs, log_path
from infra.local.processnode.container_process import (
    ContainerProcess,
    StartFailed,
    base_environment,
    start_process,
)
from infra.local.processnode.container_run import ContainerRun
from infra.local.processnode.domain import (
    ContainerRecord,
    ContainerState,
    PodPlan,
    PodRefused,
    RestartPolicy,
    StateKind,
)
from infra.local.processnode.environment import resolve_environment
from infra.local.processnode.journal import log
from infra.local.processnode.leftovers import record_process
from infra.local.processnode.pod_rules import decide_plan, expand_references
from infra.local.processnode.pod_users import give_folders, user_of
from infra.local.processnode.ports import NoPortFree, PortBook
from infra.local.processnode.status_rules import (
    count_crashes,
    decide_backoff,
    is_restart_wanted,
    restore_record,
)
from infra.local.processnode.status_writer import StatusWriter

REFUSED_RETRY_SECONDS = 2.0
"""How often a pod that waits for a Secret looks again."""

FLUSH_SECONDS_MAX = 10.0
"""How long the last status may take before the pod is removed without it."""

FAREWELL_SECONDS_MAX = 2.0
"""The same when the whole node stops: the API server may be stopping too."""

VANISHED_GRACE_SECONDS = 1
"""A pod that was force-deleted has no grace left; its process gets one second to close its files."""

SHUTDOWN_GRACE_SECONDS_MAX = 5
"""When the whole node stops, so does the stack around it: nobody is left to answer."""

TERMINATION_FILE = "termination-log"
TERMINATION_FILE_VARIABLE = "REMPART_TERMINATION_MESSAGE_PATH"
START_ERROR_EXIT_CODE = 128


class Ending(Enum):
    """Why a pod stops, ordered by how little time is left."""

    NONE = 0
    DEADLINE = 1
    DELETED = 2
    SHUTDOWN = 3
    VANISHED = 4


@dataclass(frozen=True, slots=True)
class PodSurroundings:
    """What every pod of this node shares."""

    client: ApiClient
    ports: PortBook
    pods_folder: Path
    source_root: Path
    # Whether each pod has a user of its own.
    is_separated: bool = False


class PodWorker:
    """Runs one pod until its object is gone."""

    def __init__(self, pod: Mapping[str, Any], surroundings: PodSurroundings) -> None:
        metadata = pod["metadata"]
        self.uid: str = metadata["uid"]
        self.namespace: str = metadata["namespace"]
        self.name: str = metadata["name"]
        self.container: str = pod["spec"]["containers"][0]["name"]
        self.folder = surroundings.pods_folder / self.uid
        self.log: ContainerLog | None = None
        self._shared = surroundings
        self._ending = Ending.NONE
        self._changed = asyncio.Event()
        self._crashes = 0
        record = restore_record(pod.get("status", {}), datetime.now(UTC))
        self._writer = StatusWriter(surroundings.client, pod, record)
        self.observe(pod)

    @property
    def log_run(self) -> int:
        """The number of the newest run, which names its log."""
        return self._writer.record.restart_count

    @property
    def pod(self) -> Mapping[str, Any]:
        """The newest object of this pod."""
        return self._writer.pod

    def observe(self, pod: Mapping[str, Any]) -> None:
        """Take the newest object of this pod."""
        self._writer.observe(pod)
        if pod["metadata"].get("deletionTimestamp"):
            self.end(Ending.DELETED)

    def end(self, ending: Ending) -> None:
        """Ask the pod to stop; a more urgent reason replaces a less urgent one."""
        if ending.value > self._ending.value:
            self._ending = ending
        self._changed.set()

    async def run(self) -> None:
        """Live, wait to be deleted, and go. Returns when nothing of the pod is left on this node."""
        self.folder.mkdir(parents=True, exist_ok=True)
        writing = asyncio.create_task(self._writer.run())
        try:
            await self._live()
            while self._ending in (Ending.NONE, Ending.DEADLINE):
                await self._wait_for_change(None)
            await self._leave()
        finally:
            writing.cancel()
            self._shared.ports.release(self.uid)

    async def _live(self) -> None:
        """Run the container again and again until it is final or the pod ends."""
        record = self._writer.record
        if record.state.kind is StateKind.TERMINATED and not record.is_final:
            self._settle(self._writer.pod["spec"].get("restartPolicy", "Always"), record.state)
            # The container did not crash, its node went away: it starts again without delay.
            self._crashes = 0
        while self._ending is Ending.NONE and not self._writer.record.is_final:
            try:
                plan = decide_plan(self._writer.pod, sys.executable)
                await self._back_off()
                if self._ending is Ending.NONE:
                    await self._run_once(plan)
            except PodRefused as refusal:
                self._refuse(refusal)
                await self._wait_for_change(None if refusal.is_final else REFUSED_RETRY_SECONDS)

    async def _run_once(self, plan: PodPlan) -> None:
        """One start, one end, and what follows from it."""
        record = self._writer.record
        run_number = record.restart_count
        try:
            names = [str(port.number) for port in plan.ports]
            assigned = self._shared.ports.assign(self.uid, names)
        except NoPortFree as error:
            raise PodRefused("CreateContainerError", str(error), is_final=False) from error
        ports = {port.number: assigned[str(port.number)] for port in plan.ports}
        process = await self._start(plan, ports, run_number)
        if process is None:
            return
        run = ContainerRun(plan, process, ports, self._writer)
        run.begin(tuple((port.name, ports[port.number]) for port in plan.ports))
        exit_code = await self._supervise(plan, run, process)
        state = self._terminated(self._writer.record.state, exit_code, run.end_reason, process.log.last_line)
        log("container_ended", pod=self.name, exit_code=exit_code, reason=state.reason)
        self._settle(plan.restart_policy, state)

    async def _start(
        self, plan: PodPlan, ports: Mapping[int, int], run_number: int
    ) -> ContainerProcess | None:
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        termination = self.folder / TERMINATION_FILE
        termination.unlink(missing_ok=True)
        base = base_environment(work, self._shared.source_root)
        base[TERMINATION_FILE_VARIABLE] = str(termination)
        user = user_of(self.uid) if self._shared.is_separated else None
        if user is not None:
            give_folders(self.folder, work, termination, user)
        environ = await resolve_environment(self._shared.client, self._writer.pod, plan, ports, base)
        command = [expand_references(word, environ) for word in plan.command]
        drop_old_logs(self.folder, self.container, run_number)
        self.log = ContainerLog(log_path(self.folder, self.container, run_number))
        try:
            process = await start_process(command, environ, work, self.log, plan.memory_limit_mib, user)
        except StartFailed as failure:
            self.log.close()
            now = datetime.now(UTC)
            state = ContainerState(
                StateKind.TERMINATED, "StartError", str(failure), START_ERROR_EXIT_CODE, now, now
            )
            self._settle(plan.restart_policy, state)
            return None
        record_process(self.folder, process.pid, process.start_ticks)
        log("container_started", pod=self.name, pid=process.pid, run=run_number)
        return process

    async def _supervise(self, plan: PodPlan, run: ContainerRun, process: ContainerProcess) -> int:
        """Wait for the process to end by itself, by its probes, by its deadline or by the pod's end."""
        exiting = asyncio.create_task(process.wait())
        probing = asyncio.create_task(run.probe())
        try:
            while not exiting.done() and self._ending is Ending.NONE and not run.end_reason:
                timeout = self._seconds_to_deadline(plan)
                if timeout is not None and timeout <= 0:
                    self.end(Ending.DEADLINE)
                    break
                changed = asyncio.create_task(self._changed.wait())
                waits = {exiting, changed, probing} if not probing.done() else {exiting, changed}
                await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                self._changed.clear()
            probing.cancel()
            await self._stop(plan, run, process, exiting)
            return await exiting
        finally:
            probing.cancel()
            if not exiting.done():
                process.kill()

    async def _stop(
        self, plan: PodPlan, run: ContainerRun, process: ContainerProcess, exiting: asyncio.Task[int]
    ) -> None:
        """SIGTERM, the grace that the newest reason allows, SIGKILL."""
        if exiting.done():
            return
        run.lose_readiness()
        process.ask_to_stop()
        asked_at = time.monotonic()
        while not exiting.done():
            left = asked_at + self._grace_seconds(plan) - time.monotonic()
            if left <= 0:
                process.kill()
                await exiting
                return
            changed = asyncio.create_task(self._changed.wait())
            await asyncio.wait({exiting, changed}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            self._changed.clear()

    def _grace_seconds(self, plan: PodPlan) -> int:
        if self._ending is Ending.VANISHED:
            return VANISHED_GRACE_SECONDS
        if self._ending is Ending.SHUTDOWN:
            return min(plan.grace_seconds, SHUTDOWN_GRACE_SECONDS_MAX)
        granted = self._writer.pod["metadata"].get("deletionGracePeriodSeconds")
        return plan.grace_seconds if granted is None else int(granted)

    def _seconds_to_deadline(self, plan: PodPlan) -> float | None:
        if plan.deadline_seconds is None:
            return None
        started = self._writer.pod.get("status", {}).get("startTime")
        if not started:
            return float(plan.deadline_seconds)
        age = datetime.now(UTC) - datetime.fromisoformat(started.replace("Z", "+00:00"))
        return plan.deadline_seconds - age.total_seconds()

    def _terminated(
        self, running: ContainerState, exit_code: int, reason: str, last_line: str
    ) -> ContainerState:
        termination = self.folder / TERMINATION_FILE
        written = termination.read_text(errors="replace") if termination.is_file() else ""
        message = written or last_line
        why = reason or ("Completed" if exit_code == 0 else "Error")
        now = datetime.now(UTC)
        return replace(
            running,
            kind=StateKind.TERMINATED,
            reason=why,
            message=message,
            exit_code=exit_code,
            finished_at=now,
        )

    def _settle(self, policy: str, state: ContainerState) -> None:
        """Decide what follows from an end: another start, or the end of the pod."""
        if self._ending in (Ending.SHUTDOWN, Ending.VANISHED):
            return  # Not the pod's end but ours, or nobody is left to tell: the next run finds out by itself.
        record = self._writer.record
        is_deadline = self._ending is Ending.DEADLINE
        is_again = self._ending is Ending.NONE and is_restart_wanted(RestartPolicy(policy), state.exit_code)
        ended = ContainerRecord(
            state=state,
            last_state=record.last_state,
            is_final=not is_again,
            restart_count=record.restart_count,
            pod_reason="DeadlineExceeded" if is_deadline else record.pod_reason,
            pod_message="the pod ran longer than activeDeadlineSeconds"
            if is_deadline
            else record.pod_message,
        )
        if not is_again:
            self._writer.set_record(ended)
            return
        ran = 0.0
        if state.started_at and state.finished_at:
            ran = (state.finished_at - state.started_at).total_seconds()
        self._crashes = count_crashes(self._crashes, ran)
        waiting = ContainerState(StateKind.WAITING, "CrashLoopBackOff", self._back_off_message())
        again = ContainerRecord(state=waiting, last_state=state, restart_count=record.restart_count + 1)
        self._writer.set_record(again)

    def _back_off_message(self) -> str:
        seconds = decide_backoff(self._crashes)
        return f"back-off {seconds}s restarting failed container={self.container} pod={self.name}"

    async def _back_off(self) -> None:
        if not self._crashes:
            return
        until = time.monotonic() + decide_backoff(self._crashes)
        while self._ending is Ending.NONE and (left := until - time.monotonic()) > 0:
            await self._wait_for_change(left)

    def _refuse(self, refusal: PodRefused) -> None:
        waiting = ContainerState(StateKind.WAITING, refusal.reason, refusal.message)
        if self._writer.record.state != waiting:
            log("pod_refused", pod=self.name, reason=refusal.reason, message=refusal.message)
            self._writer.set_record(replace(self._writer.record, state=waiting, is_ready=False))

    async def _wait_for_change(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def _leave(self) -> None:
        """Tell the last status, remove the object if it waits for us, and clear the folder."""
        if self._ending is Ending.SHUTDOWN:
            await self._writer.flush(FAREWELL_SECONDS_MAX)
            return
        if self._ending is Ending.DELETED:
            await self._writer.flush(FLUSH_SECONDS_MAX)
            await self._delete_object()
        shutil.rmtree(self.folder, ignore_errors=True)
        log("pod_removed", pod=self.name)

    async def _delete_object(self) -> None:
        delay = RETRY_FIRST_SECONDS
        path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        while self._ending is Ending.DELETED:
            try:
                await self._shared.client.delete(path, uid=self.uid, grace_seconds=0)
                return
            except ApiError as error:
                log("pod_delete_delayed", pod=self.name, error=str(error))
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MOST_SECONDS)
