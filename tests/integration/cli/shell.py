"""Running the command against a real server, and holding its every answer against the committed description."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from controlplane.cli.main import run
from tests.unit.cli.commands import PRINTS

DESCRIPTION_FILE = Path(__file__).parents[3] / "docs" / "reference" / "openapi.json"
DESCRIPTION = json.loads(DESCRIPTION_FILE.read_text(encoding="utf-8"))
VARIABLES = ("REMPART_API_KEY", "REMPART_API_URL", "XDG_CONFIG_HOME", "NO_COLOR", "FORCE_COLOR")


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def error(self) -> dict[str, Any]:
        """The one line of JSON that a failed command leaves; progress may stand before it."""
        document: dict[str, Any] = json.loads(self.err.strip().splitlines()[-1])["error"]
        assert set(document) == {"code", "message", "request_id", "fields"}
        assert document["message"]
        return document


@dataclass(slots=True)
class Shell:
    """A person at a terminal-less shell: an address, a key, a home of their own."""

    capture: pytest.CaptureFixture[str]
    home: Path
    url: str
    key: str = ""
    answered: set[str] = field(default_factory=set)

    def run(self, *arguments: str, stdin: str = "") -> Outcome:
        with self._environment(stdin):
            self.capture.readouterr()
            code = run(arguments)
            shown = self.capture.readouterr()
        return Outcome(code, shown.out, shown.err)

    def ask(self, *arguments: str, stdin: str = "") -> Any:
        """Run with `-o json`; the answer fits what the reference says of the command. Returns it."""
        done = self.run(*arguments, "-o", "json", stdin=stdin)
        assert done.code == 0, (arguments, done)
        document = json.loads(done.out)
        name = command_of(arguments)
        check_shape(document, PRINTS[name])
        self.answered.add(name)
        return document

    @contextmanager
    def _environment(self, stdin: str) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for variable in VARIABLES:
                patch.delenv(variable, raising=False)
            patch.setenv("XDG_CONFIG_HOME", str(self.home))
            if self.url:
                patch.setenv("REMPART_API_URL", self.url)
            if self.key:
                patch.setenv("REMPART_API_KEY", self.key)
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            yield


def command_of(arguments: tuple[str, ...]) -> str:
    """The command's name: the longest beginning of the words that is one."""
    names = [" ".join(arguments[:count]) for count in (3, 2, 1)]
    return next(name for name in names if name in PRINTS)


def check_shape(document: Any, prints: str) -> None:
    """Fail unless a document is what `prints` says: a schema's name, a list of it, or the fields themselves."""
    if prints.startswith("[{"):
        for each in document:
            check_shape(each, prints.strip("[]"))
        return
    if prints.startswith("{"):
        assert list(document) == prints.strip("{}").split(", ")
        return
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{prints.strip('[]')}"}
    if prints.startswith("["):
        schema = {"type": "array", "items": schema}
    whole = {**schema, "components": DESCRIPTION["components"]}
    jsonschema_rs.Draft202012Validator(whole).validate(document)


def in_process_environment() -> dict[str, str]:
    """This process's environment without anything of Rempart."""
    return {name: value for name, value in os.environ.items() if name not in VARIABLES}
