"""`rempart admin ledger`, `fec`: the books, for the platform operator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controlplane.cli.completion import ORGANIZATIONS, offer
from controlplane.cli.config import connect
from controlplane.cli.invoices import save
from controlplane.cli.output import Format, OutputOption, show_list, show_one

ledger = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
fec = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

ACCOUNT_COLUMNS = (("account", "code"), ("label", "label"), ("balance", "balance"), ("currency", "currency"))
ENTRY_COLUMNS = (
    ("number", "number"),
    ("day", "occurred_on"),
    ("piece", "piece_ref"),
    ("label", "label"),
    ("lines", "lines"),
)
YearArgument = Annotated[int, typer.Argument(min=2020, max=2100, help="Fiscal year.")]


@ledger.command("balances")
def list_balances(output: OutputOption = Format.TABLE) -> None:
    """List the chart of accounts with the balance of each: debits less credits, in cents."""
    with connect() as client:
        show_list(client.ledger.accounts(), ACCOUNT_COLUMNS, output, name="code")


@ledger.command("entries")
def list_entries(
    year: Annotated[int | None, typer.Option(min=2020, max=2100, help="Only of this fiscal year.")] = None,
    journal: Annotated[str | None, typer.Option(help="Only of this journal: VE, BQ or OD.")] = None,
    organization: Annotated[
        str | None,
        typer.Option(
            help="Only with a line of the organization of this id.", autocompletion=offer(ORGANIZATIONS)
        ),
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List journal entries, newest first."""
    with connect() as client:
        rows = client.ledger.list(year=year, journal=journal, organization_id=organization)
        show_list(rows, ENTRY_COLUMNS, output, name="number")


@ledger.command("entity")
def get_entity(output: OutputOption = Format.TABLE) -> None:
    """Show whose books these are."""
    with connect() as client:
        show_one(client.ledger.entity(), output, name="siren")


@ledger.command("set-entity")
def set_entity(
    siren: Annotated[str, typer.Argument(help="SIREN of the company.")],
    legal_name: Annotated[str, typer.Argument(help="Its name.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Say whose books these are; 'seller set' does it too."""
    with connect() as client:
        body = {"siren": siren, "legal_name": legal_name}
        show_one(client.ledger.set_entity(body), output, name="siren")


@ledger.command("close-year")
def close_year(year: YearArgument, output: OutputOption = Format.TABLE) -> None:
    """Close a fiscal year that has ended: nothing is booked into it any more."""
    with connect() as client:
        show_one(client.ledger.close_year(year), output, name="year")


@fec.command("download")
def download_fec(
    year: YearArgument,
    path: Annotated[Path, typer.Argument(dir_okay=False, help="File to write.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Write the accounting entries of a fiscal year as the tax office reads them (LPF A47 A-1)."""
    with connect() as client:
        content = client.ledger.fec(year)
    save(path, content, output)
