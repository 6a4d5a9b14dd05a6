"""`rempart admin payments`: what the bank says, for the platform operator."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.completion import ORGANIZATIONS, offer
from controlplane.cli.config import connect
from controlplane.cli.names import OrganizationArgument
from controlplane.cli.output import Format, OutputOption, show_list, show_one
from controlplane.cli.payments import BALANCE_COLUMNS, COLUMNS

payments = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

SETTLED_COLUMNS = (("invoice", "invoice_id"), ("amount", "amount"), ("vat", "vat"))
REFUND_COLUMNS = (
    ("amount", "amount"),
    ("paid", "paid_on"),
    ("reference", "bank_reference"),
    ("payment", "payment_id"),
)


@payments.command("list")
def list_payments(
    organization: Annotated[
        str | None,
        typer.Option(help="Only of the organization of this id.", autocompletion=offer(ORGANIZATIONS)),
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List payments of all organizations, newest first."""
    with connect() as client:
        rows = client.platform_payments.list(organization_id=organization)
        show_list(rows, (*COLUMNS, ("organization", "organization_id")), output)


@payments.command("record")
def record_payment(
    organization: OrganizationArgument,
    amount: Annotated[str, typer.Argument(help="Euros that arrived, such as 120 or 9.36.")],
    received_on: Annotated[str, typer.Argument(help="Day on the bank statement, such as 2026-11-20.")],
    reference: Annotated[str, typer.Option(help="The statement's line; it is recorded once.")],
    remittance: Annotated[
        str, typer.Option(help="What the customer wrote; invoices named in it are settled first.")
    ] = "",
    method: Annotated[str, typer.Option(help="TRANSFER or DIRECT_DEBIT.")] = "TRANSFER",
    output: OutputOption = Format.TABLE,
) -> None:
    """Record a payment that arrived and settle invoices with it. Safe to repeat under the same reference."""
    body = {
        "organization_id": organization, "amount": amount, "received_on": received_on,
        "bank_reference": reference, "remittance": remittance, "method": method,
    }  # fmt: skip
    with connect() as client:
        show_one(client.platform_payments.receive(body), output, name="payment.id")


@payments.command("match")
def match_payments(organization: OrganizationArgument, output: OutputOption = Format.TABLE) -> None:
    """Settle open invoices with what earlier payments left over. Safe to repeat."""
    with connect() as client:
        rows = client.platform_payments.match(organization)
        show_list(rows, SETTLED_COLUMNS, output, name="invoice_id")


@payments.command("refund")
def refund_payment(
    organization: OrganizationArgument,
    amount: Annotated[str, typer.Argument(help="Euros that were paid back, such as 12 or 9.36.")],
    paid_on: Annotated[str, typer.Argument(help="Day on the bank statement, such as 2026-11-25.")],
    reference: Annotated[str, typer.Option(help="The statement's line; it is recorded once.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Record that a customer's money was paid back. Safe to repeat under the same reference."""
    body = {"amount": amount, "paid_on": paid_on, "bank_reference": reference}
    with connect() as client:
        show_list(client.platform_payments.refund(organization, body), REFUND_COLUMNS, output)


@payments.command("balances")
def list_balances(organization: OrganizationArgument, output: OutputOption = Format.TABLE) -> None:
    """List an organization's issued invoices with what is open of each, oldest first."""
    with connect() as client:
        rows = client.platform_payments.balances(organization)
        show_list(rows, BALANCE_COLUMNS, output, name="number")
