"""`rempart admin entities`, `holdings`, `certifications`: facts that verdicts are made of."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.completion import DATACENTERS, ENTITIES, offer
from controlplane.cli.config import connect
from controlplane.cli.names import CertificationArgument, EntityArgument, HoldingArgument
from controlplane.cli.output import Format, OutputOption, show_list, show_one

entities = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
holdings = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
certifications = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

ENTITY_COLUMNS = (
    ("name", "name"),
    ("kind", "kind"),
    ("seat", "seat"),
    ("id", "id"),
    ("until", "valid_to"),
)
HOLDING_COLUMNS = (
    ("holder", "holder_id"),
    ("held", "held_id"),
    ("capital bp", "capital_bp"),
    ("votes bp", "votes_bp"),
    ("id", "id"),
    ("until", "valid_to"),
)
CERTIFICATION_COLUMNS = (
    ("framework", "framework"),
    ("version", "framework_version"),
    ("site", "site_code"),
    ("entity", "entity_id"),
    ("expires", "expires_on"),
    ("id", "id"),
)
EvidenceOption = Annotated[str, typer.Option(help="Where this is known from: document, register, date.")]
ValidFromOption = Annotated[
    str | None, typer.Option(help="Since when it is so (RFC 3339); else from now on.")
]
ValidToOption = Annotated[str | None, typer.Option(help="When it stopped or will stop (RFC 3339); else now.")]
PlaceOption = Annotated[str | None, typer.Option(help="Country, ISO 3166-1 alpha-2; else unknown.")]


@entities.command("list")
def list_entities(output: OutputOption = Format.TABLE) -> None:
    """List legal entities."""
    with connect() as client:
        show_list(client.legal_entities.list(), ENTITY_COLUMNS, output)


@entities.command("get")
def get_entity(fact: EntityArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a legal entity."""
    with connect() as client:
        show_one(client.legal_entities.get(fact), output)


@entities.command("add")
def add_entity(
    name: Annotated[str, typer.Argument(help="Registered name.")],
    evidence: EvidenceOption,
    kind: Annotated[str, typer.Option(help="company, natural_persons, state or free_float.")] = "company",
    seat: PlaceOption = None,
    central_administration: PlaceOption = None,
    principal_establishment: PlaceOption = None,
    siren: Annotated[str | None, typer.Option(help="French register number.")] = None,
    lei: Annotated[str | None, typer.Option(help="Legal entity identifier.")] = None,
    valid_from: ValidFromOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Record a legal entity."""
    body = {
        "name": name, "kind": kind, "seat": seat, "central_administration": central_administration,
        "principal_establishment": principal_establishment, "siren": siren, "lei": lei,
        "evidence": evidence, "valid_from": valid_from,
    }  # fmt: skip
    with connect() as client:
        show_one(client.legal_entities.create(body), output)


@entities.command("end")
def end_entity(
    fact: EntityArgument, valid_to: ValidToOption = None, output: OutputOption = Format.TABLE
) -> None:
    """End a legal entity."""
    with connect() as client:
        show_one(client.legal_entities.end(fact, valid_to), output)


@holdings.command("list")
def list_holdings(output: OutputOption = Format.TABLE) -> None:
    """List holdings."""
    with connect() as client:
        show_list(client.holdings.list(), HOLDING_COLUMNS, output)


@holdings.command("get")
def get_holding(fact: HoldingArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a holding."""
    with connect() as client:
        show_one(client.holdings.get(fact), output)


@holdings.command("add")
def add_holding(
    holder: Annotated[
        str, typer.Argument(help="Id of the legal entity that holds.", autocompletion=offer(ENTITIES))
    ],
    held: Annotated[
        str, typer.Argument(help="Id of the legal entity that is held.", autocompletion=offer(ENTITIES))
    ],
    evidence: EvidenceOption,
    capital_bp: Annotated[
        int | None,
        typer.Option(min=0, max=10_000, help="Share of the capital in basis points; else unknown."),
    ] = None,
    votes_bp: Annotated[
        int | None, typer.Option(min=0, max=10_000, help="Share of the votes in basis points; else unknown.")
    ] = None,
    veto: Annotated[bool, typer.Option("--veto", help="The holder can block decisions.")] = False,
    board_majority: Annotated[
        bool, typer.Option("--board-majority", help="The holder appoints most of the governing body.")
    ] = False,
    dominance: Annotated[
        bool, typer.Option("--dominance", help="A contract lets the holder direct the held.")
    ] = False,
    valid_from: ValidFromOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Record who holds what of whom."""
    body = {
        "holder_id": holder, "held_id": held, "capital_bp": capital_bp, "votes_bp": votes_bp,
        "has_veto": veto, "appoints_board_majority": board_majority, "has_dominance": dominance,
        "evidence": evidence, "valid_from": valid_from,
    }  # fmt: skip
    with connect() as client:
        show_one(client.holdings.create(body), output)


@holdings.command("end")
def end_holding(
    fact: HoldingArgument, valid_to: ValidToOption = None, output: OutputOption = Format.TABLE
) -> None:
    """End a holding."""
    with connect() as client:
        show_one(client.holdings.end(fact, valid_to), output)


@certifications.command("list")
def list_certifications(output: OutputOption = Format.TABLE) -> None:
    """List certificates."""
    with connect() as client:
        show_list(client.certifications.list(), CERTIFICATION_COLUMNS, output)


@certifications.command("get")
def get_certification(fact: CertificationArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a certificate."""
    with connect() as client:
        show_one(client.certifications.get(fact), output)


@certifications.command("add")
def add_certification(
    framework: Annotated[str, typer.Argument(help="In upper case; a simulated certificate ends in -LIKE.")],
    framework_version: Annotated[str, typer.Option(help="Version of the framework.")],
    issued_on: Annotated[str, typer.Option(help="First day on which it holds, YYYY-MM-DD.")],
    expires_on: Annotated[str, typer.Option(help="Last day on which it holds, YYYY-MM-DD.")],
    evidence: EvidenceOption,
    entity: Annotated[
        str | None,
        typer.Option(help="Id of the legal entity that it covers.", autocompletion=offer(ENTITIES)),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(help="Code of the datacenter that it covers.", autocompletion=offer(DATACENTERS)),
    ] = None,
    level: Annotated[str | None, typer.Option(help="Assurance level, if any.")] = None,
    valid_from: ValidFromOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Record a certificate of an entity, of a site, or of an entity at a site."""
    body = {
        "framework": framework, "framework_version": framework_version, "level": level,
        "entity_id": entity, "site_code": site, "issued_on": issued_on, "expires_on": expires_on,
        "evidence": evidence, "valid_from": valid_from,
    }  # fmt: skip
    with connect() as client:
        show_one(client.certifications.create(body), output)


@certifications.command("end")
def end_certification(
    fact: CertificationArgument, valid_to: ValidToOption = None, output: OutputOption = Format.TABLE
) -> None:
    """Withdraw a certificate before its date."""
    with connect() as client:
        show_one(client.certifications.end(fact, valid_to), output)
