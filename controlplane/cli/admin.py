"""`rempart admin`: the platform operator's nouns: organizations, the clock, and those of sites and law."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli import (
    admin_billing,
    admin_deliveries,
    admin_keys,
    admin_law,
    admin_ledger,
    admin_nodes,
    admin_payments,
    admin_prices,
    admin_sites,
    admin_usage,
    audit,
    security_events,
)
from controlplane.cli.account import short_signup, signup_body
from controlplane.cli.config import connect
from controlplane.cli.names import OrganizationArgument
from controlplane.cli.output import Format, OutputOption, show_list, show_one

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
organizations = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
clock = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(admin_keys.app, name="keys", help="Keys of the operator's people and of what reports usage.")
app.add_typer(organizations, name="organizations", help="Customers and their limits.")
app.add_typer(admin_sites.datacenters, name="datacenters", help="Sites.")
app.add_typer(admin_sites.pools, name="pools", help="Pools of equal machines.")
app.add_typer(admin_nodes.nodes, name="nodes", help="Machines.")
app.add_typer(admin_law.entities, name="entities", help="Legal entities.")
app.add_typer(admin_law.holdings, name="holdings", help="Who holds what of whom.")
app.add_typer(admin_law.certifications, name="certifications", help="Certificates of entities and sites.")
app.add_typer(admin_billing.invoices, name="invoices", help="Closing months, issuing and crediting.")
app.add_typer(admin_billing.seller, name="seller", help="Who sells.")
app.add_typer(admin_billing.vat_checks, name="vat-checks", help="What VIES says of VAT numbers.")
app.add_typer(admin_payments.payments, name="payments", help="Money that arrived, and what it settles.")
app.add_typer(admin_ledger.ledger, name="ledger", help="The books.")
app.add_typer(admin_ledger.fec, name="fec", help="The books for the tax office.")
app.add_typer(admin_prices.skus, name="skus", help="What is sold.")
app.add_typer(admin_prices.prices, name="prices", help="For how much it is sold.")
app.add_typer(admin_prices.plans, name="plans", help="Plans, and who has which.")
app.add_typer(admin_prices.grants, name="credits", help="Credit that was given.")
app.add_typer(admin_usage.usage, name="usage", help="What organizations use.")
app.add_typer(
    admin_deliveries.deliveries,
    name="deliveries",
    help="Background work that failed for good, and sending it again.",
)
app.add_typer(clock, name="clock", help="The clock of a local installation.")
app.add_typer(
    audit.make_app(lambda client: client.platform_audit_events),
    name="audit",
    help="What the platform's own keys did.",
)
app.add_typer(
    security_events.make_app(lambda client: client.platform_security_events),
    name="security-events",
    help="What was refused to anybody, and from where it came.",
)

ORGANIZATION_COLUMNS = (("name", "name"), ("id", "id"), ("status", "status"), ("country", "country"))
QUOTA_COLUMNS = (("name", "name"), ("limit", "limit"), ("default", "is_default"))


@organizations.command("list")
def list_organizations(
    status: Annotated[
        list[str] | None, typer.Option(help="Only those in this state, such as PENDING; may be repeated.")
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List organizations."""
    with connect() as client:
        show_list(client.organizations.list(statuses=status or None), ORGANIZATION_COLUMNS, output)


@organizations.command("get")
def get_organization(organization: OrganizationArgument, output: OutputOption = Format.TABLE) -> None:
    """Show an organization and its billing party."""
    with connect() as client:
        show_one(client.organizations.get(organization), output)


@organizations.command("create")
def create_organization(
    name: Annotated[str, typer.Argument(help="Short name of the organization.")],
    legal_name: Annotated[str, typer.Option(help="Registered name of the company.")],
    street: Annotated[str, typer.Option(help="Street and number of its address.")],
    postal_code: Annotated[str, typer.Option(help="Postal code of its address.")],
    city: Annotated[str, typer.Option(help="Town of its address.")],
    country: Annotated[str, typer.Option(help="Two letters (ISO 3166-1), such as FR.")] = "FR",
    siren: Annotated[str | None, typer.Option(help="SIREN; required in France.")] = None,
    vat_id: Annotated[str | None, typer.Option(help="VAT number; required outside France.")] = None,
    project: Annotated[str, typer.Option(help="Name of the first project.")] = "default",
    output: OutputOption = Format.TABLE,
) -> None:
    """Make an organization, its first project and its owner's key; the key is shown this once."""
    body = signup_body(
        name, legal_name, street, postal_code, city, country, siren=siren, vat_id=vat_id, project=project
    )
    with connect() as client:
        made = client.organizations.create(body)
    if output is Format.TABLE:
        show_one(short_signup(made), output)
    else:
        show_one(made, output, name="organization.id")


@organizations.command("alike")
def list_alike(organization: OrganizationArgument, output: OutputOption = Format.TABLE) -> None:
    """List other organizations that may be of the same company: by name, SIREN or VAT number."""
    with connect() as client:
        show_list(client.organizations.alike(organization), ORGANIZATION_COLUMNS, output)


@organizations.command("approve")
def approve_organization(
    organization: OrganizationArgument,
    version: Annotated[
        int | None,
        typer.Option(
            min=1, max=2_147_483_647, help="The version that you looked at; left out, as it stands now."
        ),
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Confirm who an organization is that signed up itself: its ordinary limits bind it from now on."""
    with connect() as client:
        show_one(client.organizations.approve(organization, version=version), output)


@organizations.command("refuse")
def refuse_organization(
    organization: OrganizationArgument,
    reason: Annotated[str, typer.Option(help="Shown to the organization.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Turn away an organization that waits for approval; what it runs stops."""
    with connect() as client:
        show_one(client.organizations.refuse(organization, reason), output)


@organizations.command("suspend")
def suspend_organization(
    organization: OrganizationArgument,
    reason: Annotated[str, typer.Option(help="Shown to the organization.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Refuse an organization's keys from now on."""
    with connect() as client:
        show_one(client.organizations.suspend(organization, reason), output)


@organizations.command("approve-tax-zone")
def approve_tax_zone(
    organization: OrganizationArgument,
    reason: Annotated[str, typer.Option(help="By what proof; kept in the audit log.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Approve where an organization is taxed after its address changed: its held invoices go on."""
    with connect() as client:
        show_one(client.organizations.approve_tax_zone(organization, reason), output)


@organizations.command("resume")
def resume_organization(organization: OrganizationArgument, output: OutputOption = Format.TABLE) -> None:
    """Accept an organization's keys again."""
    with connect() as client:
        show_one(client.organizations.resume(organization), output)


@organizations.command("recover")
def recover_organization(
    organization: OrganizationArgument,
    reason: Annotated[str, typer.Option(help="Why; the organization reads it in its audit.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Give an organization that has lost its keys an owner's key for a week; its text is shown this once."""
    with connect() as client:
        show_one(client.organizations.recover(organization, reason), output)


@organizations.command("quotas")
def list_quotas(organization: OrganizationArgument, output: OutputOption = Format.TABLE) -> None:
    """List an organization's limits."""
    with connect() as client:
        show_list(client.organizations.quotas(organization), QUOTA_COLUMNS, output, name="name")


@organizations.command("set-quota")
def set_quota(
    organization: OrganizationArgument,
    name: Annotated[str, typer.Argument(help="Name of the limit, as 'quotas' shows it.")],
    limit: Annotated[int, typer.Argument(min=0, max=1_000_000, help="How many it may have.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Set one limit of an organization."""
    with connect() as client:
        show_one(client.organizations.set_quota(organization, name, limit), output, name="name")


@clock.command("show")
def show_clock(output: OutputOption = Format.TABLE) -> None:
    """Show what the installation takes for now."""
    with connect() as client:
        show_one(client.clock(), output, name="now")


@clock.command("move")
def move_clock(
    offset_seconds: Annotated[int, typer.Argument(min=0, help="How far ahead of the real time to run.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Let a local installation's clock run ahead; 0 brings it back. Refused in production."""
    with connect() as client:
        show_one(client.move_clock(offset_seconds), output, name="now")
