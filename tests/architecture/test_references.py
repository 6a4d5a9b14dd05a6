"""A reference leads somewhere: files that a page, a comment or a message names, links between pages, and anchors."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
READ = (".py", ".md", ".lua", ".toml", ".yaml", ".po", ".html", ".j2")

# A path or a name that ends like one of our files. What stands right before says whether it is a part of another word:
# of an address, of a variable, of a pattern.
FILE = re.compile(
    r"(?<![\w/.$<{*%-])((?:[\w.-]+/)*[\w-]+(?:\.[\w-]+)*\.(?:md|py|lua|toml|yaml|yml|po|j2|html))\b(?![/\w])"
)
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
SECTION = re.compile(r"\b[\w-]+\.md\s+§")

# Files that no checkout holds: what a person or a program writes while following a page, and files of other projects.
WRITTEN_ELSEWHERE = {
    "webshop.py": "the program that docs/tenants/infrastructure-as-code.md asks for",
    "Pulumi.yaml": "Pulumi's own project file",
    "plan.yaml": "the plan that docs/operators/install-with-pulumi.md asks for",
    "controlplane.yaml": "values that docs/operators/install.md asks for",
    "gateway.yaml": "values that docs/operators/install.md asks for",
    "operators.yaml": "values that docs/operators/install.md asks for",
    "transcript.md": "what the demo writes",
    "bootstrap.yaml": "Envoy's configuration, written at start",
}
OTHER_PROJECTS = ("kustomize/stage/",)


@cache
def tracked() -> tuple[str, ...]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(filter(None, listing.stdout.split("\0")))


def readable() -> list[str]:
    """The files whose references are followed; tests name files that must not be there, and are left out."""
    return [
        name
        for name in tracked()
        if name.endswith(READ) and not name.startswith("tests/") and (REPOSITORY / name).is_file()
    ]


def dead_files(text: str, names: tuple[str, ...]) -> list[str]:
    """The files that the text names and that are not among `names`, by their whole path or by its end."""
    dead = []
    for found in FILE.findall(text):
        name = re.sub(r"^(?:\.{1,2}/)+", "", found)
        if name in WRITTEN_ELSEWHERE or name.startswith(OTHER_PROJECTS):
            continue
        if not any(each == name or each.endswith("/" + name) for each in names):
            dead.append(found)
    return dead


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    made: set[str] = set()
    for heading in re.findall(
        r"^#{1,6}\s+(.+?)\s*$", re.sub(r"(?ms)^```.*?^```", "", text), flags=re.MULTILINE
    ):
        words = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        made.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return made


def dead_links(page: Path) -> list[str]:
    """The links of a page, to files or to anchors, that lead nowhere."""
    dead = []
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there.read_text(encoding="utf-8"))):
            dead.append(target)
    return dead


def texts() -> dict[str, str]:
    return {name: (REPOSITORY / name).read_text(encoding="utf-8") for name in readable()}


@pytest.mark.case("H13")
@pytest.mark.case("H14")
@pytest.mark.case("H15")
@pytest.mark.case("H17")
def test_each_file_that_is_named_is_there() -> None:
    dead = {name: dead_files(text, tracked()) for name, text in texts().items()}
    assert {name: each for name, each in dead.items() if each} == {}


@pytest.mark.case("H13")
def test_no_page_is_cited_by_the_number_of_a_section() -> None:
    """Our pages have no numbered sections: the reason belongs in the sentence, or a link to a heading."""
    cited = {name: SECTION.findall(text) for name, text in texts().items()}
    assert {name: each for name, each in cited.items() if each} == {}


@pytest.mark.case("H13")
@pytest.mark.case("H17")
def test_each_link_of_a_page_leads_somewhere() -> None:
    dead = {name: dead_links(REPOSITORY / name) for name in readable() if name.endswith(".md")}
    assert {name: each for name, each in dead.items() if each} == {}


@pytest.mark.case("H13")
@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ("Source: metering.md section 3", ["metering.md"]),
        ("(docs/style.md)", ["docs/style.md"]),
        ("written by envoy_lua.py.", ["envoy_lua.py"]),
        ("see ../operators/README.md", ["../operators/README.md"]),
        ("see controlplane/kernel/money.py and money.py", []),
        ("https://example.org/docs/page.md and $HOME/x.yaml and *.py", []),
    ],
)
def test_a_dead_reference_is_found_by_its_form(text: str, dead: list[str]) -> None:
    assert dead_files(text, ("controlplane/kernel/money.py",)) == dead


def test_an_anchor_is_a_headings_words() -> None:
    assert anchors("# One `page`\n\n## What is *there*?\n```\n# no heading\n```\n") == {
        "one-page",
        "what-is-there",
    }
    page = REPOSITORY / "docs" / "house.md"
    assert dead_links(page) == []
