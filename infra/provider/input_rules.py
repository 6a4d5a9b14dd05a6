"""What may be declared: checks that need no server, so that a mistake is told before anything changes. Pure.

The server checks everything again; these rules say the same of what a person gets wrong most.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.provider.values import is_unknown

# The patterns of the API's description: a project's name stands in paths, a service's in host names.
PROJECT_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
THING_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
NAME_LENGTH_MAX = 40
SECRET_LENGTH_MAX = 32_768
DESCRIPTION_LENGTH_MAX = 500
KEY_NAME_LENGTH_MAX = 100
EXPIRES_IN_DAYS_MAX = 365
WAIT_SECONDS_MAX = 3_600
ROLES = ("owner", "admin", "developer", "billing", "auditor", "viewer")
KINDS = ("svc", "pat")
SCOPES = ("manage", "inference")
# What the API's definition of a service has at its first level, besides `name`, which the resource says.
DEFINITION_FIELDS = frozenset(
    {
        "type", "instance_types", "scalings", "env", "regions", "inference", "sovereignty",
        "on_violation_grace_seconds",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One input that cannot be: its name, and a sentence for the person who wrote it."""

    input: str
    sentence: str


def check_project(props: Mapping[str, Any]) -> list[Fault]:
    """Check a project's inputs."""
    return [
        *_named(props, PROJECT_NAME, minimum=2),
        *_length(props, "description", 0, DESCRIPTION_LENGTH_MAX),
        *_adopted(props, "prj"),
    ]


def check_app(props: Mapping[str, Any]) -> list[Fault]:
    """Check an app's inputs."""
    return [*_named(props, THING_NAME), *_id(props, "project_id", "prj"), *_adopted(props, "app")]


def check_secret(props: Mapping[str, Any]) -> list[Fault]:
    """Check a secret's inputs; no sentence repeats the value."""
    return [
        *_named(props, THING_NAME),
        *_id(props, "project_id", "prj"),
        *_length(props, "value", 1, SECRET_LENGTH_MAX),
        *_adopted(props, "sec"),
    ]


def check_api_key(props: Mapping[str, Any]) -> list[Fault]:
    """Check an API key's inputs."""
    faults = [
        *_length(props, "name", 1, KEY_NAME_LENGTH_MAX),
        *_one_of(props, "role", ROLES),
        *_one_of(props, "kind", KINDS),
        *_id(props, "project_id", "prj"),
        *_whole(props, "expires_in_days", 1, EXPIRES_IN_DAYS_MAX),
    ]
    scopes = props.get("scopes")
    if scopes is not None and not is_unknown(scopes):
        if not isinstance(scopes, list) or not scopes:
            faults.append(Fault("scopes", f"is a list of some of {', '.join(SCOPES)}"))
        else:
            faults += [
                Fault("scopes", f"'{each}' is none of {', '.join(SCOPES)}")
                for each in scopes
                if each not in SCOPES
            ]
    return faults


def check_service(props: Mapping[str, Any]) -> list[Fault]:
    """Check a service's inputs: their form, not what the catalogue has."""
    faults = [
        *_named(props, THING_NAME),
        *_id(props, "project_id", "prj"),
        *_id(props, "app_id", "app"),
        *_adopted(props, "svc"),
    ]
    definition = props.get("definition")
    if is_unknown(definition):
        return faults
    if not isinstance(definition, Mapping):
        return [
            *faults,
            Fault("definition", "is needed: what the service should be"),
        ]
    if "name" in definition:
        faults.append(Fault("definition", "names the service; say its name as the resource's `name` alone"))
    unknown = sorted(set(definition) - DEFINITION_FIELDS - {"name"})
    faults += [Fault("definition", f"has no field '{each}'") for each in unknown]
    inference = definition.get("inference")
    if not isinstance(inference, Mapping) or not inference.get("model"):
        faults.append(Fault("definition", "names no model: {'inference': {'model': …}}"))
    return faults


def check_service_ready(props: Mapping[str, Any]) -> list[Fault]:
    """Check what is waited for."""
    return [*_id(props, "service_id", "svc"), *_whole(props, "wait_seconds", 1, WAIT_SECONDS_MAX)]


def _known(props: Mapping[str, Any], name: str, check: Callable[[Any], str | None]) -> list[Fault]:
    value = props.get(name)
    if value is None or is_unknown(value):
        return []
    sentence = check(value)
    return [] if sentence is None else [Fault(name, sentence)]


def _named(props: Mapping[str, Any], pattern: re.Pattern[str], minimum: int = 1) -> list[Fault]:
    if props.get("name") is None:
        return [Fault("name", "is needed")]

    def check(value: Any) -> str | None:
        is_fit = (
            isinstance(value, str) and minimum <= len(value) <= NAME_LENGTH_MAX and pattern.fullmatch(value)
        )
        return (
            None
            if is_fit
            else (
                f"'{str(value)[:60]}' is no name: {minimum} to {NAME_LENGTH_MAX} lower-case letters, digits and single"
                " dashes, starting with a letter"
            )
        )

    return _known(props, "name", check)


def _length(props: Mapping[str, Any], name: str, minimum: int, maximum: int) -> list[Fault]:
    if minimum and props.get(name) is None:
        return [Fault(name, "is needed")]
    return _known(
        props,
        name,
        lambda value: (
            None
            if isinstance(value, str) and minimum <= len(value) <= maximum
            else f"is a text of {minimum} to {maximum} characters"
        ),
    )


def _whole(props: Mapping[str, Any], name: str, minimum: int, maximum: int) -> list[Fault]:
    return _known(
        props,
        name,
        lambda value: (
            None
            if isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= maximum
            else f"is a whole number from {minimum} to {maximum}"
        ),
    )


def _one_of(props: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> list[Fault]:
    if props.get(name) is None:
        return [Fault(name, f"is needed: one of {', '.join(allowed)}")]
    return _known(
        props, name, lambda value: None if value in allowed else f"'{value}' is none of {', '.join(allowed)}"
    )


def _id(props: Mapping[str, Any], name: str, prefix: str) -> list[Fault]:
    return _known(
        props,
        name,
        lambda value: (
            None
            if isinstance(value, str) and value.startswith(f"{prefix}_")
            else f"'{str(value)[:60]}' is no id of that kind: it begins with '{prefix}_'"
        ),
    )


def _adopted(props: Mapping[str, Any], prefix: str) -> list[Fault]:
    return _id(props, "adopt", prefix)
