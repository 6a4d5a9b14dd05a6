"""Every command that a page, a message, a document or a translation names can be typed as it stands there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from controlplane.cli.main import app

ROOT = Path(__file__).parents[3]
PLACES = ("README.md", "docs/**/*.md", "controlplane/**/*", "infra/**/*", "operators/**/*", "helm/**/*")
KINDS = frozenset({".md", ".py", ".html", ".po", ".js", ".txt", ".yaml", ".tpl"})
# Inside marks: 'rempart …', `rempart …`, "rempart …".
MARKED = re.compile(r"([`'\"])rempart (?P<line>[a-z-][^`'\"\n]*)\1")
# A line of a shell: at its start, after a prompt, a pipe or `$(`.
SHELL = re.compile(r"^[ \t]*(?:\$ |.*\$\(|.*[|&] )?rempart (?P<line>[a-z-].*)$", re.M)
# In a sentence, after a colon.
TOLD = re.compile(r": rempart (?P<line>[a-z][a-z -]*[a-z])(?=[.;,)\"\\ ])")
FENCE = re.compile(r"^```(?:sh|bash|console|shell)?\n(?P<code>.*?)^```", re.M | re.S)
# Strings that begin so and are names, not commands.
NAMES = re.compile(r"^(portal|deployments) (session|form|secret)\b|^/v1")


def named(text: str, suffix: str) -> Iterator[str]:
    for pattern in (MARKED, TOLD):
        yield from (found["line"] for found in pattern.finditer(text))
    if suffix == ".md":
        for fence in FENCE.finditer(text):
            code = fence["code"].replace("\\\n", " ")
            yield from (found["line"] for found in SHELL.finditer(code))


def sources() -> list[Path]:
    found = {path for place in PLACES for path in ROOT.glob(place) if path.suffix in KINDS and path.is_file()}
    return sorted(found)


@cache
def tree() -> Any:
    return typer.main.get_command(app)


def problem_of(line: str) -> str:
    """What is wrong with a command line after `rempart`; empty when it can be typed."""
    typed = re.split(r" #| \| | < ", line.replace("…", "X"))[0]
    words = shlex.split(typed.rstrip(" .,;:)"))
    node: Any = tree()
    options: set[str] = {"--help"}
    for word in words:
        options |= {
            text for parameter in node.params for text in (*parameter.opts, *parameter.secondary_opts)
        }
        if word.startswith("-") and word != "-":
            if word.partition("=")[0] not in options:
                return f"{word} is no option of {node.name}"
        elif hasattr(node, "commands"):
            alternatives = word.split("|")
            unknown = [each for each in alternatives if each not in node.commands]
            if unknown:
                return f"{unknown[0]} is no command of {node.name}"
            node = node.commands[alternatives[0]]
    return ""


@pytest.mark.case("W4")
def test_every_command_that_is_named_exists() -> None:
    wrong, seen = [], 0
    for path in sources():
        for line in named(path.read_text(encoding="utf-8"), path.suffix):
            if NAMES.search(line):
                continue
            seen += 1
            problem = problem_of(line)
            if problem:
                wrong.append(f"{path.relative_to(ROOT)}: rempart {line.strip()}: {problem}")
    assert wrong == []
    assert seen > 150


@pytest.mark.case("W4")
@pytest.mark.parametrize(
    ("line", "is_right"),
    [
        ("admin datacenters add", True),
        ("admin datacenters create", False),
        ("admin entities|holdings|pools add", True),
        ("admin entities|tenants add", False),
        ("services deploy x --model m --wait", True),
        ("services deploy x --modle m", False),
        ("nothing", False),
    ],
)
def test_the_check_tells_what_can_be_typed(line: str, is_right: bool) -> None:
    assert (problem_of(line) == "") is is_right


@pytest.mark.case("W4")
@pytest.mark.parametrize(
    "text",
    [
        "Register one: rempart admin datacenters create.",
        "see `rempart admin datacenters create x`",
        "run 'rempart admin datacenters create'",
        "```sh\nexport A=1\nrempart admin datacenters create x \\\n  --country FR\n```\n",
        "```\nid=$(rempart admin datacenters create x)\n```\n",
    ],
)
def test_commands_are_found_where_people_read_them(text: str) -> None:
    assert [problem_of(line) != "" for line in named(text, ".md")] == [True]
