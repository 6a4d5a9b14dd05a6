"""The commands of the local stack. Exit codes: 0 done, 1 something failed, 3 nothing is running."""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from controlplane.sdk import ApiError, ConnectionLost, Rempart
from infra.local import logs
from infra.local.build import BuildFailed, ensure_built
from infra.local.build_rules import describe_duration
from infra.local.control import Message, NotRunning, ask
from infra.local.display import Display
from infra.local.filelock import take_lock
from infra.local.paths import Layout
from infra.local.process_rules import UnknownDependency
from infra.local.registry import reap
from infra.local.sample import NotReady, register_sample
from infra.local.stack_rules import read_env_file
from infra.local.supervisor import AlreadyRunning, Supervisor, describe
from infra.local.toolchain import ToolchainUnavailable
from infra.local.versions import SOURCES, TEST_SOURCES

EXIT_FAILED = 1
EXIT_NOT_RUNNING = 3

# Each program has a bound of its own (`ProcessSpec.ready_seconds`); this one ends the waiting if their
# supervisor itself is stuck.
UP_SECONDS_MAX = 600.0
DOWN_SECONDS_MAX = 120.0
POLL_SECONDS = 0.1
LOG_LINES = 200
FAILURE_LINES = 40


def main(arguments: list[str] | None = None) -> None:
    """Run one command and end with its exit code."""
    chosen = _parse(sys.argv[1:] if arguments is None else arguments)
    layout = Layout.current()
    try:
        sys.exit(int(chosen.command(layout, chosen)))
    except (BuildFailed, ToolchainUnavailable, UnknownDependency, AlreadyRunning, FileNotFoundError) as err:
        print(err, file=sys.stderr)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    only = argparse.ArgumentParser(add_help=False)
    only.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a program or infra; repeatable"
    )
    up = commands.add_parser("up", parents=[only], help="start the stack and return when it is ready")
    up.add_argument(
        "--sample", action="store_true", help="register this machine as a first site, if there is none yet"
    )
    up.set_defaults(command=_up)
    run = commands.add_parser("run", parents=[only], help="run the stack in the foreground until Ctrl-C")
    run.set_defaults(command=_run)
    commands.add_parser("down", help="stop the stack").set_defaults(command=_down)
    status = commands.add_parser("status", help="what runs and how it is")
    status.add_argument("-o", "--output", choices=["table", "json"], default="table")
    status.set_defaults(command=_status)
    log = commands.add_parser("logs", help="all programs' logs as one")
    log.add_argument("names", nargs="*", metavar="NAME")
    log.add_argument("--find", metavar="TEXT", help="every line that holds this, such as a request id")
    log.add_argument("-f", "--follow", action="store_true", help="go on as lines are written")
    log.add_argument(
        "-n", "--lines", type=int, default=LOG_LINES, help=f"how many lines (default {LOG_LINES})"
    )
    log.set_defaults(command=_logs)
    restart = commands.add_parser("restart", help="stop one program; the supervisor starts it again")
    restart.add_argument("name")
    restart.set_defaults(command=_restart)
    build = commands.add_parser("build", help="build the Go programs into the cache")
    build.add_argument("--tests", action="store_true", help="those that only the tests run, too")
    build.set_defaults(command=_build)
    demo = commands.add_parser("demo", help="tell the whole story on a stack of its own")
    demo.add_argument("rest", nargs=argparse.REMAINDER)
    demo.set_defaults(command=_demo)
    return parser.parse_args(arguments)


def _build(layout: Layout, chosen: argparse.Namespace) -> int:
    del layout
    ensure_built(sources=(*SOURCES, *TEST_SOURCES) if chosen.tests else SOURCES)
    return 0


def _run(layout: Layout, chosen: argparse.Namespace) -> int:
    display = Display()
    failure = Supervisor(layout, chosen.only, lambda status: display.note(describe(status))).run()
    if failure:
        print(failure, file=sys.stderr)
    return EXIT_FAILED if failure else 0


def _up(layout: Layout, chosen: argparse.Namespace) -> int:
    ensure_built()
    with contextlib.suppress(NotRunning):
        return _join(layout, chosen)
    layout.ensure()
    log = layout.logs / "supervisor.log"
    with log.open("wb") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "infra.local", "run", *(f"--only={name}" for name in chosen.only)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=layout.repository,
        )
    try:
        failed = _wait_until_up(layout, supervisor, log)
        return failed or (_add_sample(layout) if chosen.sample and not chosen.only else 0)
    except KeyboardInterrupt:
        print("stopping what was started", file=sys.stderr)
        supervisor.terminate()
        supervisor.wait()
        raise


def _join(layout: Layout, chosen: argparse.Namespace) -> int:
    running = ask(layout.control_socket, {"command": "status"})
    if running["only"] != list(chosen.only):
        part = ", ".join(running["only"]) or "everything"
        print(f"The stack already runs with {part}: `make down` first.", file=sys.stderr)
        return EXIT_FAILED
    print("The stack already runs.")
    return 0


def _wait_until_up(layout: Layout, supervisor: "subprocess.Popen[bytes]", log: Path) -> int:
    started = time.monotonic()
    with Display() as display:
        while supervisor.poll() is None and time.monotonic() - started < UP_SECONDS_MAX:
            try:
                answer = ask(layout.control_socket, {"command": "status"})
            except NotRunning:
                answer = {"phase": "starting", "programs": []}
            for program in answer["programs"]:
                display.note(program)
            if answer["phase"] == "up":
                break
            time.sleep(POLL_SECONDS)
        else:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            print("\n".join(lines[-FAILURE_LINES:]), file=sys.stderr)
            if supervisor.poll() is None:
                supervisor.terminate()
                supervisor.wait()
            return EXIT_FAILED
    print(f"Up in {describe_duration(time.monotonic() - started)}.")
    portal = next((p for p in answer["programs"] if p["name"] == "portal"), None)
    if portal is not None:
        found = re.search(r"http://[^\s;]+", portal["about"])
        print(f"Portal: {found.group() if found else ''} (sign in with the operator's key or a tenant's)")
    print(f"Addresses and the operator's key: {layout.environment_file}")
    print(f"  set -a; . {os.path.relpath(layout.environment_file)}; set +a")
    return 0


def _add_sample(layout: Layout) -> int:
    known = read_env_file(layout.environment_file.read_text(encoding="utf-8"))
    try:
        with Rempart(known["REMPART_ADMIN_KEY"], known["REMPART_API_URL"]) as admin:
            register_sample(admin, print)
    except (NotReady, ApiError, ConnectionLost) as error:
        print(f"The stack runs, but its sample site does not: {error}", file=sys.stderr)
        return EXIT_FAILED
    return 0


def _down(layout: Layout, chosen: argparse.Namespace) -> int:
    del chosen
    layout.ensure()
    try:
        ask(layout.control_socket, {"command": "stop"})
    except NotRunning:
        return _clean_up(layout)
    started = time.monotonic()
    while time.monotonic() - started < DOWN_SECONDS_MAX:
        lock = take_lock(layout.lock_file)
        if lock is not None:
            os.close(lock)
            took = describe_duration(time.monotonic() - started)
            print(f"Stopped in {took}; its data stays for the next start.")
            return 0
        time.sleep(POLL_SECONDS)
    print("The supervisor did not stop in time: `make logs` shows why.", file=sys.stderr)
    return EXIT_FAILED


def _clean_up(layout: Layout) -> int:
    lock = take_lock(layout.lock_file)
    if lock is None:
        print("The supervisor is starting or stopping; try again in a moment.", file=sys.stderr)
        return EXIT_FAILED
    left = reap(layout.registry_file)
    os.close(lock)
    print(f"Ended what a killed supervisor left: {', '.join(left)}." if left else "Nothing is running.")
    return 0


def _status(layout: Layout, chosen: argparse.Namespace) -> int:
    try:
        answer = ask(layout.control_socket, {"command": "status"})
    except NotRunning as err:
        if chosen.output == "json":
            print(json.dumps({"phase": "stopped", "programs": []}))
        else:
            print(f"{err}: `make up` starts it")
        return EXIT_NOT_RUNNING
    if chosen.output == "json":
        print(json.dumps(answer, indent=1))
    else:
        Display().table(answer)
    return EXIT_FAILED if any(_has_failed(program) for program in answer["programs"]) else 0


def _has_failed(program: Message) -> bool:
    return program["state"] in {"failed", "backing off"}


def _logs(layout: Layout, chosen: argparse.Namespace) -> int:
    display = Display()
    if chosen.find:
        places = logs.list_logs(layout.logs, chosen.names) | logs.list_records(layout.state)
        if logs.find(places, chosen.find, display.log_line):
            return 0
        print(f"No line of this stack's logs and records holds {chosen.find!r}.", file=sys.stderr)
        return EXIT_FAILED
    logs.show(logs.list_logs(layout.logs, chosen.names), max(1, chosen.lines), display.log_line)
    if chosen.follow:
        with contextlib.suppress(KeyboardInterrupt):
            logs.follow(lambda: logs.list_logs(layout.logs, chosen.names), display.log_line, lambda: False)
    return 0


def _restart(layout: Layout, chosen: argparse.Namespace) -> int:
    try:
        answer = ask(layout.control_socket, {"command": "restart", "name": chosen.name})
    except NotRunning as err:
        print(err, file=sys.stderr)
        return EXIT_NOT_RUNNING
    if "error" in answer:
        print(answer["error"], file=sys.stderr)
        return EXIT_FAILED
    return 0


def _demo(layout: Layout, chosen: argparse.Namespace) -> int:
    ensure_built()
    return subprocess.run(
        [sys.executable, "-m", "infra.demo", *chosen.rest], cwd=layout.repository, check=False
    ).returncode
