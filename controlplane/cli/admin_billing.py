"""`rempart admin invoices`, `fec`, `prices`: billing for the platform operator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.errors import WrongUse
from controlplane.cli.invoices import COLUMNS, InvoiceArgument, save
from controlplane.cli.output import Format, OutputOption, show_list, show_one

invoices = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
fec = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
prices = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

INVOICE_COLUMNS = (*COLUMNS, ("organization", "organization_id"))
PRICE_COLUMNS = (
    ("sku", "sku"),
    ("book", "book"),
    ("model", "model"),
    ("for", "base_quantity"),
    ("free", "free_quantity"),
    ("tiers", "tiers"),
    ("from", "valid_from"),
    ("until", "valid_to"),
)


@invoices.command("list")
def list_invoices(
    state: Annotated[str | None, typer.Option(help="Only these, such as HELD.")] = None,
    organization: Annotated[str | None, typer.Option(help="Only of the organization of this id.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List invoices of all organizations, newest first."""
    with connect() as client:
        rows = client.platform_invoices.list(state=state, organization_id=organization)
        show_list(rows, INVOICE_COLUMNS, output)


@invoices.command("get")
def get_invoice(invoice: InvoiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Show any invoice, with what holds it."""
    with connect() as client:
        show_one(client.platform_invoices.get(invoice), output)


@invoices.command("close")
def close_period(
    organization: Annotated[str, typer.Argument(help="Id of the organization.")],
    month: Annotated[str, typer.Argument(help="Month in Paris that is over, such as 2026-10.")],
    draft: Annotated[bool, typer.Option("--draft", help="Do not issue the invoice yet.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Close an organization's month and issue its invoice, unless something holds it. Safe to repeat."""
    with connect() as client:
        closed = client.platform_invoices.close_period(organization, month, issue=not draft)
    show_one(closed, output, name="invoice.id")


@invoices.command("issue")
def issue_invoice(invoice: InvoiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Issue a ready invoice: it gets its number and never changes again."""
    with connect() as client:
        show_one(client.platform_invoices.issue(invoice), output)


@invoices.command("credit-note")
def create_credit_note(
    invoice: InvoiceArgument,
    reason: Annotated[str, typer.Option(help="Why; printed on the credit note.")],
    line: Annotated[
        list[str] | None,
        typer.Option(help="Part to give back, POSITION=EUROS before VAT; repeat for several. Else all."),
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Issue a credit note for an invoice or for parts of it."""
    lines = [_read_line(text) for text in line or ()]
    with connect() as client:
        show_one(client.platform_invoices.credit_note(invoice, reason, lines or None), output)


@fec.command("download")
def download_fec(
    year: Annotated[int, typer.Argument(min=2020, max=2100, help="Fiscal year.")],
    path: Annotated[Path, typer.Argument(dir_okay=False, help="File to write.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Write the accounting entries of a fiscal year as the tax office reads them (LPF A47 A-1)."""
    with connect() as client:
        content = client.ledger.fec(year)
    save(path, content, output)


@prices.command("list")
def list_prices(output: OutputOption = Format.TABLE) -> None:
    """List all prices that were ever in force, newest first."""
    with connect() as client:
        show_list(client.prices.list(), PRICE_COLUMNS, output)


def _read_line(text: str) -> dict[str, object]:
    position, _, net = text.partition("=")
    if not (position.isascii() and position.isdigit() and net):
        raise WrongUse(f"'{text}' is not of the form POSITION=EUROS.")
    return {"position": int(position), "net": net}
