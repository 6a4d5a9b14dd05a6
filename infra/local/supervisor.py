"""The one process that keeps the stack: starts it, watches it, answers commands, stops it cleanly."""

import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType

from infra.local.build import ensure_built
from infra.local.control import ControlServer, Message
from infra.local.filelock import take_lock
from infra.local.paths import Layout
from infra.local.process_rules import State
from infra.local.registry import reap
from infra.local.runner import TICK_SECONDS, Runner, Status
from infra.local.stack import build_stack


class AlreadyRunning(Exception):
    """Another supervisor holds this stack's lock."""


class Supervisor:
    """One run of one stack; `run` returns when it is over."""

    def __init__(self, layout: Layout, only: Sequence[str], on_change: Callable[[Status], None]) -> None:
        layout.ensure()
        # Kept open until the process ends: the kernel lets go of the lock then, however it ends.
        self._lock = take_lock(layout.lock_file)
        if self._lock is None:
            raise AlreadyRunning("another supervisor runs this stack: `make status` shows it")
        self._layout = layout
        self._only = tuple(only)
        self._on_change = on_change
        self._phase = "starting"
        self._failure = ""
        self._is_stop_wanted = False

    def run(self) -> str:
        """Start, keep and stop the stack. Returns why it failed, or nothing after a clean stop."""
        self._catch_signals()
        ensure_built()
        # Before ports are chosen: what a killed run left behind still sits on them.
        left = reap(self._layout.registry_file)
        if left:
            print(f"ended what a former run left behind: {', '.join(left)}", flush=True)
        self._stack = build_stack(self._layout)
        self._runner = Runner(
            self._stack.select(self._only),
            logs=self._layout.logs,
            registry=self._layout.registry_file,
            folder=self._layout.repository,
            on_change=self._note,
        )
        self._stack.write_env_file()
        self._server = ControlServer(self._layout.control_socket, self._answer)
        try:
            self._keep()
        finally:
            self._phase = "stopping"
            self._runner.stop(self._server.serve_waiting)
            self._server.close()
        return self._failure

    def _keep(self) -> None:
        while not self._is_stop_wanted:
            self._server.serve_waiting()
            self._runner.tick()
            if self._phase == "starting":
                failed = self._runner.find_failed()
                if failed is not None:
                    self._failure = self._runner.describe_failure(failed)
                    return
                if self._runner.is_up():
                    self._runner.finish_start()
                    self._stack.write_env_file()
                    self._phase = "up"
            time.sleep(TICK_SECONDS)

    def _note(self, status: Status) -> None:
        if status.name == "seed" and status.state is State.DONE:
            self._stack.write_env_file()
        self._on_change(status)

    def _answer(self, request: Message) -> Message:
        command = request.get("command")
        if command == "status":
            return {
                "phase": self._phase,
                "only": list(self._only),
                "programs": [describe(status) for status in self._runner.status()],
            }
        if command == "stop":
            self._is_stop_wanted = True
            return {"phase": "stopping"}
        if command == "restart":
            name = str(request.get("name", ""))
            return {} if self._runner.restart(name) else {"error": f"there is no program called {name}"}
        return {"error": "unknown command"}

    def _catch_signals(self) -> None:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self._is_stop_wanted = True

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, stop)


def describe(status: Status) -> Message:
    """A status as it crosses the control socket. Units: whole seconds."""
    return {
        "name": status.name,
        "about": status.about,
        "state": status.state.value,
        "pid": status.pid,
        "restarts": status.restarts,
        "seconds": round(status.seconds, 1),
        "reason": status.reason,
    }
