"""`rempart admin invoices`, `seller`, `vat-checks`: billing for the platform operator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controlplane.cli.completion import ORGANIZATIONS, offer
from controlplane.cli.config import connect
from controlplane.cli.definition import read_definition
from controlplane.cli.errors import WrongUse
from controlplane.cli.invoices import COLUMNS, Kind, KindOption, PathArgument, save
from controlplane.cli.names import AnyInvoiceArgument, OrganizationArgument
from controlplane.cli.output import Format, OutputOption, show_list, show_one

invoices = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
seller = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
vat_checks = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

FILE_COLUMNS = (
    ("number", "number"),
    ("state", "state"),
    ("since", "updated_at"),
    ("reason", "message"),
    ("invoice", "invoice_id"),
)
INVOICE_COLUMNS = (*COLUMNS, ("organization", "organization_id"))


@invoices.command("list")
def list_invoices(
    state: Annotated[str | None, typer.Option(help="Only these, such as HELD.")] = None,
    organization: Annotated[
        str | None,
        typer.Option(help="Only of the organization of this id.", autocompletion=offer(ORGANIZATIONS)),
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List invoices of all organizations, newest first."""
    with connect() as client:
        rows = client.platform_invoices.list(state=state, organization_id=organization)
        show_list(rows, INVOICE_COLUMNS, output)


@invoices.command("get")
def get_invoice(invoice: AnyInvoiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Show any invoice, with what holds it."""
    with connect() as client:
        show_one(client.platform_invoices.get(invoice), output)


@invoices.command("files")
def list_files(
    state: Annotated[
        str | None, typer.Option(help="Only these; RENDER_FAILED: made again by 'retry'.")
    ] = "RENDER_FAILED",
    output: OutputOption = Format.TABLE,
) -> None:
    """List issued invoices whose files could not be made, with the reason; or those of another state."""
    with connect() as client:
        show_list(client.platform_invoices.list_files(state=state), FILE_COLUMNS, output)


@invoices.command("close")
def close_period(
    organization: OrganizationArgument,
    month: Annotated[str, typer.Argument(help="Month in Paris that is over, such as 2026-10.")],
    draft: Annotated[bool, typer.Option("--draft", help="Do not issue the invoice yet.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Close an organization's month and issue its invoice, unless something holds it. Safe to repeat."""
    with connect() as client:
        closed = client.platform_invoices.close_period(organization, month, issue=not draft)
    show_one(closed, output, name="invoice.id")


@invoices.command("issue")
def issue_invoice(invoice: AnyInvoiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Issue a ready invoice: it gets its number and never changes again."""
    with connect() as client:
        show_one(client.platform_invoices.issue(invoice), output)


@invoices.command("credit-note")
def create_credit_note(
    invoice: AnyInvoiceArgument,
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


@invoices.command("retry")
def retry_invoice(invoice: AnyInvoiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Draft a held or failed invoice again and issue it if that was asked for; make files that an issued one lacks."""
    with connect() as client:
        show_one(client.platform_invoices.retry(invoice), output)


@invoices.command("hold")
def hold_invoice(
    invoice: AnyInvoiceArgument,
    reason: Annotated[str, typer.Option(help="Why; 'retry' lets it go on.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Hold a ready invoice: it is not issued until somebody retries it."""
    with connect() as client:
        show_one(client.platform_invoices.hold(invoice, reason), output)


@invoices.command("download")
def download_invoice(
    invoice: AnyInvoiceArgument,
    path: PathArgument,
    kind: KindOption = Kind.PDF,
    output: OutputOption = Format.TABLE,
) -> None:
    """Write any issued invoice to a file: the archived original, or the XML inside it."""
    with connect() as client:
        content = client.platform_invoices.download(invoice, kind.value)
    save(path, content, output)


@invoices.command("deposit")
def sell_deposit(
    organization: OrganizationArgument,
    net: Annotated[str, typer.Argument(help="Euros before VAT, such as 1000 or 99.50.")],
    label: Annotated[str, typer.Option(help="What it is for; printed on the invoice.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Sell prepaid credit: issue a deposit invoice. Once it is paid, later invoices deduct it."""
    with connect() as client:
        show_one(client.platform_invoices.sell_deposit(organization, net, label), output)


@seller.command("get")
def get_seller(output: OutputOption = Format.TABLE) -> None:
    """Show who sells, as invoices print it."""
    with connect() as client:
        show_one(client.platform_invoices.seller()["seller"], output, name="siren")


@seller.command("set")
def set_seller(
    file: Annotated[
        Path, typer.Argument(dir_okay=False, exists=True, help="YAML or JSON, as 'seller get' prints it.")
    ],
    output: OutputOption = Format.TABLE,
) -> None:
    """Set who sells; what was issued before keeps what it says."""
    facts = read_definition(file)
    with connect() as client:
        show_one(client.platform_invoices.set_seller(facts)["seller"], output, name="siren")


@vat_checks.command("record")
def record_vat_check(
    organization: OrganizationArgument,
    vat_id: Annotated[str, typer.Argument(help="VAT number that VIES was asked about.")],
    status: Annotated[str, typer.Argument(help="What it said: VALID, INVALID or UNREACHABLE.")],
    consultation: Annotated[str, typer.Option(help="Consultation number that VIES gave as proof.")] = "",
    simulated: Annotated[bool, typer.Option("--simulated", help="No authority gave this answer.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Record what VIES said about a VAT number; invoices that wait for it go on."""
    body = {
        "organization_id": organization, "vat_id": vat_id, "status": status,
        "consultation_number": consultation, "is_simulated": simulated,
    }  # fmt: skip
    with connect() as client:
        show_one(client.platform_invoices.record_vat_check(body), output, name="vat_id")


def _read_line(text: str) -> dict[str, object]:
    position, _, net = text.partition("=")
    if not (position.isascii() and position.isdigit() and net):
        raise WrongUse(f"'{text}' is not of the form POSITION=EUROS.")
    return {"position": int(position), "net": net}
