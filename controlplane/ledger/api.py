"""REST of the platform's books: accounts, entries, year end, FEC."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from controlplane.identity.domain import Action, Principal, Resource
from controlplane.identity.service import require, require_platform
from controlplane.kernel.ids import TenantId
from controlplane.ledger import service
from controlplane.ledger.domain import JournalCode
from controlplane.ledger.fec_rules import ENCODING
from controlplane.ledger.schemas import (
    AccountList,
    AccountShape,
    EntityAnswer,
    EntityOut,
    EntityShape,
    EntryList,
    EntryShape,
    FiscalYearAnswer,
)
from controlplane.plumbing.amounts import CURRENCY, text_of
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.web import ERRORS, EdgeDep, PagingDep

router = APIRouter(prefix="/v1/admin", tags=["admin: ledger"], responses=ERRORS)
Year = Annotated[int, Query(ge=2020, le=2100, description="Fiscal year.", examples=[2026])]
_SCOPE = "admin/ledger/entries"


def _check(principal: Principal, action: Action) -> None:
    require_platform(principal)
    require(principal, Resource.LEDGER, action)


@router.get("/ledger/accounts", operation_id="list_ledger_accounts", summary="The chart with its balances")
def list_accounts(edge: EdgeDep) -> AccountList:
    _check(edge.principal, Action.READ)

    def query(uow: UnitOfWork) -> AccountList:
        balances: dict[str, int] = {}
        for balance in service.list_balances(uow):
            balances[balance.account] = balances.get(balance.account, 0) + balance.minor
        accounts = [AccountShape.of(each, balances.get(each.code, 0)) for each in service.list_accounts(uow)]
        total = text_of(sum(balances.values()))
        return AccountList(accounts=accounts, balance=total, currency=CURRENCY)

    return edge.read(query)


@router.get("/ledger/entries", operation_id="list_ledger_entries", summary="Journal entries, newest first")
def list_entries(
    edge: EdgeDep,
    paging: PagingDep,
    journal: Annotated[JournalCode | None, Query(description="Only this journal.")] = None,
    year: Annotated[int | None, Query(ge=2020, le=2100, description="Only this fiscal year.")] = None,
    organization_id: Annotated[
        str | None, Query(max_length=64, description="Only entries with a line of this organization.")
    ] = None,
) -> EntryList:
    _check(edge.principal, Action.READ)
    after = edge.page_after(paging, _SCOPE)
    tenant_id = None if organization_id is None else TenantId.parse(organization_id)
    page = edge.read(
        lambda uow: service.list_entries(
            uow, after=after, limit=paging.limit, journal=journal, year=year, tenant_id=tenant_id
        )
    )
    return EntryList(
        entries=[EntryShape.of(entry) for entry in page.items],
        limit=paging.limit,
        has_next=page.next_after is not None,
        next_cursor=edge.next_cursor(page, _SCOPE),
    )


@router.get(
    "/ledger/entity", operation_id="get_accounting_entity", summary="Whose books these are",
    response_model=EntityAnswer,
)  # fmt: skip
def get_entity(edge: EdgeDep) -> Response:
    _check(edge.principal, Action.READ)
    entity = edge.read(service.get_entity)
    return edge.answer(EntityAnswer(accounting_entity=EntityOut.of(entity)), entity.version)


@router.put(
    "/ledger/entity", operation_id="set_accounting_entity", summary="Say whose books these are",
    response_model=EntityAnswer,
)  # fmt: skip
def set_entity(body: EntityShape, edge: EdgeDep) -> Response:
    _check(edge.principal, Action.UPDATE)
    expected = edge.expected_version() if "If-Match" in edge.request.headers else None
    return edge.write(
        lambda uow: EntityAnswer(
            accounting_entity=EntityOut.of(
                service.set_entity(
                    uow, body.siren, body.legal_name, expected_version=expected, actor=edge.principal.actor
                )
            )
        ),
        etag=lambda out: out.accounting_entity.version,
    )


@router.post(
    "/ledger/years/{year}/close", operation_id="close_fiscal_year", summary="Close a fiscal year that has ended",
    response_model=FiscalYearAnswer,
)  # fmt: skip
def close_year(
    year: Annotated[int, Path(ge=2020, le=2100, description="The year.")], edge: EdgeDep
) -> Response:
    _check(edge.principal, Action.OPERATE)
    return edge.write(
        lambda uow: FiscalYearAnswer.of(service.close_year(uow, year, actor=edge.principal.actor))
    )


@router.get(
    "/fec", operation_id="export_fec", summary="The FEC of a fiscal year (LPF A47 A-1)",
    response_class=Response, responses={200: {"content": {"text/plain": {}}, "description": "The file."}},
)  # fmt: skip
def export_fec(edge: EdgeDep, year: Year) -> Response:
    _check(edge.principal, Action.READ)

    def query(uow: UnitOfWork) -> tuple[str, bytes]:
        name, lines = service.walk_fec(uow, year)
        return name, b"".join(lines)

    name, content = edge.read(query)
    return Response(
        content,
        media_type=f"text/plain; charset={ENCODING}",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
