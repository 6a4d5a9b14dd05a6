"""What a failed command says, where, and what it exits with."""

from __future__ import annotations

import json

import pytest
import typer

from controlplane.cli.errors import NothingCalled, NotLoggedIn, WrongUse, report, wants_json
from controlplane.cli.main import run
from controlplane.sdk import ApiError, ConnectionLost, DeploymentFailed, WaitTimedOut
from controlplane.sdk.errors import error_of

PROBLEM = {
    "code": "invalid_input",
    "detail": "Not understood.",
    "request_id": "req_1",
    "errors": [{"field": "body.name", "message": "Field required", "code": "missing"}],
}


@pytest.mark.parametrize(
    ("line", "is_json"),
    [
        ("apps list -o json", True),
        ("apps list --output json", True),
        ("apps list --output=json", True),
        ("apps list -ojson", True),
        ("-o json", True),
        ("apps create json", False),
        ("apps list -o yaml", False),
        ("apps list -o json -o table", False),
        ("apps create -- -o json", False),
        ("apps list -o", False),
        ("", False),
    ],
)
def test_json_is_wanted_only_where_it_is_asked_for(line: str, is_json: bool) -> None:
    assert wants_json(line.split()) is is_json


@pytest.mark.parametrize(
    ("error", "exit_code", "code"),
    [
        (error_of(422, PROBLEM), 1, "invalid_input"),
        (error_of(403, {"code": "forbidden"}), 1, "forbidden"),
        (error_of(500, {}), 1, "unknown"),
        (WrongUse("no"), 2, "wrong_use"),
        (typer.BadParameter("no"), 2, "wrong_use"),
        (NotLoggedIn("no"), 3, "not_logged_in"),
        (error_of(401, {"code": "unauthenticated"}), 3, "unauthenticated"),
        (error_of(404, {"code": "not_found"}), 4, "not_found"),
        (NothingCalled("no"), 4, "not_found"),
        (WaitTimedOut("no"), 5, "wait_timed_out"),
        (DeploymentFailed("ERROR", []), 6, "deployment_failed"),
        (ConnectionLost("no"), 7, "unreachable"),
        (PermissionError("no"), 1, "file"),
    ],
)
def test_each_failure_has_its_exit_code_and_its_document(
    error: Exception, exit_code: int, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(error, ["-o", "json"]) == exit_code
    shown = capsys.readouterr()
    assert shown.out == ""
    document = json.loads(shown.err)["error"]
    assert set(document) == {"code", "message", "request_id", "fields"}
    assert document["code"] == code
    assert document["message"]


def test_people_get_a_sentence_the_fields_and_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    error = error_of(422, PROBLEM)
    assert isinstance(error, ApiError)
    assert report(error, []) == 1
    assert capsys.readouterr().err.splitlines() == [
        "Error: Not understood.",
        "  body.name: Field required",
        "  (request req_1)",
    ]


@pytest.mark.parametrize(
    "line", ["apps bogus", "apps create", "apps list --bogus", "apps list -o xml", "apps", ""]
)
def test_wrong_use_exits_2_and_says_why_without_a_traceback(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line.split()) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert shown.err


def test_wrong_use_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["apps", "create", "-o", "json"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "wrong_use"


def test_a_defect_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> object:
        raise ZeroDivisionError

    monkeypatch.setattr("controlplane.cli.apps.connect", broken)
    with pytest.raises(ZeroDivisionError):
        run(["apps", "list"])
