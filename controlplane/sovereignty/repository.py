"""All SQL of the sovereignty room. Facts belong to the platform: every tenant may read them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar, cast
from uuid import UUID

from sqlalchemy import ColumnElement, String, all_, and_, delete, func, literal, null, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, insert

from controlplane.kernel.ids import CertificationId, HoldingId, Id, LegalEntityId
from controlplane.kernel.jurisdiction import Country
from controlplane.plumbing.database import UnitOfWork
from controlplane.sovereignty.domain import (
    Certification,
    EntityKind,
    FactSet,
    Foreseen,
    Holding,
    LegalEntity,
    SiteChange,
    SiteFacts,
    Verdict,
)
from controlplane.sovereignty.models import (
    CertificationRow,
    HoldingRow,
    LegalEntityRow,
    VerdictKeyRow,
    VerdictRow,
)

FactRow = LegalEntityRow | HoldingRow | CertificationRow
# One lock for all facts of the installation: they change seldom. The number is the room's name in hexadecimal.
FACTS_LOCK: Final = int.from_bytes(b"sovfacts", "big")
R = TypeVar("R", LegalEntityRow, HoldingRow, CertificationRow)


def load_facts(
    uow: UnitOfWork, entity_ids: Sequence[LegalEntityId], site_codes: Sequence[str], at: datetime
) -> FactSet:
    """Return the facts that hold at `at`: everyone upstream of the entities, and the certificates in scope."""
    if not entity_ids and not site_codes:
        return FactSet((), (), ())
    start = select(LegalEntityRow.id).where(LegalEntityRow.id.in_(entity_ids))
    above = start.cte("above", recursive=True)
    above = above.union(
        select(HoldingRow.holder_id)
        .join(above, HoldingRow.held_id == above.c.id)
        .where(_holds(HoldingRow, at))
    )
    ids = select(above.c.id)
    entities = uow.session.scalars(
        select(LegalEntityRow).where(LegalEntityRow.id.in_(ids), _holds(LegalEntityRow, at))
    )
    holdings = uow.session.scalars(
        select(HoldingRow).where(HoldingRow.held_id.in_(ids), _holds(HoldingRow, at)).order_by(HoldingRow.id)
    )
    certifications = uow.session.scalars(
        select(CertificationRow)
        .where(
            or_(CertificationRow.entity_id.in_(entity_ids), CertificationRow.site_code.in_(site_codes)),
            _holds(CertificationRow, at),
        )
        .order_by(CertificationRow.id)
    )
    return FactSet(
        tuple(to_entity(row) for row in entities),
        tuple(to_holding(row) for row in holdings),
        tuple(to_certification(row) for row in certifications),
    )


def find_next_change(uow: UnitOfWork, facts: FactSet, site_code: str, after: datetime) -> datetime | None:
    """Return the next instant at which a stated fact about these entities, or this site, begins or ends."""
    entity_ids = {entity.id for entity in facts.entities} | {holding.held_id for holding in facts.holdings}
    found: list[datetime] = []
    for kind, is_about in (
        (LegalEntityRow, LegalEntityRow.id.in_(entity_ids)),
        (HoldingRow, HoldingRow.held_id.in_(entity_ids)),
        (
            CertificationRow,
            or_(CertificationRow.entity_id.in_(entity_ids), CertificationRow.site_code == site_code),
        ),
    ):
        for moment in (kind.valid_from, kind.valid_to):
            instant = uow.session.scalar(select(func.min(moment)).where(is_about, moment > after))
            if instant is not None:
                found.append(instant)
    found += [c.ends_at for c in facts.certifications if c.ends_at > after]
    return min(found, default=None)


def lock_facts(uow: UnitOfWork, *, is_writer: bool) -> timedelta:
    """Let no fact change between a last look at the facts and the end of this transaction.

    Writers of facts exclude those who keep verdicts and the other way round. Returns how long this transaction has
    run, waiting included: a fact may have ended meanwhile.
    """
    function = func.pg_advisory_xact_lock if is_writer else func.pg_advisory_xact_lock_shared
    uow.session.execute(select(function(FACTS_LOCK)))
    elapsed = select(func.clock_timestamp() - func.transaction_timestamp())
    return cast(timedelta, uow.session.execute(elapsed).scalar_one())


def add(uow: UnitOfWork, row: FactRow) -> None:
    uow.session.add(row)
    uow.session.flush()


def find(uow: UnitOfWork, kind: type[R], fact_id: Id) -> R | None:
    return uow.session.get(kind, fact_id)


def find_for_update(uow: UnitOfWork, kind: type[R], fact_id: Id) -> R | None:
    return uow.session.get(kind, fact_id, with_for_update=True, populate_existing=True)


def lock_entities(
    uow: UnitOfWork, entity_ids: Sequence[LegalEntityId]
) -> dict[LegalEntityId, LegalEntityRow]:
    """Lock entities in id order, so that two holdings of one company cannot both take its last share."""
    rows = uow.session.scalars(
        select(LegalEntityRow)
        .where(LegalEntityRow.id.in_(entity_ids))
        .order_by(LegalEntityRow.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {row.id: row for row in rows}


def list_holdings_of(uow: UnitOfWork, held_id: LegalEntityId, since: datetime) -> list[Holding]:
    """Return the holdings in an entity that hold at `since` or later."""
    rows = uow.session.scalars(
        select(HoldingRow).where(
            HoldingRow.held_id == held_id, or_(HoldingRow.valid_to.is_(None), HoldingRow.valid_to > since)
        )
    )
    return [to_holding(row) for row in rows]


def list_page(uow: UnitOfWork, kind: type[R], after: UUID | None, limit: int) -> Sequence[R]:
    """Return up to `limit` + 1 facts, newest first, ended ones included."""
    query = select(kind).order_by(kind.id.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(kind.id < _id_of(kind)(after))
    return uow.session.scalars(query).all()


def _id_of(kind: type[FactRow]) -> type[Id]:
    return {LegalEntityRow: LegalEntityId, HoldingRow: HoldingId, CertificationRow: CertificationId}[kind]


def find_foreseen(uow: UnitOfWork, policy_hash: str, site_code: str) -> Foreseen | None:
    """The end that stated facts announce for a kept verdict."""
    row = uow.session.get(VerdictRow, (policy_hash, site_code))
    return None if row is None else load_foreseen(row.foreseen)


def load_foreseen(document: dict[str, str] | None) -> Foreseen | None:
    return None if document is None else Foreseen(datetime.fromisoformat(document["at"]), document["text"])


def save_verdict(
    uow: UnitOfWork,
    verdict: Verdict,
    requirement: dict[str, object],
    site: SiteFacts,
    foreseen: Foreseen | None,
) -> None:
    """Keep the verdict and its index, replacing the one before."""
    values = {
        "policy_hash": verdict.policy_hash,
        "site_code": verdict.site_code,
        "requirement": requirement,
        "site": dump_site(site),
        "is_admissible": verdict.is_admissible,
        "reason_codes": [str(reason.code) for reason in verdict.reasons],
        "facts_read": list(verdict.facts_read),
        "decided_at": verdict.decided_at,
        "expires_at": verdict.expires_at,
        "foreseen": null() if foreseen is None else {"at": foreseen.at.isoformat(), "text": foreseen.text},
    }
    changed = {key: value for key, value in values.items() if key not in ("policy_hash", "site_code")}
    uow.session.execute(
        insert(VerdictRow)
        .values(values)
        .on_conflict_do_update(index_elements=["policy_hash", "site_code"], set_=changed)
    )
    uow.session.execute(
        delete(VerdictKeyRow).where(
            VerdictKeyRow.policy_hash == verdict.policy_hash, VerdictKeyRow.site_code == verdict.site_code
        )
    )
    uow.session.execute(
        insert(VerdictKeyRow).values(
            [
                {"key": key, "policy_hash": verdict.policy_hash, "site_code": verdict.site_code}
                for key in verdict.watched
            ]
        )
    )


def list_verdicts_watching(uow: UnitOfWork, keys: Sequence[str]) -> Sequence[VerdictRow]:
    """Return the kept verdicts that read facts about any of these entities and sites, locked."""
    pairs = select(VerdictKeyRow.policy_hash, VerdictKeyRow.site_code).where(VerdictKeyRow.key.in_(keys))
    return uow.session.scalars(
        select(VerdictRow)
        .where(tuple_(VerdictRow.policy_hash, VerdictRow.site_code).in_(pairs))
        .order_by(VerdictRow.policy_hash, VerdictRow.site_code)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def list_verdicts_after(uow: UnitOfWork, after: tuple[str, str], limit: int) -> Sequence[VerdictRow]:
    """Return kept verdicts in key order after a given one, locked."""
    return uow.session.scalars(
        select(VerdictRow)
        .where(
            tuple_(VerdictRow.policy_hash, VerdictRow.site_code)
            > tuple_(literal(after[0]), literal(after[1]))
        )
        .order_by(VerdictRow.policy_hash, VerdictRow.site_code)
        .limit(limit)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def delete_verdicts_besides(uow: UnitOfWork, policies: Collection[str], decided_before: datetime) -> int:
    """Delete the verdicts of all other policies that were last decided before an instant; how many."""
    # One array, so that any number of policies is one parameter.
    kept = literal(sorted(policies), ARRAY(String))
    deleted = uow.session.execute(
        delete(VerdictRow)
        .where(VerdictRow.policy_hash != all_(kept), VerdictRow.decided_at < decided_before)
        .returning(VerdictRow.site_code)
    )
    return len(deleted.all())


def dump_site(site: SiteFacts) -> dict[str, object]:
    return {
        "code": site.code,
        "country": site.country.code,
        "operator_entity_id": None if site.operator_entity_id is None else str(site.operator_entity_id),
        "owner_entity_id": None if site.owner_entity_id is None else str(site.owner_entity_id),
        "pue_milli": site.pue_milli,
        "gco2_per_kwh_milli": site.gco2_per_kwh_milli,
        "changes": [
            {
                "at": change.at.isoformat(),
                "operator_entity_id": str(change.operator_entity_id),
                "owner_entity_id": str(change.owner_entity_id),
            }
            for change in site.changes
        ],
        "fact_ids": list(site.fact_ids),
    }


def load_site(row: VerdictRow) -> SiteFacts:
    site = row.site
    operator, owner = site["operator_entity_id"], site["owner_entity_id"]
    return SiteFacts(
        code=site["code"],
        country=Country(site["country"]),
        operator_entity_id=None if operator is None else LegalEntityId.parse(operator),
        owner_entity_id=None if owner is None else LegalEntityId.parse(owner),
        pue_milli=site["pue_milli"],
        gco2_per_kwh_milli=site["gco2_per_kwh_milli"],
        # Verdicts that were kept before sites had dated operators lack both.
        changes=tuple(
            SiteChange(
                at=datetime.fromisoformat(change["at"]),
                operator_entity_id=LegalEntityId.parse(change["operator_entity_id"]),
                owner_entity_id=LegalEntityId.parse(change["owner_entity_id"]),
            )
            for change in site.get("changes", ())
        ),
        fact_ids=tuple(site.get("fact_ids", ())),
    )


def to_entity(row: LegalEntityRow) -> LegalEntity:
    return LegalEntity(
        id=row.id,
        name=row.name,
        kind=EntityKind(row.kind),
        seat=_country(row.seat),
        central_administration=_country(row.central_administration),
        principal_establishment=_country(row.principal_establishment),
        siren=row.siren,
        lei=row.lei,
        evidence=row.evidence,
        evidence_sha256=row.evidence_sha256,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        recorded_at=row.recorded_at,
    )


def to_holding(row: HoldingRow) -> Holding:
    return Holding(
        id=row.id,
        holder_id=row.holder_id,
        held_id=row.held_id,
        capital_bp=row.capital_bp,
        votes_bp=row.votes_bp,
        has_veto=row.has_veto,
        appoints_board_majority=row.appoints_board_majority,
        has_dominance=row.has_dominance,
        evidence=row.evidence,
        evidence_sha256=row.evidence_sha256,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        recorded_at=row.recorded_at,
    )


def to_certification(row: CertificationRow) -> Certification:
    return Certification(
        id=row.id,
        framework=row.framework,
        version=row.framework_version,
        level=row.level,
        entity_id=row.entity_id,
        site_code=row.site_code,
        issued_on=row.issued_on,
        expires_on=row.expires_on,
        evidence=row.evidence,
        evidence_sha256=row.evidence_sha256,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        recorded_at=row.recorded_at,
    )


def _holds(kind: type[FactRow], at: datetime) -> ColumnElement[bool]:
    return and_(kind.valid_from <= at, or_(kind.valid_to.is_(None), kind.valid_to > at))


def _country(code: str | None) -> Country | None:
    return None if code is None else Country(code)
