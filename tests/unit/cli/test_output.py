"""Colour, spinners and folding are for terminals alone."""

from __future__ import annotations

import io
import json
import os
import pty
import sys
from collections.abc import Callable, Iterator

import pytest
import yaml

from controlplane.cli.output import Format, progress, show_done, show_list, show_one

ROWS = [
    {"id": "app_1", "name": "[red]chat[/red]", "deep": {"er": 1}},
    {"id": "app_2", "name": "b" * 200, "deep": {}},
]
COLUMNS = (("name", "name"), ("er", "deep.er"))
READ_MAX = 65_536


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Callable[[], None]], str]]:
    """Run something with one of the standard streams on a real pseudo-terminal; return what the terminal got."""
    opened: list[int] = []

    def run(stream: str, action: Callable[[], None]) -> str:
        outer, inner = pty.openpty()
        opened.append(outer)
        with os.fdopen(inner, "w") as terminal:
            monkeypatch.setattr(sys, stream, terminal)
            action()
            terminal.flush()
            return os.read(outer, READ_MAX).decode()

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    yield run
    for descriptor in opened:
        os.close(descriptor)


def test_a_table_in_a_pipe_has_no_colour_and_folds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show_list(ROWS, COLUMNS, Format.TABLE)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["NAME", "ER"], ["[red]chat[/red]", "1"], ["b" * 59 + "…"]]


def test_a_terminal_gets_colour_and_none_under_no_color(
    on_terminal: Callable[[str, Callable[[], None]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b[" in on_terminal("stdout", lambda: show_list(ROWS[:1], COLUMNS, Format.TABLE))
    monkeypatch.setenv("NO_COLOR", "1")
    plain = on_terminal("stdout", lambda: show_list(ROWS[:1], COLUMNS, Format.TABLE))
    assert "\x1b" not in plain
    assert "[red]chat[/red]" in plain


def _wait() -> None:
    with progress("waiting") as tell:
        tell("dep_1 is PENDING")


def test_a_terminal_gets_a_spinner_and_none_under_no_color(
    on_terminal: Callable[[str, Callable[[], None]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b[" in on_terminal("stderr", _wait)
    monkeypatch.setenv("NO_COLOR", "1")
    assert on_terminal("stderr", _wait) == "dep_1 is PENDING\r\n"


def test_a_pipe_gets_one_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    _wait()
    assert capsys.readouterr() == ("", "dep_1 is PENDING\n")


def test_json_and_yaml_are_the_whole_documents(capsys: pytest.CaptureFixture[str]) -> None:
    show_list(ROWS, COLUMNS, Format.JSON)
    assert json.loads(capsys.readouterr().out) == ROWS
    show_one(ROWS[0], Format.YAML)
    assert yaml.safe_load(io.StringIO(capsys.readouterr().out)) == ROWS[0]


def test_name_is_one_name_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_list(ROWS, COLUMNS, Format.NAME)
    assert capsys.readouterr().out == "app_1\napp_2\n"
    show_one(ROWS[0], Format.NAME, name="deep.er")
    assert capsys.readouterr().out == "1\n"
    show_done({"id": "app_1"}, "Deleted app_1.", Format.NAME)
    assert capsys.readouterr().out == "app_1\n"


def test_what_was_done_is_a_sentence_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    show_done({"id": "app_1"}, "Deleted app_1.", Format.TABLE)
    assert capsys.readouterr().out == "Deleted app_1.\n"


def test_an_empty_list_is_an_empty_document(capsys: pytest.CaptureFixture[str]) -> None:
    show_list([], COLUMNS, Format.JSON)
    assert json.loads(capsys.readouterr().out) == []
    show_list([], COLUMNS, Format.NAME)
    assert capsys.readouterr().out == ""
