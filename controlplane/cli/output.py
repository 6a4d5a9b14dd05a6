"""What the command prints: tables for people, JSON and YAML for programs, names for shells.

Colour and spinners are for terminals alone, and for no terminal under NO_COLOR (no-color.org).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

# What is piped is not folded: a line is a line.
PIPE_WIDTH = 10_000


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


OutputOption = Annotated[
    Format, typer.Option("--output", "-o", help="How to print: table, json, yaml or name.")
]


YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: for scripts.")]
# A cell of a table; `-o json` and `-o yaml` hold the whole text.
CELL_WIDTH_MAX = 60
DOCUMENT_WIDTH_MAX = 200


def ask_first(what: str, is_sure: bool) -> None:
    """Ask on a terminal before something that cannot be undone; who says no is not obeyed by accident."""
    if not is_sure and sys.stdin.isatty():
        typer.confirm(f"{what} This cannot be undone. Go on?", abort=True, err=True)


def show_list(
    items: Iterable[Mapping[str, Any]],
    columns: Sequence[tuple[str, str]],
    output: Format,
    *,
    name: str = "id",
) -> None:
    """Print many: `columns` are (heading, field) pairs of the table, `name` the field that `-o name` prints."""
    rows = [dict(item) for item in items]
    if output is not Format.TABLE:
        _show_data(rows, output, name)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, _ in columns:
        table.add_column(heading.upper(), overflow="fold")
    for row in rows:
        table.add_row(*(cut(_cell(_dig(row, field))) for _, field in columns))
    _console().print(table, markup=False)


def show_one(item: Mapping[str, Any], output: Format, *, name: str = "id") -> None:
    """Print one: a field a line, or the whole document."""
    if output is not Format.TABLE:
        _show_data(dict(item), output, name)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for field, value in item.items():
        shown = _cell(value)
        table.add_row(field, cut(shown, DOCUMENT_WIDTH_MAX) if isinstance(value, list | dict) else shown)
    _console().print(table, markup=False)


def show_done(item: Mapping[str, Any], sentence: str, output: Format, *, name: str = "id") -> None:
    """Print that something was done: a sentence, or the document that says so."""
    if output is Format.TABLE:
        say(sentence)
    else:
        _show_data(dict(item), output, name)


def say(text: str) -> None:
    typer.echo(text)


@contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Tell on standard error how far something is: a spinner on a terminal, else a line for each change."""
    if is_plain(sys.stderr):
        yield lambda state: print(state, file=sys.stderr)
        return
    with Console(stderr=True, highlight=False).status(text) as status:
        yield lambda state: status.update(f"{text}: {state}")


def is_plain(stream: Any) -> bool:
    """Whether a stream gets neither colour nor movement."""
    return bool(os.environ.get("NO_COLOR")) or not stream.isatty()


def _console() -> Console:
    if is_plain(sys.stdout):
        width = None if sys.stdout.isatty() else PIPE_WIDTH
        return Console(soft_wrap=True, highlight=False, color_system=None, force_terminal=False, width=width)
    return Console(soft_wrap=True, highlight=False)


def _show_data(data: Any, output: Format, name: str) -> None:
    if output is Format.JSON:
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    elif output is Format.YAML:
        typer.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip())
    else:
        for row in data if isinstance(data, list) else [data]:
            typer.echo(_cell(_dig(row, name)))


def _dig(row: Mapping[str, Any], field: str) -> Any:
    value: Any = row
    for part in field.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def cut(text: str, width: int = CELL_WIDTH_MAX) -> str:
    """A text on one line, no wider than a cell."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
