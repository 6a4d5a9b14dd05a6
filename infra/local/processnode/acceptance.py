"""`python -m infra.local.processnode.acceptance`: is this host fit to run what it would be given?

Every check does real work on this host and reports what it saw. The last line, which is also the pod's
termination message, is one JSON object `{"checks": [{"name", "result": "passed" | "failed", "detail"}]}`; any failure
exits with 1.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import platform
import secrets
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from pathlib import Path

MEMORY_BYTES = 64 * 2**20
"""Memory written and read back: enough to leave every cache, little enough for a small host."""

DISK_BYTES = 8 * 2**20
BLOCK_BYTES = 2**20
HTTP_BODY_BYTES = 256 * 2**10
CLOCK_SECONDS = 0.2
CLOCK_DRIFT_SECONDS_MAX = 0.05
"""The wall clock may be slewed, never jump, between two looks this far apart."""

CLOCK_YEAR_FIRST = 2025
"""A clock before this was never set: certificates and usage times would be nonsense."""

FILE_CLOCK_SECONDS_MAX = 2.0
NETWORK_SECONDS_MAX = 5.0
HASH_ROUNDS = 20_000
DETAIL_CHARACTERS_MAX = 300

ENGINE_CPU_FLAGS = {"x86_64": ("ssse3", "avx", "avx2", "f16c", "fma", "bmi2"), "aarch64": ("asimd",)}
"""What llama.cpp's wheel was compiled for: without them the engine dies of an illegal instruction."""


class CheckFailed(Exception):
    """What is wrong, in one sentence."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the report."""

    name: str
    result: str
    detail: str


Check = Callable[[Mapping[str, str]], str]


def check_cpu(environ: Mapping[str, str]) -> str:
    """All cores are of one kind, can run the engine, and are at least as many as the claim was told."""
    processors = [block for block in Path("/proc/cpuinfo").read_text().split("\n\n") if block.strip()]
    flags = [_cpu_flags(block) for block in processors]
    if any(each != flags[0] for each in flags):
        raise CheckFailed("the processors of this host do not offer the same instructions")
    missing = [flag for flag in ENGINE_CPU_FLAGS.get(platform.machine(), ()) if flag not in flags[0]]
    if missing:
        raise CheckFailed(f"the processor lacks {', '.join(missing)}, which the engine was compiled for")
    usable = len(os.sched_getaffinity(0))
    wanted = int(environ.get("REMPART_EXPECTED_CPU_MILLI", "0"))
    if usable * 1000 < wanted:
        raise CheckFailed(f"{usable} cores are usable, {wanted / 1000:g} were promised")
    return f"{usable} usable cores of {len(processors)}, one kind, with every instruction the engine needs"


def check_arithmetic(_environ: Mapping[str, str]) -> str:
    """Every core computes the same long chain of hashes: a core that miscalculates is found here."""
    before = os.sched_getaffinity(0)
    answers: dict[int, str] = {}
    try:
        for core in sorted(before):
            os.sched_setaffinity(0, {core})
            answers[core] = _hash_chain()
    finally:
        os.sched_setaffinity(0, before)
    if len(set(answers.values())) != 1:
        raise CheckFailed(f"cores disagree about {HASH_ROUNDS} rounds of SHA-256: {answers}")
    return f"{len(answers)} cores agree on {HASH_ROUNDS} rounds of SHA-256"


def check_memory(environ: Mapping[str, str]) -> str:
    """Write a random pattern over fresh memory and read the same back; the host has what was promised."""
    pattern = secrets.token_bytes(BLOCK_BYTES)
    with mmap.mmap(-1, MEMORY_BYTES) as memory:
        for start in range(0, MEMORY_BYTES, BLOCK_BYTES):
            memory[start : start + BLOCK_BYTES] = pattern
        for start in range(0, MEMORY_BYTES, BLOCK_BYTES):
            if memory[start : start + BLOCK_BYTES] != pattern:
                raise CheckFailed(f"memory read back differs within the MiB at {start // BLOCK_BYTES}")
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    wanted = int(environ.get("REMPART_EXPECTED_MEMORY_MIB", "0"))
    if total < wanted:
        raise CheckFailed(f"{total} MiB are installed, {wanted} MiB were promised")
    return f"{MEMORY_BYTES // 2**20} MiB written and read back, {total} MiB installed"


def check_disk(_environ: Mapping[str, str]) -> str:
    """Write, force to the disk, drop the cache and read back, where pods keep their files."""
    path = Path.cwd() / f"acceptance-{os.getpid()}.bin"
    data = secrets.token_bytes(DISK_BYTES)
    began = time.monotonic()
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            if hashlib.sha256(file.read()).digest() != hashlib.sha256(data).digest():
                raise CheckFailed("what was read back from the disk is not what was written")
    finally:
        path.unlink(missing_ok=True)
    return f"{DISK_BYTES // 2**20} MiB written, synced and read back in {_milliseconds(began)} ms"


def check_loopback(_environ: Mapping[str, str]) -> str:
    """Serve HTTP on loopback and get back, over it, exactly what was sent."""
    body = secrets.token_bytes(HTTP_BODY_BYTES)
    began = time.monotonic()
    with socketserver.TCPServer(("127.0.0.1", 0), _Echo) as server:
        server.timeout = NETWORK_SECONDS_MAX
        serving = threading.Thread(target=server.handle_request, daemon=True)
        serving.start()
        connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=NETWORK_SECONDS_MAX)
        connection.request("POST", "/", body)
        echoed = connection.getresponse().read()
        connection.close()
        serving.join(NETWORK_SECONDS_MAX)
    if echoed != body:
        raise CheckFailed("loopback HTTP did not return what was sent")
    return f"{HTTP_BODY_BYTES // 2**10} KiB echoed over HTTP in {_milliseconds(began)} ms"


def check_clock(_environ: Mapping[str, str]) -> str:
    """The wall clock is set, moves with the monotonic one, and agrees with the disk's."""
    year = time.gmtime().tm_year
    if year < CLOCK_YEAR_FIRST:
        raise CheckFailed(f"the clock says {year}: it was never set")
    wall, steady = time.time(), time.monotonic()
    time.sleep(CLOCK_SECONDS)
    drift = abs((time.time() - wall) - (time.monotonic() - steady))
    if drift > CLOCK_DRIFT_SECONDS_MAX:
        raise CheckFailed(f"the clock jumped by {drift:.3f} s within {CLOCK_SECONDS} s")
    path = Path.cwd() / f"acceptance-clock-{os.getpid()}"
    try:
        path.touch()
        gap = abs(path.stat().st_mtime - time.time())
    finally:
        path.unlink(missing_ok=True)
    if gap > FILE_CLOCK_SECONDS_MAX:
        raise CheckFailed(f"the disk's clock is {gap:.1f} s away from the system's")
    return f"set to {year}, drift {drift * 1000:.1f} ms in {CLOCK_SECONDS} s, disk within {gap * 1000:.0f} ms"


CHECKS: tuple[tuple[str, Check], ...] = (
    ("cpu", check_cpu),
    ("arithmetic", check_arithmetic),
    ("memory", check_memory),
    ("disk", check_disk),
    ("loopback", check_loopback),
    ("clock", check_clock),
)


def run_checks(environ: Mapping[str, str]) -> list[CheckResult]:
    """Run every check, whatever the others found."""
    return [_run_check(name, check, environ) for name, check in CHECKS]


def main() -> int:
    """Print progress, then the report as the last line; 1 if anything failed."""
    results = run_checks(os.environ)
    for result in results:
        print(f"{result.name}: {result.result}: {result.detail}")
    report = json.dumps({"checks": [asdict(result) for result in results]})
    if path := os.environ.get("REMPART_TERMINATION_MESSAGE_PATH"):
        Path(path).write_text(report)
    print(report, flush=True)
    return 0 if all(result.result == "passed" for result in results) else 1


def _run_check(name: str, check: Check, environ: Mapping[str, str]) -> CheckResult:
    try:
        return CheckResult(name, "passed", check(environ)[:DETAIL_CHARACTERS_MAX])
    except (CheckFailed, OSError, ValueError) as failure:
        return CheckResult(name, "failed", (str(failure) or repr(failure))[:DETAIL_CHARACTERS_MAX])


class _Echo(BaseHTTPRequestHandler):
    """Answers a POST with its own body."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class named it)
        """Say nothing: the last line of this program is its report."""


def _cpu_flags(block: str) -> frozenset[str]:
    for line in block.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def _hash_chain() -> str:
    digest = b"rempart"
    for _ in range(HASH_ROUNDS):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()


def _milliseconds(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


if __name__ == "__main__":
    sys.exit(main())
