"""What <TAB> offers: names and ids from the API, asked for under the profile in use.

A shell shows whatever a completion prints, in the middle of a person's line: so it is asked once, for a short time, and
is silent about everything that goes wrong. Source: typer's and click's completion protocol (`_REMPART_COMPLETE`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import typer

from controlplane.cli.config import configure, load_profile, read_profiles
from controlplane.cli.find import project_or_none
from controlplane.sdk import Rempart

TIMEOUT_SECONDS = 2.0
"""Of each answer, and of all pages together: who presses <TAB> waits for it."""

PAGE_SIZE = 100
OFFERED_MAX = 500

Row = Mapping[str, Any]
Offer = list[tuple[str, str]]
Completer = Callable[[typer.Context, str], Offer]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the names of one kind come from.

    `rows` lists them, with the filters that the line has so far; `value` is the field that is typed, `hint` the one
    that zsh shows beside it. With `prefix` the kind is typed by name, or by an id that begins so.
    """

    rows: Callable[[Rempart, dict[str, Any]], Iterable[Row]]
    value: str
    hint: str
    prefix: str = ""
    is_of_project: bool = False


SERVICES = Source(
    lambda api, filters: api.services.list(**filters), "name", "status", prefix="svc_", is_of_project=True
)
APPS = Source(lambda api, filters: api.apps.list(**filters), "name", "id", prefix="app_", is_of_project=True)
SECRETS = Source(
    lambda api, filters: api.secrets.list(**filters), "name", "id", prefix="sec_", is_of_project=True
)
PROJECTS = Source(lambda api, filters: api.projects.list(**filters), "name", "id", prefix="prj_")
DEPLOYMENTS = Source(lambda api, filters: api.deployments.list(**filters), "id", "status")
INSTANCES = Source(lambda api, filters: api.instances.list(**filters), "id", "name")
KEYS = Source(lambda api, filters: api.api_keys.list(**filters), "id", "name")
OPERATOR_KEYS = Source(lambda api, filters: api.operator_keys.list(**filters), "id", "name")
INVOICES = Source(lambda api, filters: api.invoices.list(**filters), "id", "number")
PLATFORM_INVOICES = Source(lambda api, filters: api.platform_invoices.list(**filters), "id", "number")
PLATFORM_PAYMENTS = Source(lambda api, filters: api.platform_payments.list(**filters), "id", "bank_reference")
MODELS = Source(lambda api, _: api.catalog.models(), "name", "title")
INSTANCE_TYPES = Source(lambda api, _: api.catalog.instance_types(), "name", "title")
ORGANIZATIONS = Source(lambda api, filters: api.organizations.list(**filters), "id", "name")
ENTITIES = Source(lambda api, filters: api.legal_entities.list(**filters), "id", "name")
HOLDINGS = Source(lambda api, filters: api.holdings.list(**filters), "id", "holder_id")
CERTIFICATIONS = Source(lambda api, filters: api.certifications.list(**filters), "id", "framework")
DATACENTERS = Source(lambda api, filters: api.datacenters.list(**filters), "code", "name")
POOLS = Source(lambda api, filters: api.node_pools.list(**filters), "name", "datacenter")
NODES = Source(lambda api, filters: api.nodes.list(**filters), "name", "phase")
PLANS = Source(lambda api, _: api.prices.plans(), "code", "title_en")
SKUS = Source(lambda api, _: api.prices.skus(), "code", "description_en")


def offer(source: Source) -> Completer:
    """Return what typer calls for the values of an argument or option."""

    def complete(context: typer.Context, incomplete: str) -> Offer:
        try:
            return _ask(source, context, incomplete)
        except Exception:  # noqa: BLE001 - no key, no server, no right: nothing is offered, and nothing is said
            return []

    return complete


def offer_contexts(incomplete: str) -> Offer:
    """Return the stored contexts: these stand in the file, and nobody is asked."""
    try:
        found = read_profiles()
    except Exception:  # noqa: BLE001 - a damaged file offers nothing
        return []
    return [(name, found[name].base_url) for name in sorted(found) if name.startswith(incomplete)]


def _ask(source: Source, context: typer.Context, incomplete: str) -> Offer:
    # The callback of the root has not run: what stands before the command is still only parsed.
    configure(context.find_root().params.get("profile"), is_debug=False)
    profile, until = load_profile(), time.monotonic() + TIMEOUT_SECONDS
    is_by_id = bool(source.prefix) and incomplete.startswith(source.prefix)
    value, hint = ("id", source.value) if is_by_id else (source.value, source.hint)
    found: dict[str, str] = {}
    with Rempart(profile.key, profile.base_url, timeout_seconds=TIMEOUT_SECONDS, tries_max=1) as client:
        for row in source.rows(client, _filters(source, context, client)):
            name = str(row[value])
            if name.startswith(incomplete):
                found[name] = str(row.get(hint) or "")
            if len(found) >= OFFERED_MAX or time.monotonic() > until:
                break
    return sorted(found.items())


def _filters(source: Source, context: typer.Context, client: Rempart) -> dict[str, Any]:
    """What the line says so far narrows what is offered."""
    filters: dict[str, Any] = {"limit": PAGE_SIZE}
    project = context.params.get("project")
    if source.is_of_project and project:
        filters["project_id"] = project_or_none(client, project)
    return filters
