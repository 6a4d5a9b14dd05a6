"""The bill of materials is valid, whole and the same each time."""

from __future__ import annotations

import json
import re
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from infra.supplychain.__main__ import main
from infra.supplychain.lock_rules import NotALock, canonical_name, read_pins

REPOSITORY = Path(__file__).resolve().parents[3]
LOCKS = ("requirements-production.lock", "requirements-production-bare.lock")
SCHEMAS = "cyclonedx/schema/_res"


def schema(name: str) -> Any:
    path = distribution("cyclonedx-python-lib").locate_file(f"{SCHEMAS}/{name}")
    return json.loads(Path(str(path)).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def validator() -> Any:
    """The format's own schema; what it refers to comes from beside it."""

    def beside(uri: str) -> Any:
        return schema(uri.rpartition("/")[2])

    return jsonschema_rs.validator_for(schema("bom-1.6.SNAPSHOT.schema.json"), retriever=beside)


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("sbom") / "deep" / "rempart.cdx.json"
    assert main(["sbom", str(path)]) == 0
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.case("X22")
def test_the_bill_is_valid_by_the_formats_own_schema(bill: dict[str, Any], validator: Any) -> None:
    assert [error.message for error in validator.iter_errors(bill)] == []
    broken = {**bill, "components": [{"type": "nonsense", "name": 1}]}
    assert not validator.is_valid(broken)


@pytest.mark.case("X22")
def test_the_bill_has_each_release_of_production_with_its_hashes_and_nothing_else(
    bill: dict[str, Any],
) -> None:
    text = "".join((REPOSITORY / name).read_text(encoding="utf-8") for name in LOCKS)
    pinned = {
        (canonical_name(name), version)
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE)
    }
    assert {(each["name"], each["version"]) for each in bill["components"]} == pinned
    listed = [each["content"] for part in bill["components"] for each in part["hashes"]]
    assert sorted(listed) == sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", text))
    assert all(each["purl"].startswith("pkg:pypi/") for each in bill["components"])
    # Nearly all say a licence; none is made up for those that do not.
    assert sum("licenses" in each for each in bill["components"]) > 0.9 * len(pinned)


@pytest.mark.case("X22")
def test_everything_in_the_bill_is_needed_by_something(bill: dict[str, Any]) -> None:
    needs = {each["ref"]: set(each["dependsOn"]) for each in bill["dependencies"]}
    reached, waiting = set(), [bill["metadata"]["component"]["bom-ref"]]
    while waiting:
        reference = waiting.pop()
        if reference not in reached:
            reached.add(reference)
            waiting += needs[reference]
    elsewhere = {each["bom-ref"] for each in bill["components"] if each.get("properties")}
    extras = {each["bom-ref"] for each in bill["components"]} - reached - elsewhere
    # Named by an extra of a dependency (`psycopg[binary,pool]`, `kombu[redis]`): what it needs is said without it.
    assert {reference.partition("/")[2].partition("@")[0] for reference in extras} <= {
        "psycopg-binary", "psycopg-pool", "redis", "packaging",
    }  # fmt: skip


def test_the_bill_is_the_same_each_time(bill: dict[str, Any], tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    main(["sbom", str(again)])
    assert json.loads(again.read_text(encoding="utf-8")) == bill


@pytest.mark.parametrize(
    "text",
    ["jinja2", "jinja2>=3 --hash=sha256:" + "0" * 64, "jinja2==3", "-r other.txt", "jinja2==3 \\\n    --hash=md5:00",
     "git+ssh://host/x", f"a==1 --hash=sha256:{'0' * 64}\nA==2 --hash=sha256:{'1' * 64}"],
)  # fmt: skip
def test_what_is_no_pin_with_hashes_is_no_lock(text: str) -> None:
    with pytest.raises(NotALock):
        read_pins(text)
