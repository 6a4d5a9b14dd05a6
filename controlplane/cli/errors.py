"""What a failed command says and exits with. The codes are a contract: docs/reference/cli.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer

from controlplane.sdk import (
    ApiError,
    ConnectionLost,
    DeploymentFailed,
    NotFound,
    Unauthenticated,
    WaitTimedOut,
)

DONE: Final = 0
FAILED: Final = 1
WRONG_USE: Final = 2
NOT_LOGGED_IN: Final = 3
NOT_FOUND: Final = 4
WAIT_TIMED_OUT: Final = 5
DEPLOYMENT_FAILED: Final = 6
UNREACHABLE: Final = 7
INTERRUPTED: Final = 130


class CliError(Exception):
    """Base of what the command itself refuses."""


class NotLoggedIn(CliError):
    """No key in the environment or in the file."""


class NothingCalled(CliError):
    """No thing of yours has this name."""


class WrongUse(CliError):
    """The command was not meant so."""


_CODES: Final[Mapping[type[Exception], tuple[int, str]]] = {
    Unauthenticated: (NOT_LOGGED_IN, ""),
    NotFound: (NOT_FOUND, ""),
    ApiError: (FAILED, ""),
    NotLoggedIn: (NOT_LOGGED_IN, "not_logged_in"),
    NothingCalled: (NOT_FOUND, "not_found"),
    WrongUse: (WRONG_USE, "wrong_use"),
    WaitTimedOut: (WAIT_TIMED_OUT, "wait_timed_out"),
    DeploymentFailed: (DEPLOYMENT_FAILED, "deployment_failed"),
    ConnectionLost: (UNREACHABLE, "unreachable"),
    typer.TyperException: (WRONG_USE, "wrong_use"),
    OSError: (FAILED, "file"),
}
# Everything that `report` knows; anything else is a defect and shows its traceback.
EXPECTED: Final = tuple(_CODES)


def report(error: Exception, arguments: Sequence[str]) -> int:
    """Say on standard error what went wrong, as JSON when JSON was asked for; return the exit code."""
    exit_code, code = next(known for kind, known in _CODES.items() if isinstance(error, kind))
    problem: dict[str, Any] = {"code": code, "message": _sentence(error), "request_id": "", "fields": []}
    if isinstance(error, ApiError):
        problem = {
            "code": error.code,
            "message": error.message,
            "request_id": error.request_id,
            "fields": error.fields,
        }
    if wants_json(arguments):
        print(json.dumps({"error": problem}, ensure_ascii=False), file=sys.stderr)
        return exit_code
    # A group without a command answers with its help, which is no error's sentence.
    prefix = "" if problem["message"].startswith("Usage:") else "Error: "
    print(f"{prefix}{problem['message']}", file=sys.stderr)
    for field in problem["fields"]:
        print(f"  {field.get('field')}: {field.get('message')}", file=sys.stderr)
    if problem["request_id"]:
        print(f"  (request {problem['request_id']})", file=sys.stderr)
    return exit_code


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for JSON; it may be too broken to be parsed."""
    wanted = ""
    for number, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument in ("-o", "--output"):
            wanted = arguments[number + 1] if number + 1 < len(arguments) else ""
        elif argument.startswith("--output="):
            wanted = argument.removeprefix("--output=")
        elif argument.startswith("-o") and not argument.startswith("--"):
            wanted = argument.removeprefix("-o").removeprefix("=")
    return wanted == "json"


def _sentence(error: Exception) -> str:
    return error.format_message() if isinstance(error, typer.TyperException) else str(error)
