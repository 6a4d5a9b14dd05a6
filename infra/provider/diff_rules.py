"""What a changed declaration means: nothing, a change in place, or another thing instead. Pure.

`old` is what the state knows of the thing as it is (after a refresh: as the server has it), `new` what is declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.provider.values import is_unknown


@dataclass(frozen=True, slots=True)
class Change:
    """Names of inputs that differ: those that can be changed in place, and those that need another thing.

    `is_old_deleted_first`: names are unique, so the old thing must go before the new one can come.
    """

    in_place: tuple[str, ...] = ()
    replacing: tuple[str, ...] = ()
    is_old_deleted_first: bool = False

    @property
    def is_any(self) -> bool:
        return bool(self.in_place or self.replacing)


@dataclass(frozen=True, slots=True)
class Rule:
    """Which inputs of a kind can be changed in place, and which cannot. An input in neither changes nothing."""

    in_place: tuple[str, ...] = ()
    replacing: tuple[str, ...] = ()
    is_old_deleted_first: bool = True


PROJECT = Rule(in_place=("name", "description"))
APP = Rule(in_place=("name",), replacing=("project_id",))
SECRET = Rule(in_place=("value",), replacing=("name", "project_id"))
# The API changes no key. The new one comes first, so that who holds a key always holds one that works.
API_KEY = Rule(
    replacing=("name", "role", "kind", "project_id", "scopes", "expires_in_days", "rotation"),
    is_old_deleted_first=False,
)
SERVICE = Rule(in_place=("definition", "triggers"), replacing=("name", "project_id", "app_id"))
SERVICE_READY = Rule(in_place=("service_id", "deployment_id"))


def compare(rule: Rule, old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
    """Compare by a rule."""
    replacing = _differing(rule.replacing, old, new)
    return Change(
        _differing(rule.in_place, old, new), replacing, bool(replacing) and rule.is_old_deleted_first
    )


def compare_service(old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
    """A service drifts in two more ways, which no definition says: by scaling and by pausing it."""
    change = compare(SERVICE, old, new)
    drifted = tuple(name for name in ("scale", "is_paused") if old.get(name))
    return Change((*change.in_place, *drifted), change.replacing, change.is_old_deleted_first)


def covers(actual: Any, declared: Any) -> bool:
    """Whether everything declared is so; what was not declared may be anything (the server's defaults)."""
    if isinstance(declared, Mapping):
        return isinstance(actual, Mapping) and all(
            key in actual and covers(actual[key], value) for key, value in declared.items()
        )
    if isinstance(declared, Sequence) and not isinstance(declared, str):
        return (
            isinstance(actual, Sequence)
            and not isinstance(actual, str)
            and len(actual) == len(declared)
            and all(covers(a, d) for a, d in zip(actual, declared, strict=True))
        )
    return bool(actual == declared)


def _differing(names: Sequence[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in names if is_unknown(new.get(name)) or _said(old, name) != _said(new, name))


def _said(props: Mapping[str, Any], name: str) -> Any:
    # The protocol drops what is empty here and keeps it there: an empty text, list or mapping is nothing said.
    return props.get(name) or None
