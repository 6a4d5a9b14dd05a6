"""The operator's key: made once, registered once, printed never."""

from __future__ import annotations

import stat
import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from controlplane.entrypoints.seed import read_producer, seed, write_key
from controlplane.identity.key_rules import is_well_formed
from controlplane.kernel.errors import Conflict, InvalidInput
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings
from tests.fixtures.database import TEST_PEPPER, DatabaseUrls
from tests.fixtures.tenants import bearer


class TestSeed:
    def test_first_run_makes_a_key_that_opens_the_admin_door(
        self, api: TestClient, settings: Settings, database: Database, tmp_path: Path
    ) -> None:
        path = tmp_path / "secrets" / "admin.key"
        assert seed(settings, database, path)
        key = path.read_text().strip()
        assert is_well_formed(key)
        assert key.startswith("rmp_adm_local_")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [entry.name for entry in path.parent.iterdir()] == ["admin.key"]
        assert api.get("/v1/admin/organizations", headers=bearer(key)).status_code == 200
        assert api.get("/v1/organization", headers=bearer(key)).status_code == 403

    def test_second_run_changes_nothing(self, settings: Settings, database: Database, tmp_path: Path) -> None:
        path = tmp_path / "admin.key"
        assert seed(settings, database, path)
        before = path.read_bytes()
        assert not seed(settings, database, path)
        assert path.read_bytes() == before
        with database.system() as uow:
            assert uow.session.scalar(text("SELECT count(*) FROM api_key")) == 1

    def test_new_database_learns_the_key_of_an_existing_file(
        self, settings: Settings, database: Database, tmp_path: Path
    ) -> None:
        path = tmp_path / "admin.key"
        assert seed(settings, database, path)
        with database.system() as uow:
            uow.session.execute(text("UPDATE api_key SET hash = repeat('0', 64)"))
        before = path.read_bytes()
        assert seed(settings, database, path)
        assert path.read_bytes() == before

    def test_file_with_something_else_is_refused(
        self, settings: Settings, database: Database, tmp_path: Path
    ) -> None:
        path = tmp_path / "admin.key"
        path.write_text("rmp_svc_local_hello")
        with pytest.raises(InvalidInput):
            seed(settings, database, path)

    def test_command_prints_nothing_of_the_key(self, database_urls: DatabaseUrls, tmp_path: Path) -> None:
        path = tmp_path / "admin.key"
        environment = {
            "REMPART_SYSTEM_DATABASE_URL": database_urls.system,
            "REMPART_KEY_PEPPER": TEST_PEPPER,
            "REMPART_ADMIN_KEY_FILE": str(path),
        }
        for sentence in ("registered now", "known"):
            done = subprocess.run(
                [sys.executable, "-m", "controlplane.entrypoints.seed"],
                env=environment, capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
            assert sentence in done.stdout
            assert path.read_text().strip() not in done.stdout + done.stderr
        path.write_text("something else")
        failed = subprocess.run(
            [sys.executable, "-m", "controlplane.entrypoints.seed", "--admin-key-file", str(path)],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert failed.returncode == 1
        assert "not an operator key" in failed.stderr

    def test_of_two_writers_the_first_wins(self, tmp_path: Path) -> None:
        path = tmp_path / "admin.key"
        write_key(path, "first")
        write_key(path, "second")
        assert path.read_text() == "first\n"

    def test_each_producer_gets_a_key_of_its_own(
        self, api: TestClient, settings: Settings, database: Database, tmp_path: Path
    ) -> None:
        producers = [("/gateways/a", tmp_path / "gateway"), ("/cells/a", tmp_path / "cell")]
        for _ in range(2):
            seed(settings, database, tmp_path / "admin.key", producers=producers)
        callers = [
            api.get("/v1/caller", headers=bearer(path.read_text().strip())).json()["caller"]
            for _, path in producers
        ]
        assert {caller["role"] for caller in callers} == {"producer"}
        assert len({caller["key_id"] for caller in callers}) == 2
        with pytest.raises(Conflict, match="reports for /gateways/a, not for /cells/a"):
            seed(settings, database, tmp_path / "admin.key", producers=[("/cells/a", tmp_path / "gateway")])

    @pytest.mark.parametrize("text", ["/gateways/a", "gateways/a=x", "/gateways/=x", "/cells/A=x", "=x"])
    def test_a_producer_without_source_or_file_is_refused(self, text: str) -> None:
        with pytest.raises(ArgumentTypeError):
            read_producer(text)
