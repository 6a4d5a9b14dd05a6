"""REST of the sovereignty room: the platform operator states and ends facts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from controlplane.identity.domain import Action, Resource
from controlplane.identity.service import require, require_platform
from controlplane.kernel.ids import CertificationId, HoldingId, LegalEntityId
from controlplane.kernel.jurisdiction import Country
from controlplane.plumbing.web import Edge, EdgeDep, PagingDep
from controlplane.sovereignty import schemas_facts as wire
from controlplane.sovereignty import service_facts as service
from controlplane.sovereignty.domain import EntityKind

router = APIRouter(prefix="/v1/admin", tags=["sovereignty"])
FactPath = Annotated[str, Path(max_length=40, description="Id of the fact.")]


@router.post(
    "/legal_entities",
    operation_id="create_legal_entity",
    summary="Record a legal entity",
    status_code=201,
    response_model=wire.LegalEntityReply,
)
def create_legal_entity(body: wire.LegalEntityIn, edge: EdgeDep) -> Response:
    _require(edge, Resource.LEGAL_ENTITY, Action.CREATE)
    return edge.write(
        lambda uow: wire.LegalEntityReply(
            legal_entity=wire.from_legal_entity(
                service.create_legal_entity(
                    uow,
                    actor=edge.principal.actor,
                    name=body.name,
                    kind=EntityKind(body.kind),
                    seat=_country(body.seat),
                    central_administration=_country(body.central_administration),
                    principal_establishment=_country(body.principal_establishment),
                    siren=body.siren,
                    lei=body.lei,
                    evidence=body.evidence,
                    evidence_sha256=body.evidence_sha256,
                    valid_from=body.valid_from,
                )
            )
        ),
        status=201,
        etag=lambda reply: reply.legal_entity.version,
    )


@router.get(
    "/legal_entities",
    operation_id="list_legal_entities",
    summary="List legal entities",
    response_model=wire.LegalEntityList,
)
def list_legal_entities(edge: EdgeDep, paging: PagingDep) -> wire.LegalEntityList:
    _require(edge, Resource.LEGAL_ENTITY, Action.READ)
    after = edge.page_after(paging, "legal_entities")
    page = edge.read(lambda uow: service.list_legal_entities(uow, after, paging.limit))
    return wire.LegalEntityList(
        legal_entities=[wire.from_legal_entity(fact) for fact in page.items],
        limit=paging.limit,
        has_next=page.next_after is not None,
        next_cursor=edge.next_cursor(page, "legal_entities"),
    )


@router.get(
    "/legal_entities/{fact_id}",
    operation_id="get_legal_entity",
    summary="Get a legal entity",
    response_model=wire.LegalEntityReply,
)
def get_legal_entity(fact_id: FactPath, edge: EdgeDep) -> Response:
    _require(edge, Resource.LEGAL_ENTITY, Action.READ)
    fact = edge.read(lambda uow: service.get_legal_entity(uow, LegalEntityId.parse(fact_id)))
    return edge.answer(wire.LegalEntityReply(legal_entity=wire.from_legal_entity(fact)), fact.version)


@router.post(
    "/legal_entities/{fact_id}/end",
    operation_id="end_legal_entity",
    summary="End a legal entity",
    response_model=wire.LegalEntityReply,
)
def end_legal_entity(fact_id: FactPath, body: wire.FactEnd, edge: EdgeDep) -> Response:
    _require(edge, Resource.LEGAL_ENTITY, Action.DELETE)
    return edge.write(
        lambda uow: wire.LegalEntityReply(
            legal_entity=wire.from_legal_entity(
                service.end_legal_entity(
                    uow, LegalEntityId.parse(fact_id), actor=edge.principal.actor, valid_to=body.valid_to
                )
            )
        ),
        etag=lambda reply: reply.legal_entity.version,
    )


@router.post(
    "/holdings",
    operation_id="create_holding",
    summary="Record who holds what of whom",
    status_code=201,
    response_model=wire.HoldingReply,
)
def create_holding(body: wire.HoldingIn, edge: EdgeDep) -> Response:
    _require(edge, Resource.LEGAL_ENTITY, Action.CREATE)
    return edge.write(
        lambda uow: wire.HoldingReply(
            holding=wire.from_holding(
                service.create_holding(
                    uow,
                    actor=edge.principal.actor,
                    holder_id=LegalEntityId.parse(body.holder_id),
                    held_id=LegalEntityId.parse(body.held_id),
                    capital_bp=body.capital_bp,
                    votes_bp=body.votes_bp,
                    has_veto=body.has_veto,
                    appoints_board_majority=body.appoints_board_majority,
                    has_dominance=body.has_dominance,
                    evidence=body.evidence,
                    evidence_sha256=body.evidence_sha256,
                    valid_from=body.valid_from,
                )
            )
        ),
        status=201,
        etag=lambda reply: reply.holding.version,
    )


@router.get(
    "/holdings", operation_id="list_holdings", summary="List holdings", response_model=wire.HoldingList
)
def list_holdings(edge: EdgeDep, paging: PagingDep) -> wire.HoldingList:
    _require(edge, Resource.LEGAL_ENTITY, Action.READ)
    after = edge.page_after(paging, "holdings")
    page = edge.read(lambda uow: service.list_holdings(uow, after, paging.limit))
    return wire.HoldingList(
        holdings=[wire.from_holding(fact) for fact in page.items],
        limit=paging.limit,
        has_next=page.next_after is not None,
        next_cursor=edge.next_cursor(page, "holdings"),
    )


@router.get(
    "/holdings/{fact_id}",
    operation_id="get_holding",
    summary="Get a holding",
    response_model=wire.HoldingReply,
)
def get_holding(fact_id: FactPath, edge: EdgeDep) -> Response:
    _require(edge, Resource.LEGAL_ENTITY, Action.READ)
    fact = edge.read(lambda uow: service.get_holding(uow, HoldingId.parse(fact_id)))
    return edge.answer(wire.HoldingReply(holding=wire.from_holding(fact)), fact.version)


@router.post(
    "/holdings/{fact_id}/end",
    operation_id="end_holding",
    summary="End a holding",
    response_model=wire.HoldingReply,
)
def end_holding(fact_id: FactPath, body: wire.FactEnd, edge: EdgeDep) -> Response:
    _require(edge, Resource.LEGAL_ENTITY, Action.DELETE)
    return edge.write(
        lambda uow: wire.HoldingReply(
            holding=wire.from_holding(
                service.end_holding(
                    uow, HoldingId.parse(fact_id), actor=edge.principal.actor, valid_to=body.valid_to
                )
            )
        ),
        etag=lambda reply: reply.holding.version,
    )


@router.post(
    "/certifications",
    operation_id="create_certification",
    summary="Record a certificate",
    status_code=201,
    response_model=wire.CertificationReply,
)
def create_certification(body: wire.CertificationIn, edge: EdgeDep) -> Response:
    _require(edge, Resource.CERTIFICATION, Action.CREATE)
    entity_id = None if body.entity_id is None else LegalEntityId.parse(body.entity_id)
    return edge.write(
        lambda uow: wire.CertificationReply(
            certification=wire.from_certification(
                service.create_certification(
                    uow,
                    actor=edge.principal.actor,
                    framework=body.framework,
                    framework_version=body.framework_version,
                    level=body.level,
                    entity_id=entity_id,
                    site_code=body.site_code,
                    issued_on=body.issued_on,
                    expires_on=body.expires_on,
                    evidence=body.evidence,
                    evidence_sha256=body.evidence_sha256,
                    valid_from=body.valid_from,
                )
            )
        ),
        status=201,
        etag=lambda reply: reply.certification.version,
    )


@router.get(
    "/certifications",
    operation_id="list_certifications",
    summary="List certificates",
    response_model=wire.CertificationList,
)
def list_certifications(edge: EdgeDep, paging: PagingDep) -> wire.CertificationList:
    _require(edge, Resource.CERTIFICATION, Action.READ)
    after = edge.page_after(paging, "certifications")
    page = edge.read(lambda uow: service.list_certifications(uow, after, paging.limit))
    return wire.CertificationList(
        certifications=[wire.from_certification(fact) for fact in page.items],
        limit=paging.limit,
        has_next=page.next_after is not None,
        next_cursor=edge.next_cursor(page, "certifications"),
    )


@router.get(
    "/certifications/{fact_id}",
    operation_id="get_certification",
    summary="Get a certificate",
    response_model=wire.CertificationReply,
)
def get_certification(fact_id: FactPath, edge: EdgeDep) -> Response:
    _require(edge, Resource.CERTIFICATION, Action.READ)
    fact = edge.read(lambda uow: service.get_certification(uow, CertificationId.parse(fact_id)))
    return edge.answer(wire.CertificationReply(certification=wire.from_certification(fact)), fact.version)


@router.post(
    "/certifications/{fact_id}/end",
    operation_id="end_certification",
    summary="Withdraw a certificate before its date",
    response_model=wire.CertificationReply,
)
def end_certification(fact_id: FactPath, body: wire.FactEnd, edge: EdgeDep) -> Response:
    _require(edge, Resource.CERTIFICATION, Action.DELETE)
    return edge.write(
        lambda uow: wire.CertificationReply(
            certification=wire.from_certification(
                service.end_certification(
                    uow, CertificationId.parse(fact_id), actor=edge.principal.actor, valid_to=body.valid_to
                )
            )
        ),
        etag=lambda reply: reply.certification.version,
    )


def _require(edge: Edge, resource: Resource, action: Action) -> None:
    require_platform(edge.principal)
    require(edge.principal, resource, action)


def _country(code: str | None) -> Country | None:
    return None if code is None else Country(code)
