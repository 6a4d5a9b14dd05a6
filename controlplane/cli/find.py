"""Resolving what a person typed, an id or a name, to an id."""

from __future__ import annotations

from typing import Any

from controlplane.cli.errors import NothingCalled, WrongUse
from controlplane.sdk import Rempart


def find_app(client: Rempart, name_or_id: str, project: str | None = None) -> str:
    return _find_within(client, client.apps, "app", name_or_id, project)


def find_service(client: Rempart, name_or_id: str, project: str | None = None) -> str:
    return _find_within(client, client.services, "svc", name_or_id, project)


def find_secret(client: Rempart, name_or_id: str, project: str | None = None) -> str:
    return _find_within(client, client.secrets, "sec", name_or_id, project)


def find_project(client: Rempart, name_or_id: str) -> str:
    return _find(client.projects, "prj", name_or_id)


def project_or_none(client: Rempart, name_or_id: str | None) -> str | None:
    """The named project's id; None leaves the choice to the server: the key's own, or the default one."""
    return None if name_or_id is None else find_project(client, name_or_id)


def _find_within(client: Rempart, collection: Any, prefix: str, name_or_id: str, project: str | None) -> str:
    """A name means something in a project: of several with one name, `project` (id or name) says which."""
    return _find(collection, prefix, name_or_id, name=name_or_id, project_id=project_or_none(client, project))


def _find(collection: Any, prefix: str, name_or_id: str, **filters: str | None) -> str:
    """Names hold no underscore, so that an id is known by its form."""
    if name_or_id.startswith(f"{prefix}_"):
        return name_or_id
    matches = [str(item["id"]) for item in collection.list(**filters) if item["name"] == name_or_id]
    noun = str(collection.singular)
    if not matches:
        raise NothingCalled(f"There is no {noun} '{name_or_id}'.")
    if len(matches) > 1:
        # Where names are a project's own, naming it says which one is meant.
        way = "name the project with --project, or use an id" if "project_id" in filters else "use an id"
        raise WrongUse(f"{len(matches)} {noun}s are called '{name_or_id}'; {way}: {', '.join(matches)}.")
    return matches[0]
