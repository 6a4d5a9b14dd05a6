"""All SQL of the rating room: prices, plans, credits and what was booked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from controlplane.kernel.ids import TenantId, uuid7
from controlplane.kernel.period import Period
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating.domain import (
    CreditGrant,
    CreditKind,
    Plan,
    Price,
    PriceVersion,
    PriceVersionId,
    PricingModel,
    RatedLine,
    RatedPeriod,
    Sku,
)
from controlplane.rating.models import (
    CreditGrantRow,
    CreditUseRow,
    PlanRow,
    PriceVersionRow,
    RatedLineRow,
    RatedPeriodRow,
    SkuRow,
    TenantPlanRow,
)
from controlplane.rating.wire_rules import line_from_json, line_to_json, tiers_from_json, tiers_to_json


def add_sku(uow: UnitOfWork, sku: Sku) -> bool:
    """Insert a SKU; False when its code, or its meter with the same matches, is there already."""
    added = uow.session.execute(
        upsert(SkuRow)
        .values(
            code=sku.code,
            description_fr=sku.description_fr,
            description_en=sku.description_en,
            meter=sku.meter,
            unit=sku.unit,
            matches=dict(sku.matches),
            created_at=uow.now,
        )
        .on_conflict_do_nothing()
        .returning(SkuRow.code)
    ).scalar_one_or_none()
    return added is not None


def list_skus(uow: UnitOfWork) -> list[Sku]:
    rows = uow.session.scalars(select(SkuRow).order_by(SkuRow.code))
    return [
        Sku(row.code, row.description_fr, row.description_en, row.meter, row.unit, row.matches)
        for row in rows
    ]


def find_sku(uow: UnitOfWork, code: str) -> Sku | None:
    return next((sku for sku in list_skus(uow) if sku.code == code), None)


def lock_prices(uow: UnitOfWork, book: str, sku: str) -> None:
    """Versions of one book and SKU are added one after another: overlap is looked for under this lock."""
    uow.session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 708))"), {"name": f"{book}|{sku}"}
    )


def add_version(uow: UnitOfWork, version: PriceVersion) -> None:
    uow.session.add(
        PriceVersionRow(
            id=version.id,
            book=version.book,
            sku=version.sku,
            model=version.price.model.value,
            base_quantity=version.price.base_quantity,
            free_quantity=version.price.free_quantity,
            tiers=tiers_to_json(version.price.tiers),
            currency=version.price.currency,
            valid_from=version.valid_from,
            valid_to=version.valid_to,
            created_at=version.created_at,
            created_by=version.created_by,
        )
    )
    uow.session.flush()


def list_versions(
    uow: UnitOfWork, *, books: Iterable[str] | None = None, sku: str | None = None
) -> list[PriceVersion]:
    query = select(PriceVersionRow).order_by(
        PriceVersionRow.book, PriceVersionRow.sku, PriceVersionRow.valid_from
    )
    if books is not None:
        query = query.where(PriceVersionRow.book.in_(list(books)))
    if sku is not None:
        query = query.where(PriceVersionRow.sku == sku)
    return [_to_version(row) for row in uow.session.scalars(query)]


def page_versions(uow: UnitOfWork, *, after: UUID | None, limit: int) -> list[PriceVersion]:
    query = select(PriceVersionRow).order_by(PriceVersionRow.id.desc()).limit(limit)
    if after is not None:
        query = query.where(PriceVersionRow.id < PriceVersionId(after))
    return [_to_version(row) for row in uow.session.scalars(query)]


def _to_version(row: PriceVersionRow) -> PriceVersion:
    return PriceVersion(
        id=row.id,
        book=row.book,
        sku=row.sku,
        price=Price(
            PricingModel(row.model),
            tiers_from_json(row.tiers),
            row.base_quantity,
            row.free_quantity,
            row.currency,
        ),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        created_at=row.created_at,
        created_by=row.created_by,
    )


def add_plan(uow: UnitOfWork, plan: Plan) -> bool:
    """Insert a plan; False when its code is taken."""
    added = uow.session.execute(
        upsert(PlanRow)
        .values(
            code=plan.code,
            title_fr=plan.title_fr,
            title_en=plan.title_en,
            book=plan.book,
            fee_sku=plan.fee_sku,
            discount_percent=plan.discount_percent,
            minimum_minor=plan.minimum_minor,
            created_at=uow.now,
        )
        .on_conflict_do_nothing()
        .returning(PlanRow.code)
    ).scalar_one_or_none()
    return added is not None


def list_plans(uow: UnitOfWork) -> dict[str, Plan]:
    rows = uow.session.scalars(select(PlanRow).order_by(PlanRow.code))
    return {
        row.code: Plan(
            row.code,
            row.title_fr,
            row.title_en,
            row.book,
            row.fee_sku,
            row.discount_percent,
            row.minimum_minor,
        )
        for row in rows
    }


def list_tenant_plans(uow: UnitOfWork, tenant_id: TenantId) -> list[tuple[datetime, str]]:
    rows = uow.session.scalars(
        select(TenantPlanRow).where(TenantPlanRow.tenant_id == tenant_id).order_by(TenantPlanRow.valid_from)
    )
    return [(row.valid_from, row.plan) for row in rows]


def add_tenant_plan(
    uow: UnitOfWork, tenant_id: TenantId, plan: str, valid_from: datetime, actor: str
) -> bool:
    """Insert a change of plan; False when one begins at the same instant."""
    added = uow.session.execute(
        upsert(TenantPlanRow)
        .values(tenant_id=tenant_id, valid_from=valid_from, plan=plan, created_at=uow.now, created_by=actor)
        .on_conflict_do_nothing()
        .returning(TenantPlanRow.plan)
    ).scalar_one_or_none()
    return added is not None


def add_grant(uow: UnitOfWork, grant: CreditGrant) -> None:
    uow.session.add(
        CreditGrantRow(
            tenant_id=grant.tenant_id,
            id=grant.id,
            kind=grant.kind.value,
            label=grant.label,
            priority=grant.priority,
            amount_minor=grant.amount_minor,
            currency=grant.currency,
            effective_from=grant.effective_from,
            expires_at=grant.expires_at,
            created_at=grant.created_at,
            deposit_id=grant.deposit_id,
        )
    )
    uow.session.flush()


def list_grants(uow: UnitOfWork, tenant_id: TenantId) -> list[CreditGrant]:
    """A tenant's grants with what is left of each."""
    used = (
        select(CreditUseRow.grant_id, func.sum(CreditUseRow.amount_minor).label("used"))
        .where(CreditUseRow.tenant_id == tenant_id)
        .group_by(CreditUseRow.grant_id)
        .subquery()
    )
    found = uow.session.execute(
        select(CreditGrantRow, func.coalesce(used.c.used, 0))
        .outerjoin(used, used.c.grant_id == CreditGrantRow.id)
        .where(CreditGrantRow.tenant_id == tenant_id)
        .order_by(CreditGrantRow.id)
    )
    return [
        CreditGrant(
            id=row.id,
            tenant_id=row.tenant_id,
            kind=CreditKind(row.kind),
            label=row.label,
            priority=row.priority,
            amount_minor=row.amount_minor,
            left_minor=row.amount_minor - int(spent),
            currency=row.currency,
            effective_from=row.effective_from,
            expires_at=row.expires_at,
            created_at=row.created_at,
            deposit_id=row.deposit_id,
        )
        for row, spent in found
    ]


def lock_booking(uow: UnitOfWork, tenant_id: TenantId) -> None:
    """What one tenant's periods book follows one another, so that a credit is never spent twice."""
    uow.session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 709))"), {"name": str(tenant_id)}
    )


def find_booked(uow: UnitOfWork, tenant_id: TenantId, rating_hash: str) -> UUID | None:
    return uow.session.scalar(
        select(RatedPeriodRow.id).where(
            RatedPeriodRow.tenant_id == tenant_id, RatedPeriodRow.rating_hash == rating_hash
        )
    )


def list_booked_periods(uow: UnitOfWork, tenant_id: TenantId) -> dict[Period, int]:
    """Periods that were billed, oldest first, each with the latest cut-off that a bill of it looked at."""
    rows = uow.session.execute(
        select(
            RatedPeriodRow.period_start,
            func.max(RatedPeriodRow.period_end),
            func.max(func.coalesce(RatedPeriodRow.cutoff, 0)),
        )
        .where(RatedPeriodRow.tenant_id == tenant_id)
        .group_by(RatedPeriodRow.period_start)
        .having(func.bool_or(RatedPeriodRow.is_correction.is_(False)))
        .order_by(RatedPeriodRow.period_start)
    )
    return {Period(start, end): cutoff for start, end, cutoff in rows}


def list_seen_cutoffs(uow: UnitOfWork, tenant_id: TenantId) -> dict[datetime, int]:
    """The latest cut-off that any bill of a period looked at, by the period's start."""
    rows = uow.session.execute(
        select(RatedPeriodRow.period_start, func.max(func.coalesce(RatedPeriodRow.cutoff, 0)))
        .where(RatedPeriodRow.tenant_id == tenant_id)
        .group_by(RatedPeriodRow.period_start)
    )
    return {start.astimezone(UTC): int(cutoff) for start, cutoff in rows}


def list_booked_lines(uow: UnitOfWork, tenant_id: TenantId, period: Period) -> list[RatedLine]:
    """All that was billed for a period, corrections included."""
    rows = uow.session.scalars(
        select(RatedLineRow.line)
        .join(
            RatedPeriodRow,
            (RatedPeriodRow.tenant_id == RatedLineRow.tenant_id)
            & (RatedPeriodRow.id == RatedLineRow.rated_period_id),
        )
        .where(RatedPeriodRow.tenant_id == tenant_id, RatedPeriodRow.period_start == period.start)
        .order_by(RatedPeriodRow.id, RatedLineRow.position)
    )
    return [line_from_json(stored) for stored in rows]


def add_booked(uow: UnitOfWork, rated: RatedPeriod, *, is_correction: bool) -> UUID:
    period_id = uuid7()
    uow.session.add(
        RatedPeriodRow(
            tenant_id=rated.tenant_id,
            id=period_id,
            period_start=rated.period.start,
            period_end=rated.period.end,
            cutoff=rated.cutoff,
            plan_code=rated.plan_code,
            rating_hash=rated.rating_hash,
            is_correction=is_correction,
            net_minor=rated.net_minor,
            booked_at=uow.now,
        )
    )
    uow.session.flush()
    lines = [_to_line_values(rated.tenant_id, period_id, n, line) for n, line in enumerate(rated.lines)]
    if lines:
        uow.session.execute(insert(RatedLineRow), lines)
    uses = [
        {
            "tenant_id": rated.tenant_id,
            "rated_period_id": period_id,
            "grant_id": use.grant_id,
            "amount_minor": use.amount_minor,
        }
        for use in rated.credits
    ]
    if uses:
        uow.session.execute(insert(CreditUseRow), uses)
    return period_id


def _to_line_values(
    tenant_id: TenantId, period_id: UUID, position: int, line: RatedLine
) -> dict[str, object]:
    return {
        "tenant_id": tenant_id,
        "rated_period_id": period_id,
        "position": position,
        "sku": line.sku,
        "price_version_id": line.price_version_id,
        "tier": line.tier,
        "quantity": line.quantity,
        "exact_amount": line.exact_amount,
        "net_minor": line.net_minor,
        "line": line_to_json(line),
    }


def by_book_and_sku(found: Sequence[PriceVersion]) -> dict[tuple[str, str], list[PriceVersion]]:
    """Versions by (book, SKU)."""
    table: dict[tuple[str, str], list[PriceVersion]] = {}
    for version in found:
        table.setdefault((version.book, version.sku), []).append(version)
    return table
