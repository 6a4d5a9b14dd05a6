"""Every command explains itself, takes -o, and stands in the reference page."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controlplane.cli import errors
from tests.unit.cli.commands import PRINTS, Command, walk

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
COMMANDS = walk()


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 60


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_each_has_help_for_itself_and_for_each_of_its_parameters(command: Command) -> None:
    assert command.help.endswith(".")
    silent = [name for name, text in command.parameters.items() if not text]
    assert silent == []


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_each_takes_an_output_format(command: Command) -> None:
    assert "output" in command.parameters


def test_the_table_of_the_reference_is_the_commands_own() -> None:
    lines = REFERENCE.read_text(encoding="utf-8").splitlines(keepends=True)
    at = [index for index, line in enumerate(lines) if line.startswith("| `rempart ")]
    table = [f"| `rempart {c.name}` | {c.help} | `{PRINTS[c.name]}` |\n" for c in COMMANDS]
    if os.environ.get("REMPART_GOLDEN") == "write":
        lines[at[0] : at[-1] + 1] = table
        REFERENCE.write_text("".join(lines), encoding="utf-8")
        return
    assert [lines[index] for index in at] == table


def test_the_reference_has_every_exit_code() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    codes = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    assert codes == {0, 1, 2, 3, 4, 5, 6, 7, 130}
    for code in codes:
        assert f"| {code} |" in text
