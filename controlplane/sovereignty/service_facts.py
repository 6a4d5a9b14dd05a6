"""Record legal facts, end them, list them. A fact is never changed or deleted: it ends, and a new one begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TypeVar
from uuid import UUID

from controlplane.audit import service as audit
from controlplane.kernel.errors import Conflict, FieldProblem, InvalidInput, NotFound
from controlplane.kernel.events import JsonValue
from controlplane.kernel.ids import CertificationId, HoldingId, Id, LegalEntityId
from controlplane.kernel.jurisdiction import Country
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.sovereignty import repository
from controlplane.sovereignty.domain import Certification, EntityKind, Fact, Holding, LegalEntity
from controlplane.sovereignty.events import FactChanged
from controlplane.sovereignty.models import CertificationRow, HoldingRow, LegalEntityRow
from controlplane.sovereignty.share_rules import find_share_overflow, is_valid_lei
from controlplane.sovereignty.verdict_rules import site_key
from controlplane.tenancy.party_rules import is_valid_siren

R = TypeVar("R", LegalEntityRow, HoldingRow, CertificationRow)


def create_legal_entity(
    uow: UnitOfWork,
    *,
    actor: str,
    name: str,
    kind: EntityKind,
    seat: Country | None,
    central_administration: Country | None,
    principal_establishment: Country | None,
    siren: str | None,
    lei: str | None,
    evidence: str,
    evidence_sha256: str | None,
    valid_from: datetime | None,
) -> Fact[LegalEntity]:
    """Record an entity. Errors: InvalidInput for a SIREN or LEI whose check digits are wrong."""
    problems = []
    if siren is not None and not is_valid_siren(siren):
        problems.append(FieldProblem("siren", "This is not a SIREN: its check digit is wrong."))
    if lei is not None and not is_valid_lei(lei):
        problems.append(FieldProblem("lei", "This is not an LEI: its check digits are wrong."))
    if problems:
        raise InvalidInput("The entity's identifiers do not check.", fields=tuple(problems))
    row = LegalEntityRow(
        id=LegalEntityId.new(),
        name=name,
        kind=kind,
        seat=_code(seat),
        central_administration=_code(central_administration),
        principal_establishment=_code(principal_establishment),
        siren=siren,
        lei=lei,
        **_fact_columns(uow, evidence, evidence_sha256, valid_from),
    )
    _record(uow, row, actor, "legal_entity.created", (str(row.id),), {"kind": str(kind), "seat": row.seat})
    return Fact(repository.to_entity(row), row.ended_at, row.version)


def create_holding(
    uow: UnitOfWork,
    *,
    actor: str,
    holder_id: LegalEntityId,
    held_id: LegalEntityId,
    capital_bp: int | None,
    votes_bp: int | None,
    has_veto: bool,
    appoints_board_majority: bool,
    has_dominance: bool,
    evidence: str,
    evidence_sha256: str | None,
    valid_from: datetime | None,
) -> Fact[Holding]:
    """Record a holding. Errors: InvalidInput for an unknown entity, Conflict when shares would exceed 100 %."""
    known = repository.lock_entities(uow, [holder_id, held_id])
    for field, entity_id in (("holder_id", holder_id), ("held_id", held_id)):
        if entity_id not in known:
            _refuse_unknown_entity(field, entity_id)
    row = HoldingRow(
        id=HoldingId.new(),
        holder_id=holder_id,
        held_id=held_id,
        capital_bp=capital_bp,
        votes_bp=votes_bp,
        has_veto=has_veto,
        appoints_board_majority=appoints_board_majority,
        has_dominance=has_dominance,
        **_fact_columns(uow, evidence, evidence_sha256, valid_from),
    )
    holding = repository.to_holding(row)
    overflow = find_share_overflow(repository.list_holdings_of(uow, held_id, holding.valid_from), holding)
    if overflow is not None:
        share, total = overflow
        raise Conflict(
            f"With this holding {total // 100}.{total % 100:02d} % of the {share} of {known[held_id].name} would be"
            " held; end another holding first."
        )
    detail: dict[str, JsonValue] = {
        "holder_id": str(holder_id), "held_id": str(held_id), "capital_bp": capital_bp, "votes_bp": votes_bp,
    }  # fmt: skip
    _record(uow, row, actor, "holding.created", (str(held_id), str(holder_id)), detail)
    return Fact(holding, row.ended_at, row.version)


def create_certification(
    uow: UnitOfWork,
    *,
    actor: str,
    framework: str,
    framework_version: str,
    level: str | None,
    entity_id: LegalEntityId | None,
    site_code: str | None,
    issued_on: date,
    expires_on: date,
    evidence: str,
    evidence_sha256: str | None,
    valid_from: datetime | None,
) -> Fact[Certification]:
    """Record a certificate for an entity, a site, or an entity at a site.

    The site's code is taken as given: sites are known by the capacity room, which stands above this one.
    """
    if entity_id is not None and repository.find(uow, LegalEntityRow, entity_id) is None:
        _refuse_unknown_entity("entity_id", entity_id)
    row = CertificationRow(
        id=CertificationId.new(),
        framework=framework,
        framework_version=framework_version,
        level=level,
        entity_id=entity_id,
        site_code=site_code,
        issued_on=issued_on,
        expires_on=expires_on,
        **_fact_columns(uow, evidence, evidence_sha256, valid_from),
    )
    detail: dict[str, JsonValue] = {
        "framework": framework, "framework_version": framework_version, "expires_on": expires_on.isoformat(),
    }  # fmt: skip
    _record(uow, row, actor, "certification.created", _certification_keys(row), detail)
    return Fact(repository.to_certification(row), row.ended_at, row.version)


def end_legal_entity(
    uow: UnitOfWork, entity_id: LegalEntityId, *, actor: str, valid_to: datetime | None
) -> Fact[LegalEntity]:
    """End an entity; whoever it still holds then has an unknown holder, which is refused."""
    row = _end(uow, LegalEntityRow, entity_id, valid_to)
    _announce(uow, row, actor, "legal_entity.ended", (str(row.id),), _ending(row))
    return Fact(repository.to_entity(row), row.ended_at, row.version)


def end_holding(
    uow: UnitOfWork, holding_id: HoldingId, *, actor: str, valid_to: datetime | None
) -> Fact[Holding]:
    row = _end(uow, HoldingRow, holding_id, valid_to)
    _announce(uow, row, actor, "holding.ended", (str(row.held_id), str(row.holder_id)), _ending(row))
    return Fact(repository.to_holding(row), row.ended_at, row.version)


def end_certification(
    uow: UnitOfWork, certification_id: CertificationId, *, actor: str, valid_to: datetime | None
) -> Fact[Certification]:
    """Withdraw a certificate before its own date."""
    row = _end(uow, CertificationRow, certification_id, valid_to)
    _announce(uow, row, actor, "certification.ended", _certification_keys(row), _ending(row))
    return Fact(repository.to_certification(row), row.ended_at, row.version)


def get_legal_entity(uow: UnitOfWork, entity_id: LegalEntityId) -> Fact[LegalEntity]:
    row = _get(repository.find(uow, LegalEntityRow, entity_id), entity_id)
    return Fact(repository.to_entity(row), row.ended_at, row.version)


def require_legal_entity(uow: UnitOfWork, entity_id: LegalEntityId, field: str) -> None:
    """Raise InvalidInput that names `field` unless the entity is recorded."""
    if repository.find(uow, LegalEntityRow, entity_id) is None:
        _refuse_unknown_entity(field, entity_id)


def get_holding(uow: UnitOfWork, holding_id: HoldingId) -> Fact[Holding]:
    row = _get(repository.find(uow, HoldingRow, holding_id), holding_id)
    return Fact(repository.to_holding(row), row.ended_at, row.version)


def get_certification(uow: UnitOfWork, certification_id: CertificationId) -> Fact[Certification]:
    row = _get(repository.find(uow, CertificationRow, certification_id), certification_id)
    return Fact(repository.to_certification(row), row.ended_at, row.version)


def list_legal_entities(uow: UnitOfWork, after: UUID | None, limit: int) -> Page[Fact[LegalEntity]]:
    rows = repository.list_page(uow, LegalEntityRow, after, limit)
    facts: Sequence[Fact[LegalEntity]] = [Fact(repository.to_entity(r), r.ended_at, r.version) for r in rows]
    return Page.of(facts, limit, lambda fact: fact.value.id.value)


def list_holdings(uow: UnitOfWork, after: UUID | None, limit: int) -> Page[Fact[Holding]]:
    rows = repository.list_page(uow, HoldingRow, after, limit)
    facts: Sequence[Fact[Holding]] = [Fact(repository.to_holding(r), r.ended_at, r.version) for r in rows]
    return Page.of(facts, limit, lambda fact: fact.value.id.value)


def list_certifications(uow: UnitOfWork, after: UUID | None, limit: int) -> Page[Fact[Certification]]:
    rows = repository.list_page(uow, CertificationRow, after, limit)
    facts: Sequence[Fact[Certification]] = [
        Fact(repository.to_certification(r), r.ended_at, r.version) for r in rows
    ]
    return Page.of(facts, limit, lambda fact: fact.value.id.value)


def _fact_columns(
    uow: UnitOfWork, evidence: str, evidence_sha256: str | None, valid_from: datetime | None
) -> dict[str, object]:
    return {
        "evidence": evidence,
        "evidence_sha256": evidence_sha256,
        "valid_from": valid_from or uow.now,
        "valid_to": None,
        "recorded_at": uow.now,
        "ended_at": None,
        "version": 1,
    }


def _record(
    uow: UnitOfWork, row: R, actor: str, action: str, keys: tuple[str, ...], detail: dict[str, JsonValue]
) -> None:
    repository.add(uow, row)
    _announce(uow, row, actor, action, keys, detail)


def _announce(
    uow: UnitOfWork, row: R, actor: str, action: str, keys: tuple[str, ...], detail: dict[str, JsonValue]
) -> None:
    repository.lock_facts(uow, is_writer=True)
    audit.record(uow, tenant_id=None, actor=actor, action=action, target=str(row.id), detail=detail)
    uow.emit(FactChanged(fact_id=str(row.id), change=action, keys=keys))


def _end(uow: UnitOfWork, kind: type[R], fact_id: Id, valid_to: datetime | None) -> R:
    row = _get(repository.find_for_update(uow, kind, fact_id), fact_id)
    if row.ended_at is not None:
        raise Conflict(f"{fact_id} has already been ended.")
    row.valid_to = valid_to or max(uow.now, row.valid_from)
    if row.valid_to < row.valid_from:
        raise InvalidInput(
            "A fact cannot end before it began.",
            fields=(FieldProblem("valid_to", f"It began at {row.valid_from.isoformat()}."),),
        )
    row.ended_at, row.version = uow.now, row.version + 1
    uow.session.flush()
    return row


def _get(row: R | None, fact_id: Id) -> R:
    if row is None:
        raise NotFound(f"There is no fact {fact_id}.")
    return row


def _refuse_unknown_entity(field: str, entity_id: LegalEntityId) -> None:
    raise InvalidInput(
        f"There is no legal entity {entity_id}.", fields=(FieldProblem(field, "No such legal entity."),)
    )


def _certification_keys(row: CertificationRow) -> tuple[str, ...]:
    keys = [] if row.entity_id is None else [str(row.entity_id)]
    return (*keys, *([] if row.site_code is None else [site_key(row.site_code)]))


def _ending(row: LegalEntityRow | HoldingRow | CertificationRow) -> dict[str, JsonValue]:
    return {"valid_to": None if row.valid_to is None else row.valid_to.isoformat()}


def _code(country: Country | None) -> str | None:
    return None if country is None else country.code
