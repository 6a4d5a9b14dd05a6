"""The runner with real processes: order, crashes, stopping, and what a killed supervisor leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local import probes
from infra.local.process import LOG_BYTES_MAX, RUN_VARIABLE, ProcessSpec, rotate
from infra.local.process_rules import State
from infra.local.registry import list_marked, read_start, reap
from infra.local.runner import TICK_SECONDS, Runner, StackFailed, Status

WAIT_SECONDS_MAX = 20.0

FOREVER = "import signal; signal.pause()"


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not is_so():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS_MAX:.0f} s: {what}"
        time.sleep(TICK_SECONDS)


def tick_until(runner: Runner, is_so: Callable[[], bool], what: str) -> None:
    def step() -> bool:
        runner.tick()
        return is_so()

    wait_until(step, what)


class Bench:
    """Makes runners in a folder and stops them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changes: list[tuple[str, State]] = []
        self._runners: list[Runner] = []

    def runner(self, *specs: ProcessSpec) -> Runner:
        def note(status: Status) -> None:
            self.changes.append((status.name, status.state))

        made = Runner(
            specs,
            logs=self.folder,
            registry=self.folder / "processes.json",
            folder=self.folder,
            on_change=note,
        )
        self._runners.append(made)
        return made

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def stop(self) -> None:
        for runner in self._runners:
            runner.stop()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.stop()


def find(runner: Runner, name: str) -> Status:
    return next(status for status in runner.status() if status.name == name)


class TestStart:
    def test_a_program_starts_only_when_what_it_needs_is_ready(self, bench: Bench) -> None:
        flag = bench.folder / "flag"
        base = ProcessSpec("base", "", python(f"open({str(flag)!r}, 'w'); {FOREVER}"), is_ready=flag.exists)
        step = ProcessSpec("step", "", python("print('once')"), needs=("base",), is_one_shot=True)
        top = ProcessSpec("top", "", python(FOREVER), needs=("step",))
        bench.runner(top, step, base).start()
        fulfilled = [name for name, state in bench.changes if state in {State.READY, State.DONE}]
        assert fulfilled == ["base", "step", "top"]
        assert bench.log("step") == "once\n"

    def test_a_start_that_fails_says_why_and_leaves_nothing(self, bench: Bench) -> None:
        good = ProcessSpec("good", "", python(FOREVER))
        script = "import sys; sys.exit('the port is taken')"
        bad = ProcessSpec("bad", "", python(script), needs=("good",), sign=probes.says("never said"))
        runner = bench.runner(good, bad)
        with pytest.raises(StackFailed, match=r"bad did not come up: ended with code 1\n.*the port is taken"):
            runner.start()
        assert {status.pid for status in runner.status()} == {None}
        assert not (bench.folder / "processes.json").exists()

    def test_a_preparation_that_raises_is_tried_again(self, bench: Bench) -> None:
        tries: list[int] = []

        def prepare() -> None:
            tries.append(1)
            if len(tries) < 2:
                raise OSError("not yet")

        bench.runner(ProcessSpec("step", "", prepare=prepare, is_one_shot=True)).start()
        assert len(tries) == 2

    def test_a_program_that_is_never_ready_is_ended(self, bench: Bench) -> None:
        spec = ProcessSpec("mute", "", python(FOREVER), is_ready=lambda: False, ready_seconds=0.2)
        with pytest.raises(StackFailed, match="mute did not come up: not ready within"):
            bench.runner(spec).start()

    def test_secrets_of_the_shell_do_not_reach_programs(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REMPART_ADMIN_KEY", "of-the-shell")
        show = "import json, os; print(json.dumps(dict(os.environ)))"
        spec = ProcessSpec("show", "", python(show), environment={"OWN": "1"}, is_one_shot=True)
        bench.runner(spec).start()
        seen = json.loads(bench.log("show"))
        assert seen["OWN"] == "1"
        assert "REMPART_ADMIN_KEY" not in seen

    def test_a_sign_of_a_former_start_does_not_count(self, bench: Bench) -> None:
        once = bench.folder / "once"
        script = f"import os, sys; print('listening', flush=True); {FOREVER}"
        mute = f"import os; os.path.exists({str(once)!r}) or (open({str(once)!r}, 'w'), exec({script!r})); {FOREVER}"
        spec = ProcessSpec("service", "", python(mute), sign=probes.says("listening"), ready_seconds=60.0)
        runner = bench.runner(spec)
        runner.start()
        first = find(runner, "service").pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        tick_until(runner, lambda: find(runner, "service").pid not in (None, first), "it is started again")
        runner.tick()
        assert "listening" in bench.log("service")
        assert find(runner, "service").state is State.STARTING


class TestCrash:
    def test_a_crashed_program_is_started_again(self, bench: Bench) -> None:
        runner = bench.runner(ProcessSpec("service", "", python(FOREVER)))
        runner.start()
        first = find(runner, "service").pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        tick_until(runner, lambda: find(runner, "service").state is State.BACKING_OFF, "the crash is noticed")
        assert find(runner, "service").reason == "ended by SIGKILL"
        tick_until(runner, lambda: find(runner, "service").state is State.READY, "it runs again")
        assert find(runner, "service").pid != first
        assert find(runner, "service").restarts == 1

    @pytest.mark.case("S1")
    @pytest.mark.case("X24")
    def test_a_program_that_crashes_again_and_again_comes_back(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Only the clock is shortened: twelve pauses of the real length would take three minutes.
        monkeypatch.setattr("infra.local.process_rules.BACKOFF_SECONDS_FIRST", 0.001)
        monkeypatch.setattr("infra.local.process_rules.BACKOFF_SECONDS_MAX", 0.01)
        runner = bench.runner(ProcessSpec("service", "", python(FOREVER)))
        runner.start()
        for crash in range(1, 13):
            pid = find(runner, "service").pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            tick_until(
                runner,
                lambda n=crash: (
                    find(runner, "service").restarts == n and find(runner, "service").state is State.READY
                ),
                f"it runs again after crash {crash}",
            )
        assert State.FAILED not in {state for _, state in bench.changes}

    def test_what_a_crashed_program_started_ends_with_it(self, bench: Bench) -> None:
        child = bench.folder / "child"
        script = (
            "import subprocess, sys, pathlib;"
            f"c = subprocess.Popen([sys.executable, '-c', {FOREVER!r}]);"
            f"pathlib.Path({str(child)!r}).write_text(str(c.pid)); {FOREVER}"
        )
        runner = bench.runner(ProcessSpec("pool", "", python(script), is_ready=child.exists))
        runner.start()
        wait_until(lambda: child.read_text(encoding="ascii") != "", "the child is known")
        grandchild, pid = int(child.read_text(encoding="ascii")), find(runner, "pool").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        tick_until(runner, lambda: find(runner, "pool").state is State.BACKING_OFF, "the crash is noticed")
        wait_until(lambda: read_start(grandchild) is None, "its child is gone")

    def test_a_restart_asked_for_gives_a_new_process(self, bench: Bench) -> None:
        runner = bench.runner(ProcessSpec("service", "", python(FOREVER)))
        runner.start()
        first = find(runner, "service").pid
        assert runner.restart("service")
        tick_until(
            runner,
            lambda: find(runner, "service").state is State.READY and find(runner, "service").pid != first,
            "it runs again",
        )
        assert not runner.restart("nobody")


class TestStop:
    def test_programs_stop_in_reverse_order(self, bench: Bench) -> None:
        base = ProcessSpec("base", "", python(FOREVER))
        top = ProcessSpec("top", "", python(FOREVER), needs=("base",))
        runner = bench.runner(base, top)
        runner.start()
        runner.stop()
        assert [name for name, state in bench.changes if state is State.STOPPED] == ["top", "base"]

    def test_a_program_that_ignores_the_request_is_ended(self, bench: Bench) -> None:
        ready = bench.folder / "ready"
        deaf = f"import signal; signal.signal(15, signal.SIG_IGN); open({str(ready)!r}, 'w'); signal.pause()"
        spec = ProcessSpec("deaf", "", python(deaf), is_ready=ready.exists, stop_seconds=0.2)
        runner = bench.runner(spec)
        runner.start()
        pid = find(runner, "deaf").pid
        runner.stop()
        assert pid is not None
        assert read_start(pid) is None


# A supervisor of its own: starts a program that starts a deaf daemon in a session of its own, and waits.
SUPERVISOR = """
import sys, time
from pathlib import Path
from infra.local.process import ProcessSpec
from infra.local.runner import Runner
folder = Path(sys.argv[1])
daemon = "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"
script = (
    "import subprocess, sys, signal, pathlib;"
    f"d = subprocess.Popen([sys.executable, '-c', {daemon!r}], start_new_session=True);"
    f"pathlib.Path({str(folder / 'daemon')!r}).write_text(str(d.pid)); signal.pause()"
)
runner = Runner(
    [ProcessSpec("parent", "", [sys.executable, "-c", script], is_ready=(folder / "daemon").exists),
     ProcessSpec("deaf", "", [sys.executable, "-c", daemon])],
    logs=folder, registry=folder / "processes.json", folder=folder,
)
runner.start()
(folder / "up").touch()
while True:
    runner.tick()
    time.sleep(0.05)
"""


class TestKilledSupervisor:
    def test_nothing_outlives_a_killed_supervisor_and_a_new_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path)])
        try:
            wait_until((tmp_path / "up").exists, "the supervisor has started its programs")
        finally:
            supervisor.kill()
            supervisor.wait()
        content = json.loads((tmp_path / "processes.json").read_text(encoding="utf-8"))
        pids = {row["name"]: row["pid"] for row in content["processes"]}
        daemon = int((tmp_path / "daemon").read_text(encoding="ascii"))
        wait_until(lambda: read_start(pids["parent"]) is None, "the kernel ends what listens to its signal")
        assert read_start(pids["deaf"]) is not None
        assert set(list_marked(content["run_id"])) == {pids["deaf"], daemon}
        # A registry of an older run must not be believed about a stranger who has the number today.
        content["processes"].append({"name": "stranger", "pid": os.getpid(), "started": 1, "stop_signal": 15})
        (tmp_path / "processes.json").write_text(json.dumps(content), encoding="utf-8")
        # The deaf one uses up its whole grace.
        monkeypatch.setattr("infra.local.registry.REAP_SECONDS_MAX", 0.5)
        runner = Runner([], logs=tmp_path, registry=tmp_path / "processes.json", folder=tmp_path)
        assert runner.reaped[0] == "deaf"
        assert "stranger" not in runner.reaped
        wait_until(lambda: read_start(daemon) is None, "the kernel ends what was killed")
        assert list_marked(content["run_id"]) == ()
        runner.stop()

    def test_a_registry_of_before_the_machine_restarted_ends_nobody(self, tmp_path: Path) -> None:
        own = read_start(os.getpid())
        row = {"name": "stranger", "pid": os.getpid(), "started": own, "stop_signal": 15}
        content = {"run_id": "x" * 32, "boot": "another", "processes": [row]}
        (tmp_path / "processes.json").write_text(json.dumps(content), encoding="utf-8")
        assert reap(tmp_path / "processes.json") == ()
        assert not (tmp_path / "processes.json").exists()

    def test_our_own_mark_is_on_what_we_start_and_on_nothing_else(self, bench: Bench) -> None:
        runner = bench.runner(ProcessSpec("service", "", python(FOREVER)))
        runner.start()
        pid = find(runner, "service").pid
        environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        mark = next(entry for entry in environ if entry.startswith(f"{RUN_VARIABLE}=".encode()))
        assert list_marked(mark.decode().split("=", 1)[1]) == (pid,)


def test_a_log_stays_within_its_bound(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    with log.open("ab") as writer:
        writer.write(b"x" * LOG_BYTES_MAX)
        writer.flush()
        rotate(log)
        writer.write(b"after\n")
    assert log.read_bytes() == b"after\n"
    assert (tmp_path / "service.log.1").stat().st_size == LOG_BYTES_MAX
