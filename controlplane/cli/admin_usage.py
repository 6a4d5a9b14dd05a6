"""`rempart admin usage`: what organizations use, and events that contradict others."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.costs import USAGE_COLUMNS
from controlplane.cli.names import OrganizationArgument
from controlplane.cli.output import Format, OutputOption, show_list

usage = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

CONFLICT_COLUMNS = (
    ("received", "received_at"),
    ("organization", "organization_id"),
    ("source", "source"),
    ("event", "event_id"),
)


@usage.command("show")
def show_usage(
    organization: OrganizationArgument,
    since: Annotated[
        str | None, typer.Option("--from", help="First instant (RFC 3339), a whole hour; else this month's.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="First instant after it; else the end of this month.")
    ] = None,
    group_by: Annotated[
        list[str] | None, typer.Option(help="project, service, model, country…; repeat for several.")
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Sum what an organization used, by meter and what else is asked for."""
    with connect() as client:
        rows = client.organizations.usages(organization, since=since, until=until, group_by=group_by or None)
        show_list(rows, USAGE_COLUMNS, output, name="quantity")


@usage.command("conflicts")
def list_conflicts(output: OutputOption = Format.TABLE) -> None:
    """List events that say something else than the event of the same id before them; they are not billed."""
    with connect() as client:
        show_list(client.usage_conflicts.list(), CONFLICT_COLUMNS, output)
