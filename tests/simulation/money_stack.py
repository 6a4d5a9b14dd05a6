"""The processes between a token and an invoice, each one real, killed without warning and started again at once.

PostgreSQL (fsync on), Redis, API, relay, worker, the gateway's own process with its collector and shipper (Envoy's
part is played by lines that a test appends to the access log), and an operator's spool with its shipper. Nothing of
Kubernetes runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL

from pydantic import SecretStr

from controlplane.entrypoints.seed import seed
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.database import TEST_PEPPER, TEST_RATE_ENVIRONMENT, DatabaseUrls, free_port, running_redis
from tests.fixtures.own_postgres import OwnPostgres, own_database

REPOSITORY = Path(__file__).resolve().parents[2]
SUPERVISE_SECONDS = 0.1
POLL_SECONDS = 0.2
UP_SECONDS_MAX = 120.0
POSTGRES = "postgres"
PROGRAMS = {
    "api": ("-m", "controlplane.entrypoints.api"),
    "relay": ("-m", "controlplane.entrypoints.relay"),
    "worker": ("-m", "controlplane.entrypoints.worker"),
    "gateway": ("-m", "controlplane.entrypoints.gateway"),
    "operator": ("-m", "tests.simulation.gpu_writer"),
}
VICTIMS = (*PROGRAMS, POSTGRES)


@dataclass
class MoneyStack:
    """`kill` ends a process; its supervisor's thread starts it again within SUPERVISE_SECONDS."""

    folder: Path
    postgres: OwnPostgres
    settings: Settings
    environment: dict[str, str] = field(repr=False)
    url: str
    kills: dict[str, int] = field(default_factory=dict)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def access_log(self) -> Path:
        return self.folder / "state" / "gateway" / "access" / "access.log"

    @property
    def operator_folder(self) -> Path:
        return self.folder / "operator"

    def supervise(self) -> None:
        """Start what does not run, until stopped."""
        while not self._stopping.wait(SUPERVISE_SECONDS):
            self.postgres.spawn()
            for name in PROGRAMS:
                held = self._processes.get(name)
                if held is None or held.poll() is not None:
                    self._processes[name] = self._spawn(name)

    def kill(self, name: str) -> bool:
        """kill -9; False while there is no such process."""
        if name == POSTGRES:
            if self.postgres.pid is None:
                return False
            self.postgres.stop(SIGKILL)
        else:
            held = self._processes.get(name)
            if held is None or held.poll() is not None:
                return False
            held.kill()
            held.wait(timeout=30)
        self.kills[name] = self.kills.get(name, 0) + 1
        return True

    def stop(self, supervisor: threading.Thread) -> None:
        self._stopping.set()
        supervisor.join(timeout=30)
        for process in self._processes.values():
            process.kill()
            process.wait(timeout=30)

    def is_answering(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *PROGRAMS[name]],
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )


def wait_for(condition: Callable[[], bool], what: str, seconds_max: float) -> None:
    deadline = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds_max} s: {what}"
        time.sleep(POLL_SECONDS)


@contextmanager
def running_money_stack(folder: Path) -> Iterator[MoneyStack]:
    """Everything up, the operator's and the producers' keys in `folder`, prices and seller seeded."""
    with ExitStack() as held:
        postgres, urls = held.enter_context(own_database())
        redis_url, _ = held.enter_context(running_redis(folder))
        stack = _place(folder, postgres, urls, redis_url)
        database = Database(stack.settings)
        seed(stack.settings, database, folder / "operator.key", folder / "producer.key")
        database.dispose()
        supervisor = threading.Thread(target=stack.supervise, daemon=True)
        held.callback(stack.stop, supervisor)
        supervisor.start()
        wait_for(stack.is_answering, "the API answers", UP_SECONDS_MAX)
        yield stack


def _place(folder: Path, postgres: OwnPostgres, urls: DatabaseUrls, redis_url: str) -> MoneyStack:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REMPART_")}
    environment = {
        **{name: value for name, value in kept.items() if name not in {"KUBECONFIG", "DATABASE_URL"}},
        "PYTHONPATH": str(REPOSITORY),
        "REMPART_ENVIRONMENT": "local",
        "REMPART_DATABASE_URL": urls.app,
        "REMPART_SYSTEM_DATABASE_URL": urls.system,
        "REDIS_URL": redis_url,
        "REMPART_KEY_PEPPER": TEST_PEPPER,
        **TEST_RATE_ENVIRONMENT,
        "REMPART_STATE_DIR": str(folder / "state"),
        "REMPART_API_PORT": str(port),
        "REMPART_INGEST_URL": url,
        "REMPART_INGEST_KEY_FILE": str(folder / "producer.key"),
        "REMPART_LOG_LEVEL": "WARNING",
        "MONEY_OPERATOR_FOLDER": str(folder / "operator"),
    }
    for name in ("GATEWAY_PORT", "GATEWAY_ADMIN_PORT", "ACTIVATOR_PORT"):
        environment[f"REMPART_{name}"] = str(free_port())
    settings = Settings(
        environment="local",
        owner_database_url=SecretStr(urls.owner),
        app_database_url=SecretStr(urls.app),
        system_database_url=SecretStr(urls.system),
        redis_url=redis_url,
        key_pepper=SecretStr(TEST_PEPPER),
        state_dir=folder / "state",
        database_pool_size=2,
    )
    return MoneyStack(folder, postgres, settings, environment, url)
