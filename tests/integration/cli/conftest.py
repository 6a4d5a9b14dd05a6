"""A served door over a fleet whose cells are reported by hand; shells for its people."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient

from controlplane.entrypoints.seed import seed
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.door import served
from tests.integration.cli.shell import Shell
from tests.integration.deployments.fleet import Fleet, add_site, make_fleet

CELL_PAUSE_SECONDS = 0.05


@pytest.fixture
def fleet(api: TestClient, database: Database, settings: Settings) -> Fleet:
    made = make_fleet(api, database, settings)
    add_site(made, "essonne-1", "FR")
    return made


@pytest.fixture(autouse=True)
def _server_is_silent() -> Iterator[None]:
    """The door runs in this process: what it logs must not stand in what the command prints."""
    before = structlog.get_config()
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(file=io.StringIO()), cache_logger_on_first_use=False
    )
    yield
    structlog.configure(**before)


@pytest.fixture
def url(fleet: Fleet) -> Iterator[str]:
    app = fleet.api.app
    assert isinstance(app, FastAPI)
    with served(app) as address:
        yield address


@pytest.fixture
def owner(fleet: Fleet, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys, tmp_path / "owner", url, fleet.caller.secret)


@pytest.fixture
def operator(
    settings: Settings, database: Database, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Shell:
    key_file = tmp_path / "operator.key"
    seed(settings, database, key_file)
    return Shell(capsys, tmp_path / "operator", url, key_file.read_text().strip())


@contextmanager
def meanwhile(fleet: Fleet, act: Callable[[Fleet], None]) -> Iterator[None]:
    """Do something over and over in the background while a command waits."""
    stop, failures = threading.Event(), []

    def loop() -> None:
        try:
            while not stop.wait(CELL_PAUSE_SECONDS):
                act(fleet)
        except BaseException as error:  # noqa: BLE001 - it is shown by the test that waited
            failures.append(error)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=30)
    assert failures == []
