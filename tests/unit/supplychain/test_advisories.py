"""Known faults are found, and "none found" is only ever said by who could have found one."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.supplychain import sources
from infra.supplychain.__main__ import ACCEPTED_FILE, ask, main
from infra.supplychain.advisory_rules import (
    ACCEPTED_DAYS_MAX,
    CONTROL,
    NotAnAdvisory,
    find_faults,
    is_affected,
    judge,
    read_accepted,
)
from infra.supplychain.installed import production_pins
from infra.supplychain.lock_rules import Pin
from infra.supplychain.sources import IndexJson, NotReachable, OsvDump

TODAY = date(2026, 11, 28)
PINS = production_pins()


def record(name: str, identifier: str = "PYSEC-2026-1", **affected: Any) -> dict[str, Any]:
    entry = {"package": {"ecosystem": "PyPI", "name": name}, **affected}
    return {"id": identifier, "aliases": ["CVE-2026-1"], "summary": "It falls over.", "affected": [entry]}


def ranged(*events: dict[str, str]) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


CONTROL_RECORD = record(CONTROL.name, "PYSEC-2019-217", **ranged({"introduced": "0"}, {"fixed": "2.10.1"}))


@pytest.fixture
def dump(tmp_path: Path) -> Callable[..., Path]:
    def write(*records: dict[str, Any], is_control: bool = True) -> Path:
        path = tmp_path / "all.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for number, each in enumerate([*records, *([CONTROL_RECORD] if is_control else [])]):
                archive.writestr(f"{number}.json", json.dumps(each))
        return path

    return write


@pytest.mark.case("X22")
@given(st.sampled_from(PINS), st.booleans())
def test_a_known_fault_of_any_pin_is_found(pin: Pin, is_listed: bool) -> None:
    spelt = pin.name.replace("-", "_").upper()
    affected = (
        {"versions": ["0.0.1", pin.version]}
        if is_listed
        else ranged({"introduced": "0"}, {"last_affected": pin.version})
    )
    (fault,) = find_faults(pin, [record(spelt, **affected), record("other", **affected)])
    assert (fault.pin, fault.id) == (pin, "PYSEC-2026-1")


@pytest.mark.parametrize(
    ("events", "is_in"),
    [
        ([{"introduced": "0"}], True),
        ([{"introduced": "0"}, {"fixed": "2.0"}], False),
        ([{"introduced": "0"}, {"fixed": "2.0.1"}], True),
        ([{"fixed": "2.0.1"}, {"introduced": "1.5"}], True),
        ([{"introduced": "2.1"}], False),
        ([{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "2.0"}, {"fixed": "2.2"}], True),
        ([{"introduced": "0"}, {"last_affected": "2.0"}], True),
        ([{"introduced": "0"}, {"last_affected": "1.9"}], False),
        ([{"introduced": "2.0rc1"}, {"fixed": "2.0"}], False),
    ],
)
def test_ranges_mean_what_the_format_says(events: list[dict[str, str]], is_in: bool) -> None:
    pin = Pin("thing", "2.0", "", ())
    assert is_affected(pin, record("thing", **ranged(*events))) is is_in
    withdrawn = {**record("thing", **ranged(*events)), "withdrawn": "2026-01-01T00:00:00Z"}
    assert not is_affected(pin, withdrawn)


@pytest.mark.case("X22")
@pytest.mark.parametrize("kind", ["no control", "empty", "absent", "no zip"])
def test_a_source_without_data_is_never_taken_for_good_news(
    dump: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = {
        "no control": lambda: dump(record("other"), is_control=False),
        "empty": lambda: dump(is_control=False),
        "absent": lambda: tmp_path / "absent.zip",
        "no zip": lambda: ACCEPTED_FILE,
    }[kind]()
    assert main(["advisories", "--osv", str(path)]) == 1
    assert "NOT CHECKED" in capsys.readouterr().err


@pytest.mark.case("X22")
@pytest.mark.parametrize("status", [200, 404, 500, None])
def test_an_index_without_advisories_is_said_loudly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: int | None
) -> None:
    monkeypatch.delenv("REMPART_OSV_DUMP", raising=False)
    monkeypatch.delenv("REMPART_REQUIRE_ADVISORIES", raising=False)
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if status is None:
            raise httpx.ConnectError("away")
        return httpx.Response(status, json={"vulnerabilities": []})

    monkeypatch.setattr(sources, "index_base", lambda: "http://index.test")
    monkeypatch.setattr(sources, "REQUEST_SECONDS_MAX", 1.0)
    real = httpx.Client

    def client(**options: Any) -> httpx.Client:
        return real(transport=httpx.MockTransport(answer), **options)

    monkeypatch.setattr(httpx, "Client", client)
    assert main(["advisories"]) == 3
    assert "NOT CHECKED" in capsys.readouterr().err
    # Nobody is asked for the rest.
    assert asked == [f"/pypi/{CONTROL.name}/{CONTROL.version}/json"]
    monkeypatch.setenv("REMPART_REQUIRE_ADVISORIES", "1")
    assert main(["advisories"]) == 1


@pytest.mark.case("X22")
def test_an_index_with_advisories_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = PINS[3]

    def answer(request: httpx.Request) -> httpx.Response:
        known = {f"/pypi/{pin.name}/{pin.version}/json" for pin in (CONTROL, faulty)}
        listed = (
            [{"id": "PYSEC-2026-7", "aliases": [], "summary": "bad"}] if request.url.path in known else []
        )
        return httpx.Response(200, json={"vulnerabilities": listed})

    real = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **o: real(transport=httpx.MockTransport(answer), **o))
    assert [fault.pin for fault in ask(IndexJson("http://index.test"), PINS)] == [faulty]


@pytest.mark.case("X22")
def test_an_accepted_fault_is_accepted_until_its_day_and_no_longer(
    dump: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pin = PINS[0]
    path = dump(record(pin.name, "GHSA-x", versions=[pin.version]))
    today = datetime.now(UTC).date()

    def check(until: date | None, identifier: str = "CVE-2026-1") -> int:
        accepted = tmp_path / "accepted.toml"
        entry = (
            f'[[accepted]]\npackage = "{pin.name}"\nid = "{identifier}"\nuntil = {until}\n'
            'reason = "we never call it"\n'
        )
        accepted.write_text("" if until is None else entry, encoding="utf-8")
        return main(["advisories", "--osv", str(path), "--accepted", str(accepted)])

    assert check(None) == 1
    assert f"OPEN: {pin.name}" in capsys.readouterr().out
    assert check(today) == 0
    assert check(today + timedelta(days=ACCEPTED_DAYS_MAX)) == 0
    assert check(today - timedelta(days=1)) == 1
    assert check(today, "CVE-0000-0") == 1
    assert check(today + timedelta(days=ACCEPTED_DAYS_MAX + 1)) == 2


def test_a_fault_that_two_records_name_is_one() -> None:
    pin = PINS[0]
    twice = [record(pin.name, name, versions=[pin.version]) for name in ("GHSA-x", "CVE-2026-1")]
    assert len(judge(find_faults(pin, twice), (), TODAY).open) == 1


def test_the_committed_list_can_be_read_and_a_clean_dump_is_good(
    dump: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["advisories", "--osv", str(dump(record("nobody-has-this")))]) == 0
    assert f"{len(PINS)} releases looked up" in capsys.readouterr().out


@pytest.mark.parametrize(
    "entry",
    [
        {"package": "a", "id": "b", "until": TODAY},
        {"package": "a", "id": "b", "until": "soon", "reason": "one two three"},
        {"package": "a", "id": "b", "until": TODAY, "reason": "fine"},
    ],
)
def test_an_entry_without_a_day_or_a_reason_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(NotAnAdvisory):
        read_accepted({"accepted": [entry]}, TODAY)


def test_a_folder_of_records_is_a_dump_and_a_damaged_record_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(CONTROL_RECORD), encoding="utf-8")
    assert ask(OsvDump(tmp_path), []) == []
    (tmp_path / "b.json").write_text("{", encoding="utf-8")
    with pytest.raises(NotReachable):
        OsvDump(tmp_path)
