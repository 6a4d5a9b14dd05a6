"""Whatever names a thing of the API is completed from it, and what a project narrows takes `--project`."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer.main

from controlplane.cli.main import app

# Words of a parameter's help by which it names something that exists: new names and free texts are none.
NAMES_SOMETHING = re.compile(
    r"\b([Ii]d|[Cc]ode|[Nn]ame) (or name )?of the (service|app|secret|project|deployment|instance|key|invoice|"
    r"organization|model|context|datacenter|pool|fact|plan)\b|^(Project|App) by|[Oo]rganization of this id"
)
# They make what they name.
MAKING = frozenset(
    {"signup", "admin organizations create", "admin datacenters add", "admin pools add", "admin plans add"}
)
IN_A_PROJECT = re.compile(r"^Id or name of the (service|app|secret)\.")
LISTS = (
    "apps list",
    "secrets list",
    "services list",
    "instances list",
    "deployments list",
    "deployments regions",
)
STORIES = ("logs", "events", "usage")


def commands(node: Any = None, path: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    """Every command with its parameters."""
    node = typer.main.get_command(app) if node is None else node
    if not hasattr(node, "commands"):
        return {" ".join(path): list(node.params)}
    found: dict[str, list[Any]] = {}
    for name, child in node.commands.items():
        found |= commands(child, (*path, name))
    return found


COMMANDS = commands()


@pytest.mark.case("W26")
def test_every_parameter_that_names_something_is_completed() -> None:
    seen, silent = 0, []
    for name, parameters in COMMANDS.items():
        for parameter in parameters:
            text = getattr(parameter, "help", None) or ""
            if name in MAKING or not NAMES_SOMETHING.search(text):
                continue
            seen += 1
            if parameter._custom_shell_complete is None:
                silent.append(f"{name}: {parameter.name}")
    assert silent == []
    assert seen > 60


@pytest.mark.case("S10")
def test_every_command_that_a_project_narrows_takes_one() -> None:
    named = {
        name
        for name, parameters in COMMANDS.items()
        if any(IN_A_PROJECT.match(getattr(each, "help", None) or "") for each in parameters)
    }
    assert len(named) > 15
    without = [
        name
        for name in sorted({*named, *LISTS, *STORIES})
        if "project" not in {parameter.name for parameter in COMMANDS[name]}
    ]
    assert without == []
