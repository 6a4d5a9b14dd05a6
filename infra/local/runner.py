"""Start programs in the order of their needs, watch them, start them again, stop them in reverse."""

import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.process import ProcessSpec, rotate, signal_group, spawn
from infra.local.process_rules import (
    FULFILLED,
    STEADY_SECONDS,
    Event,
    State,
    decide_next,
    decide_order,
    decide_pause,
)
from infra.local.registry import Registry, kill_marked, reap

TICK_SECONDS = 0.05  # How late a crash is noticed, at most; 20 looks a second cost nothing measurable.
PROBE_THREADS = 4
LOG_TAIL_LINES = 15
# Of what a program says from its start on; a sign stands in its first lines.
SIGN_BYTES_MAX = 64 * 1024


class StackFailed(Exception):
    """A program did not come up; the message names it and ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Status:
    """One line of `status`."""

    name: str
    about: str
    state: State
    pid: int | None
    restarts: int
    seconds: float
    reason: str


@dataclass(slots=True)
class _Managed:
    spec: ProcessSpec
    state: State = State.WAITING
    process: "subprocess.Popen[bytes] | None" = None
    preparing: "Future[None] | None" = None
    probe: "Future[bool] | None" = None
    since: float = 0.0
    retry_at: float = 0.0
    log_start: int = 0
    crashes: int = 0
    restarts: int = 0
    reason: str = ""
    waits_for: set[str] = field(default_factory=set)


class Runner:
    """Runs a set of programs; single-threaded but for probes and preparations.

    `start` and `tick` must be called from the same, long-lived thread (see `process.spawn`).
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        *,
        logs: Path,
        registry: Path,
        folder: Path,
        on_change: Callable[[Status], None] | None = None,
    ) -> None:
        order = decide_order({spec.name: spec.needs for spec in specs})
        by_name = {spec.name: spec for spec in specs}
        self._all = {name: _Managed(by_name[name], since=time.monotonic()) for name in order}
        self._logs = logs
        self._folder = folder
        self._on_change = on_change
        self._registry_path = registry
        self._run_id = secrets.token_hex(16)
        self._is_starting = True
        self.reaped = reap(registry)
        self._registry = Registry(registry, self._run_id)
        self._pool = ThreadPoolExecutor(PROBE_THREADS, thread_name_prefix="probe")
        for managed in self._all.values():
            for needed in managed.spec.needs:
                self._all[needed].waits_for.add(managed.spec.name)

    def start(self) -> None:
        """Bring everything up and return when all of it is ready.

        Errors: StackFailed; then everything is stopped again.
        """
        try:
            while not self.is_up():
                self.tick()
                if failed := self.find_failed():
                    raise StackFailed(self._describe(failed))
                time.sleep(TICK_SECONDS)
        except BaseException:
            self.stop()
            raise
        self.finish_start()

    def finish_start(self) -> None:
        """From now on a program that crashes is started again for ever: nobody waits in front of the screen."""
        self._is_starting = False

    def is_up(self) -> bool:
        """Whether every service is ready and every one-shot is done."""
        return all(managed.state in FULFILLED for managed in self._all.values())

    def find_failed(self) -> str | None:
        """Name of a program that was given up, if any."""
        return next((name for name, m in self._all.items() if m.state is State.FAILED), None)

    def describe_failure(self, name: str) -> str:
        """What is known about a program that did not come up, with the end of its log."""
        return self._describe(name)

    def status(self) -> tuple[Status, ...]:
        """All programs in the order of starting."""
        return tuple(self._status(managed) for managed in self._all.values())

    def restart(self, name: str) -> bool:
        """Stop one program and start it again; its dependants stay. False if there is none of this name."""
        managed = self._all.get(name)
        if managed is None:
            return False
        managed.crashes = 0
        if managed.process is not None and managed.state in {State.STARTING, State.READY}:
            signal_group(managed.process, managed.spec.stop_signal)
        elif managed.state in {State.FAILED, State.BACKING_OFF}:
            self._launch(managed)
        return True

    def tick(self) -> None:
        """Look at every program once and do what is due."""
        for managed in self._all.values():
            if managed.state is State.WAITING:
                if all(self._all[needed].state in FULFILLED for needed in managed.spec.needs):
                    self._launch(managed)
            elif managed.state is State.STARTING:
                self._watch_start(managed)
            elif managed.state is State.READY:
                self._watch_ready(managed)
            elif managed.state is State.BACKING_OFF and time.monotonic() >= managed.retry_at:
                self._launch(managed)

    def stop(self, on_tick: Callable[[], None] | None = None) -> None:
        """Stop everything, dependants first; returns when nothing of it is left.

        `on_tick` is called again and again meanwhile.
        """
        deadlines: dict[str, float] = {}
        while True:
            for name, managed in self._all.items():
                self._stop_step(managed, deadlines, name)
            if all(managed.state is State.STOPPED for managed in self._all.values()):
                break
            if on_tick is not None:
                on_tick()
            time.sleep(TICK_SECONDS)
        # Children that a program left behind, such as a worker's pool after SIGKILL.
        kill_marked(self._run_id)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._registry_path.unlink(missing_ok=True)

    def _stop_step(self, managed: _Managed, deadlines: dict[str, float], name: str) -> None:
        if managed.state is State.STOPPED:
            return
        if any(self._all[other].state is not State.STOPPED for other in managed.waits_for):
            return
        if managed.state is not State.STOPPING:
            self._move(managed, Event.STOP)
            deadlines[name] = time.monotonic() + managed.spec.stop_seconds
            if managed.process is not None:
                signal_group(managed.process, managed.spec.stop_signal)
        if managed.state is State.STOPPING:
            if managed.process is None or managed.process.poll() is not None:
                self._registry.remove(name)
                self._move(managed, Event.GONE)
            elif time.monotonic() >= deadlines[name]:
                signal_group(managed.process, signal.SIGKILL)

    def _launch(self, managed: _Managed) -> None:
        if managed.state is not State.WAITING:
            managed.restarts += 1
        managed.probe = None
        managed.process = None
        self._move(managed, Event.START)
        prepare = managed.spec.prepare
        managed.preparing = self._pool.submit(prepare) if prepare else None
        if managed.preparing is None:
            self._spawn(managed)

    def _spawn(self, managed: _Managed) -> None:
        spec = managed.spec
        argv = spec.argv() if callable(spec.argv) else spec.argv
        if not argv:
            self._move(managed, Event.FINISH)
            return
        # Its bound on getting ready counts from here: preparing has bounds of its own.
        managed.since = time.monotonic()
        log = self.log_path(spec.name)
        rotate(log)
        managed.log_start = log.stat().st_size if log.exists() else 0
        managed.process = spawn(spec, argv, self._run_id, self.log_path(spec.name), self._folder)
        self._registry.add(spec.name, managed.process.pid, int(spec.stop_signal))

    def log_path(self, name: str) -> Path:
        """The file that holds a program's output."""
        return self._logs / f"{name}.log"

    def _watch_start(self, managed: _Managed) -> None:
        if managed.process is None:
            self._watch_preparation(managed)
            return
        code = managed.process.poll()
        if code is not None:
            self._registry.remove(managed.spec.name)
            if managed.spec.is_one_shot and code == 0:
                self._move(managed, Event.FINISH)
            else:
                self._crash(managed, describe_exit(code))
        elif time.monotonic() - managed.since > managed.spec.ready_seconds:
            signal_group(managed.process, signal.SIGKILL)
            managed.process.wait()
            self._crash(managed, f"not ready within {managed.spec.ready_seconds:.0f} s")
        elif not managed.spec.is_one_shot and self._has_passed(managed):
            self._move(managed, Event.SUCCEED)

    def _watch_preparation(self, managed: _Managed) -> None:
        if managed.preparing is None or not managed.preparing.done():
            return
        error = managed.preparing.exception()
        managed.preparing = None
        if error is not None:
            self._crash(managed, f"{type(error).__name__}: {error}")
        else:
            self._spawn(managed)

    def _has_passed(self, managed: _Managed) -> bool:
        if managed.spec.sign is not None:
            return self._shows_sign(managed, managed.spec.sign)
        if managed.spec.is_ready is None:
            return True
        if managed.probe is None:
            managed.probe = self._pool.submit(managed.spec.is_ready)
        if not managed.probe.done():
            return False
        probe, managed.probe = managed.probe, None
        # A probe that raises has found nobody there yet; the bound on the whole start ends the waiting.
        return probe.exception() is None and probe.result()

    def _shows_sign(self, managed: _Managed, sign: Callable[[int, str], bool]) -> bool:
        assert managed.process is not None
        with self.log_path(managed.spec.name).open("rb") as log:
            log.seek(managed.log_start)
            said = log.read(SIGN_BYTES_MAX).decode("utf-8", errors="replace")
        return sign(managed.process.pid, said)

    def _watch_ready(self, managed: _Managed) -> None:
        assert managed.process is not None
        code = managed.process.poll()
        if code is not None:
            if time.monotonic() - managed.since >= STEADY_SECONDS:
                managed.crashes = 0
            self._registry.remove(managed.spec.name)
            self._crash(managed, describe_exit(code))
        else:
            rotate(self.log_path(managed.spec.name))

    def _crash(self, managed: _Managed, reason: str) -> None:
        # What it started dies with it: two generations of a pool would work side by side.
        if managed.process is not None:
            signal_group(managed.process, signal.SIGKILL)
        managed.crashes += 1
        managed.reason = reason
        pause = decide_pause(managed.crashes, is_starting=self._is_starting)
        self._move(managed, Event.EXIT)
        if pause is None:
            self._move(managed, Event.GIVE_UP)
        else:
            managed.retry_at = time.monotonic() + pause

    def _move(self, managed: _Managed, event: Event) -> None:
        managed.state = decide_next(managed.state, event)
        managed.since = time.monotonic()
        if self._on_change is not None:
            self._on_change(self._status(managed))

    def _status(self, managed: _Managed) -> Status:
        spec = managed.spec
        is_alive = managed.process is not None and managed.process.poll() is None
        pid = managed.process.pid if managed.process is not None and is_alive else None
        seconds = time.monotonic() - managed.since
        return Status(spec.name, spec.about, managed.state, pid, managed.restarts, seconds, managed.reason)

    def _describe(self, name: str) -> str:
        managed = self._all[name]
        path = self.log_path(name)
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        tail = "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:])
        return f"{name} did not come up: {managed.reason}\n{tail}\nThe whole log: {path}"


def describe_exit(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"
