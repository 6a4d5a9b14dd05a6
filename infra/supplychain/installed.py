"""What the installed releases say of themselves, and the locks and the product of this checkout."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution, metadata
from pathlib import Path

from packaging.requirements import Requirement

from infra.supplychain.lock_rules import Pin, canonical_name, read_pins
from infra.supplychain.sbom_rules import Facts, Product

REPOSITORY = Path(__file__).resolve().parents[2]
LOCKS = ("requirements-production.lock", "requirements-production-bare.lock")
_CLASSIFIER = "License :: "
# Some put the whole text where a name belongs.
NAME_LENGTH_MAX = 80


def production_pins(repository: Path = REPOSITORY) -> tuple[Pin, ...]:
    """Return everything that production installs."""
    texts = [(repository / name).read_text(encoding="utf-8") for name in LOCKS]
    return read_pins("\n".join(texts))


def read_product(repository: Path = REPOSITORY) -> Product:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = [canonical_name(Requirement(text).name) for text in project["dependencies"]]
    bare = read_pins((repository / LOCKS[1]).read_text(encoding="utf-8"))
    needs += [pin.name for pin in bare]
    return Product(project["name"], project["version"], project["license"], tuple(needs))


def read_facts(pins: Sequence[Pin]) -> dict[str, Facts]:
    """Return what is installed says of itself; a release that is not installed here, or is another, says nothing."""
    found = {}
    for pin in pins:
        try:
            if distribution(pin.name).version == pin.version:
                found[pin.name] = _facts(pin.name)
        except PackageNotFoundError:
            continue
    return found


def _facts(name: str) -> Facts:
    said = metadata(name)
    needs = [Requirement(text) for text in distribution(name).requires or ()]
    names = tuple(
        canonical_name(each.name)
        for each in needs
        if each.marker is None or each.marker.evaluate({"extra": ""})
    )
    expression = _one(said.get_all("License-Expression"))
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in said.get_all("Classifier") or ()
        if text.startswith(_CLASSIFIER) and text.count(" :: ") > 1
    ]
    text = _one(said.get_all("License"))
    named = " or ".join(classifiers) or (text if "\n" not in text and len(text) <= NAME_LENGTH_MAX else "")
    return Facts(expression, named, names)


def _one(values: Sequence[str] | None) -> str:
    return str(values[0]) if values else ""
