"""`rempart payments`: what was paid, and what is still open."""

from __future__ import annotations

import typer

from controlplane.cli.config import connect
from controlplane.cli.output import Format, OutputOption, show_list

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

COLUMNS = (
    ("received", "received_on"),
    ("amount", "amount"),
    ("currency", "currency"),
    ("method", "method"),
    ("reference", "bank_reference"),
    ("remittance", "remittance"),
    ("id", "id"),
)
BALANCE_COLUMNS = (
    ("number", "number"),
    ("due", "due_on"),
    ("gross", "gross"),
    ("paid", "paid"),
    ("credited", "credited"),
    ("open", "open"),
    ("state", "state"),
)


@app.command("list")
def list_payments(output: OutputOption = Format.TABLE) -> None:
    """List what you paid, newest first."""
    with connect() as client:
        show_list(client.payments.list(), COLUMNS, output)


@app.command("balances")
def list_balances(output: OutputOption = Format.TABLE) -> None:
    """List your issued invoices with what is open of each, oldest first."""
    with connect() as client:
        show_list(client.payments.balances(), BALANCE_COLUMNS, output, name="number")
