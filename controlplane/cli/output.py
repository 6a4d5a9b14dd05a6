"""What the command prints: tables for people, JSON and YAML for programs, names for shells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


OutputOption = Annotated[
    Format, typer.Option("--output", "-o", help="How to print: table, json, yaml or name.")
]

_console = Console(soft_wrap=True, highlight=False)


def show_list(items: Iterable[Mapping[str, Any]], columns: Sequence[tuple[str, str]], output: Format) -> None:
    """Print many: `columns` are (heading, field) pairs of the table."""
    rows = [dict(item) for item in items]
    if output is Format.TABLE:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading, _ in columns:
            table.add_column(heading.upper(), overflow="fold")
        for row in rows:
            table.add_row(*(_cell(_dig(row, field)) for _, field in columns))
        _console.print(table)
    else:
        _show_data(rows, output)


def show_one(item: Mapping[str, Any], output: Format) -> None:
    """Print one: a field a line, or the whole document."""
    if output is not Format.TABLE:
        _show_data(dict(item), output)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in item.items():
        table.add_row(name, _cell(value))
    _console.print(table)


def say(text: str) -> None:
    _console.print(text, markup=False)


def _show_data(data: Any, output: Format) -> None:
    if output is Format.JSON:
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    elif output is Format.YAML:
        typer.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip())
    else:
        for row in data if isinstance(data, list) else [data]:
            typer.echo(row.get("id") or row.get("name") or row.get("code") or "")


def _dig(row: Mapping[str, Any], field: str) -> Any:
    value: Any = row
    for part in field.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
