"""`rempart security-events` and `rempart admin security-events`: what was refused, to whom and since when."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.output import Format, OutputOption, show_list
from controlplane.sdk import Rempart
from controlplane.sdk.resources import Collection

COLUMNS = (
    ("first", "first_at"),
    ("last", "last_at"),
    ("count", "count"),
    ("kind", "kind"),
    ("reason", "reason"),
    ("route", "route"),
    ("address", "address"),
    ("key", "key_id"),
    ("organization", "organization_id"),
    ("door", "source"),
)


class Kind(StrEnum):
    """The kinds of refusal, as the API names them."""

    FAILED_AUTHENTICATION = "failed_authentication"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXCEEDED = "quota_exceeded"


def make_app(events_of: Callable[[Rempart], Collection]) -> typer.Typer:
    """Build the commands for one door: a tenant's, or the operator's."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

    @app.callback()
    def noun() -> None:
        """What was refused, to whom and since when."""

    @app.command("list")
    def list_events(
        kind: Annotated[Kind | None, typer.Option(help="Only refusals of this kind.")] = None,
        address: Annotated[str | None, typer.Option(help="Only from this network address.")] = None,
        since: Annotated[
            str | None, typer.Option(help="Only what still went on then: 2026-11-21T09:00:00Z.")
        ] = None,
        output: OutputOption = Format.TABLE,
    ) -> None:
        """List what was refused, counted each minute, newest first."""
        wanted = None if kind is None else kind.value
        with connect() as client:
            rows = events_of(client).list(kind=wanted, address=address, since=since)
            show_list(rows, COLUMNS, output)

    return app
