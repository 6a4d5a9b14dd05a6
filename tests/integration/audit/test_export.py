"""An export verifies without the server, and shows every way of tampering with it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

from controlplane.audit.verify_export import main, verify
from controlplane.plumbing.database import Database, normalise_url
from controlplane.plumbing.settings import Settings
from tests.fixtures.database import DatabaseUrls
from tests.fixtures.tenants import Caller, make_key, operator_headers, sign_up


@pytest.fixture
def caller(api: TestClient) -> Caller:
    made = sign_up(api)
    for number in range(4):
        make_key(api, made, name=f"clé n° {number}")
    return made


@pytest.fixture
def lines(api: TestClient, caller: Caller) -> list[str]:
    answer = api.get("/v1/audit_events/export", headers=caller.headers)
    assert answer.status_code == 200
    return answer.text.splitlines(keepends=True)


def check(lines: list[str], head: str | None = None) -> tuple[int, str]:
    return verify(io.StringIO("".join(lines)), head)


class TestExport:
    def test_export_holds_every_record_and_the_head_last(self, lines: list[str]) -> None:
        documents = [json.loads(line) for line in lines]
        assert [document["sequence"] for document in documents[:-1]] == list(range(1, 8))
        assert documents[-1]["head"]["hash"] == documents[-2]["hash"]

    def test_untouched_export_is_intact(self, lines: list[str]) -> None:
        head = json.loads(lines[-1])["head"]["hash"]
        assert check(lines) == (0, f"INTACT: 7 records, head {head}.")
        assert check(lines, head)[0] == 0

    def test_changed_record_is_named(self, lines: list[str]) -> None:
        document = json.loads(lines[3])
        document["actor"] = "somebody-else"
        lines[3] = json.dumps(document) + "\n"
        assert check(lines) == (1, "BROKEN at record 4: its content does not match its hash.")

    def test_removed_record_is_named(self, lines: list[str]) -> None:
        del lines[2]
        assert check(lines)[1].startswith("BROKEN at record 3:")

    def test_cut_export_is_noticed(self, lines: list[str]) -> None:
        assert check(lines[:-1])[0] == 1
        assert check(lines[:3] + lines[-1:])[0] == 1

    def test_whole_end_cut_off_with_a_false_head_is_noticed_by_a_kept_head(self, lines: list[str]) -> None:
        kept = json.loads(lines[-1])["head"]["hash"]
        last = json.loads(lines[2])
        false_head = {"head": {"chain": last["chain"], "sequence": 3, "hash": last["hash"]}}
        forged = [*lines[:3], json.dumps(false_head) + "\n"]
        assert check(forged)[0] == 0
        assert check(forged, kept)[0] == 1

    @pytest.mark.parametrize("damage", ["not json\n", "{}\n", "[]\n", '"head"\n', '{"head": 1}\n'])
    def test_what_is_no_export_is_said(self, lines: list[str], damage: str) -> None:
        assert check([*lines[:2], damage, *lines[2:]])[0] == 2

    def test_command_answers_with_its_exit_code(
        self, lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "audit.jsonl"
        path.write_text("".join(lines), encoding="utf-8")
        assert main([str(path)]) == 0
        path.write_text("".join(lines[1:]), encoding="utf-8")
        assert main([str(path)]) == 1
        assert main([str(tmp_path / "absent")]) == 2
        assert "BROKEN at record 1" in capsys.readouterr().out


class TestVerification:
    def test_intact_chain_is_said_to_be_so(self, api: TestClient, caller: Caller) -> None:
        found = api.get("/v1/audit_events/verification", headers=caller.headers).json()["verification"]
        assert found["is_intact"]
        assert found["first_break"] is None
        assert found["head"]["sequence"] == 7

    def test_row_changed_by_the_owner_of_the_database_is_found(
        self, api: TestClient, caller: Caller, database_urls: DatabaseUrls
    ) -> None:
        engine = create_engine(normalise_url(database_urls.owner))
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE audit_event DISABLE TRIGGER audit_event_append_only"))
            changed = connection.execute(text("UPDATE audit_event SET actor = 'nobody' WHERE sequence = 5"))
            assert changed.rowcount == 1
        engine.dispose()
        found = api.get("/v1/audit_events/verification", headers=caller.headers).json()["verification"]
        assert not found["is_intact"]
        assert found["first_break"]["sequence"] == 5


class TestList:
    def test_newest_comes_first_and_pages_tile(self, api: TestClient, caller: Caller) -> None:
        seen: list[int] = []
        cursor: str | None = ""
        while cursor is not None:
            query = f"&cursor={cursor}" if cursor else ""
            page = api.get(f"/v1/audit_events?limit=3{query}", headers=caller.headers).json()
            seen += [event["sequence"] for event in page["audit_events"]]
            cursor = page["next_cursor"]
        assert seen == [7, 6, 5, 4, 3, 2, 1]

    def test_filters_narrow_by_exact_value(self, api: TestClient, caller: Caller) -> None:
        found = api.get(f"/v1/audit_events?target={caller.project_id}", headers=caller.headers).json()
        assert [event["action"] for event in found["audit_events"]] == ["project.created"]

    def test_each_reads_its_own_chain(
        self, api: TestClient, caller: Caller, database: Database, settings: Settings
    ) -> None:
        operator = operator_headers(database, settings)
        assert api.get("/v1/admin/audit_events", headers=caller.headers).status_code == 403
        assert api.get("/v1/audit_events", headers=operator).status_code == 403
        events = api.get("/v1/admin/audit_events", headers=operator).json()["audit_events"]
        assert {event["chain"] for event in events} == {"platform"}
        exported = api.get("/v1/admin/audit_events/export", headers=operator).text
        assert verify(io.StringIO(exported))[0] == 0
