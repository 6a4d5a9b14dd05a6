"""Which pins have known faults, and which of those somebody has accepted, until when and why. Pure.

Source: the Open Source Vulnerability format 1.x (affected, ranges of type ECOSYSTEM, versions, withdrawn); versions
compare as PEP 440 has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from packaging.version import InvalidVersion, Version

from infra.supplychain.lock_rules import Pin, canonical_name

ECOSYSTEM = "PyPI"
# Acceptance is a pause, not an end: nobody remembers a reason for longer.
ACCEPTED_DAYS_MAX = 180
SUMMARY_LENGTH_MAX = 160
# A release with well-known faults (a sandbox escape of 2019, a denial of service of 2020): a source that does not know
# these knows nothing, and "none found" of it means nothing.
CONTROL = Pin("jinja2", "2.10", "", ())


class NotAnAdvisory(ValueError):
    """A record or an entry of the list of accepted faults that cannot be read; the message names it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A known fault of one pin. `names` are its id and all its aliases."""

    pin: Pin
    id: str
    names: frozenset[str]
    summary: str

    @property
    def line(self) -> str:
        return f"{self.pin.name} {self.pin.version}: {self.id} {self.summary}".rstrip()


@dataclass(frozen=True, slots=True)
class Accepted:
    """A fault that somebody has looked at and lives with, until `until` (the last day)."""

    package: str
    id: str
    until: date
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`open` faults fail the check; `expired` and `unused` entries of the list do, too."""

    open: tuple[Fault, ...]
    accepted: tuple[Fault, ...]
    expired: tuple[Accepted, ...]
    unused: tuple[Accepted, ...]

    @property
    def is_good(self) -> bool:
        return not (self.open or self.expired or self.unused)


def find_faults(pin: Pin, records: Iterable[Mapping[str, Any]]) -> list[Fault]:
    """Return the faults of one pin among OSV records. Errors: NotAnAdvisory."""
    return [_fault(pin, record) for record in records if is_affected(pin, record)]


def is_affected(pin: Pin, record: Mapping[str, Any]) -> bool:
    """Whether a record means this release; a withdrawn one means nothing any more."""
    if record.get("withdrawn"):
        return False
    try:
        return any(
            _names(entry, pin) and _covers(entry, pin.version) for entry in record.get("affected") or ()
        )
    except (InvalidVersion, AttributeError, TypeError, KeyError) as err:
        raise NotAnAdvisory(f"{record.get('id', 'a record')} cannot be read: {err}") from err


def _names(entry: Mapping[str, Any], pin: Pin) -> bool:
    package = entry.get("package") or {}
    return package.get("ecosystem") == ECOSYSTEM and canonical_name(str(package.get("name", ""))) == pin.name


def _covers(entry: Mapping[str, Any], version: str) -> bool:
    if version in (entry.get("versions") or ()):
        return True
    return any(
        _in_range(each.get("events") or (), Version(version))
        for each in entry.get("ranges") or ()
        if each.get("type") in {"ECOSYSTEM", "SEMVER"}
    )


def _in_range(events: Sequence[Mapping[str, str]], version: Version) -> bool:
    """Walk the events in the order of their versions, as the format says."""
    is_in = False
    for kind, text in sorted(
        ((kind, text) for event in events for kind, text in event.items()), key=lambda each: _place(each[1])
    ):
        at = _place(text)
        if kind == "introduced" and version >= at:
            is_in = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            is_in = False
    return is_in


def _place(text: str) -> Version:
    # "0" stands for "from the beginning": before every release.
    return Version("0.dev0") if text == "0" else Version(text)


def _fault(pin: Pin, record: Mapping[str, Any]) -> Fault:
    identifier = str(record.get("id", "without an id"))
    summary = str(record.get("summary") or record.get("details") or "")
    names = frozenset({identifier, *map(str, record.get("aliases") or ())})
    return Fault(pin, identifier, names, " ".join(summary.split())[:SUMMARY_LENGTH_MAX])


def read_accepted(document: Mapping[str, Any], today: date) -> tuple[Accepted, ...]:
    """Read the list of accepted faults. Errors: NotAnAdvisory, naming the entry and what is wrong with it."""
    found = []
    for entry in document.get("accepted", ()):
        if set(entry) != {"package", "id", "until", "reason"}:
            raise NotAnAdvisory(f"{entry}: an entry has package, id, until and reason, and nothing else")
        if not isinstance(entry["until"], date) or len(str(entry["reason"]).split()) < 3:
            raise NotAnAdvisory(f"{entry['id']}: until is a date, and reason says why in a sentence")
        if (entry["until"] - today).days > ACCEPTED_DAYS_MAX:
            raise NotAnAdvisory(f"{entry['id']}: until lies more than {ACCEPTED_DAYS_MAX} days ahead")
        found.append(
            Accepted(canonical_name(entry["package"]), str(entry["id"]), entry["until"], str(entry["reason"]))
        )
    return tuple(found)


def judge(faults: Iterable[Fault], accepted: Sequence[Accepted], today: date) -> Verdict:
    """Say which faults stand. A fault that several sources name is one, under the first id that is met."""
    single: list[Fault] = []
    for fault in faults:
        if not any(each.pin == fault.pin and each.names & fault.names for each in single):
            single.append(fault)
    still = [each for each in accepted if each.until >= today]
    used: set[Accepted] = set()
    open_: list[Fault] = []
    lived_with: list[Fault] = []
    for fault in single:
        by = [each for each in still if each.package == fault.pin.name and each.id in fault.names]
        used |= set(by)
        (lived_with if by else open_).append(fault)
    expired = tuple(each for each in accepted if each.until < today)
    unused = tuple(each for each in still if each not in used)
    return Verdict(tuple(open_), tuple(lived_with), expired, unused)
