"""The worker as a process: what its signs of life say when the broker goes and comes back."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from controlplane.plumbing.pulse import Mark, find_silent
from tests.fixtures.database import TEST_PEPPER, running_redis

REPOSITORY = Path(__file__).resolve().parents[3]
WAIT_SECONDS_MAX = 120.0
# Several beats of the worker's loop, and several tries to reach the broker.
PATIENCE_SECONDS = 8.0


def wait_for(check: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not check():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def test_a_lost_broker_makes_the_worker_unready_and_leaves_it_alive(tmp_path: Path) -> None:
    signs = tmp_path / "pulse"

    def is_marked(mark: Mark) -> bool:
        return not find_silent(signs, mark, PATIENCE_SECONDS, time.monotonic())

    with running_redis(tmp_path) as (url, _):
        environment = {
            "PATH": os.environ["PATH"],
            # Nothing is delivered here, so no database is asked.
            "REMPART_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "REMPART_SYSTEM_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "REDIS_URL": url,
            "REMPART_KEY_PEPPER": TEST_PEPPER,
            "REMPART_PULSE_DIR": str(signs),
        }
        command = [sys.executable, "-m", "controlplane.entrypoints.worker"]
        with (tmp_path / "log").open("wb") as log:
            worker = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log)
        try:
            wait_for(lambda: is_marked(Mark.SUCCEEDED), "the worker never became ready")
        except BaseException:
            worker.kill()
            raise
    try:
        # The server has ended with its block.
        wait_for(lambda: not is_marked(Mark.SUCCEEDED), "ready without a broker")
        assert is_marked(Mark.TURNED)
        with running_redis(tmp_path, urlsplit(url).port):
            wait_for(lambda: is_marked(Mark.SUCCEEDED), "not ready again")
            worker.terminate()
            assert worker.wait(WAIT_SECONDS_MAX) == 0
    finally:
        worker.kill()
        worker.wait()
