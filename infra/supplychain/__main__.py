"""`python -m infra.supplychain sbom FILE` writes what production is made of; `advisories` looks for known faults in it.

Exit codes of `advisories`: 0 looked and nothing open; 1 a fault is open, or the list of accepted ones is out of date;
2 the list cannot be read; 3 NOTHING WAS CHECKED, because no source of advisories could be asked (1 where a dump is
named or REMPART_REQUIRE_ADVISORIES is set: for gates that have one).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from infra.supplychain.advisory_rules import (
    CONTROL,
    Fault,
    NotAnAdvisory,
    Verdict,
    find_faults,
    judge,
    read_accepted,
)
from infra.supplychain.installed import production_pins, read_facts, read_product
from infra.supplychain.lock_rules import Pin
from infra.supplychain.sbom_rules import make_sbom
from infra.supplychain.sources import NotReachable, Source, choose

GOOD, FAULTY, UNREADABLE, NOT_CHECKED = 0, 1, 2, 3
ACCEPTED_FILE = Path(__file__).with_name("accepted.toml")
RULE = "!" * 72


def write_sbom(path: Path) -> int:
    """Write the bill of materials; the same checkout gives the same bytes."""
    pins = production_pins()
    document = make_sbom(read_product(), pins, read_facts(pins))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(pins)} components written to {path} (CycloneDX {document['specVersion']})")
    return GOOD


def ask(source: Source, pins: Sequence[Pin]) -> list[Fault]:
    """Ask for every pin, after one whose faults are well known. Errors: NotReachable, NotAnAdvisory."""
    if not find_faults(CONTROL, source.records_of(CONTROL)):
        raise NotReachable(
            f"{source.name} knows no fault of {CONTROL.name} {CONTROL.version}, which has some: "
            "it has no advisories, and 'none found' of it would mean nothing"
        )
    return [fault for pin in pins for fault in find_faults(pin, source.records_of(pin))]


def check_advisories(dump: Path | None, accepted_file: Path, today: date) -> int:
    """Look for known faults of what production installs; says what it found and returns the exit code."""
    pins = production_pins()
    try:
        accepted = read_accepted(tomllib.loads(accepted_file.read_text(encoding="utf-8")), today)
    except (OSError, tomllib.TOMLDecodeError, NotAnAdvisory) as err:
        print(f"The list of accepted faults cannot be read: {err}.", file=sys.stderr)
        return UNREADABLE
    try:
        source = choose(dump)
        verdict = judge(ask(source, pins), accepted, today)
    except (NotReachable, NotAnAdvisory) as err:
        print(
            f"{RULE}\nNOT CHECKED for known vulnerabilities: {err}.\nNothing is known of the {len(pins)} releases that "
            f"production installs. Name a dump of OSV records (--osv all.zip), or a package index that has "
            f"advisories.\n{RULE}",
            file=sys.stderr,
        )
        # Who names a dump, or asks for the check, has to get one.
        is_asked_for = dump is not None or os.environ.get("REMPART_REQUIRE_ADVISORIES")
        return FAULTY if is_asked_for else NOT_CHECKED
    _say(verdict, len(pins), source.name)
    return GOOD if verdict.is_good else FAULTY


def _say(verdict: Verdict, count: int, source: str) -> None:
    for fault in verdict.open:
        print(f"OPEN: {fault.line}")
    for fault in verdict.accepted:
        print(f"accepted: {fault.line}")
    for entry in verdict.expired:
        print(f"EXPIRED on {entry.until}: {entry.package} {entry.id} was accepted because: {entry.reason}")
    for entry in verdict.unused:
        print(f"UNUSED: {entry.package} {entry.id} is accepted and not found any more; take it off the list")
    print(
        f"{count} releases looked up in {source}: {len(verdict.open)} open, {len(verdict.accepted)} accepted"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.supplychain", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    sbom = commands.add_parser("sbom", help="write the bill of materials of production")
    sbom.add_argument("file", type=Path)
    advisories = commands.add_parser("advisories", help="look for known vulnerabilities")
    advisories.add_argument("--osv", type=Path, help="OSV's all.zip of PyPI, or a folder of its records")
    advisories.add_argument(
        "--accepted", type=Path, default=ACCEPTED_FILE, help="faults that somebody lives with"
    )
    given = parser.parse_args(arguments)
    if given.command == "sbom":
        return write_sbom(given.file)
    named = os.environ.get("REMPART_OSV_DUMP")
    dump = given.osv or (Path(named) if named else None)
    return check_advisories(dump, given.accepted, datetime.now(UTC).date())


if __name__ == "__main__":
    sys.exit(main())
