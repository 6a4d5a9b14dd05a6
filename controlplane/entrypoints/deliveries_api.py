"""Deliveries that nobody tries any more: what failed, why, and sending it again. For the operator alone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import Field

from controlplane.audit import service as audit
from controlplane.identity.domain import Action, Resource
from controlplane.identity.service import require
from controlplane.kernel.ids import EventId
from controlplane.plumbing.cursors import Page
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.deliveries import DeadDelivery, list_dead, retry_all_dead, retry_dead
from controlplane.plumbing.web import EdgeDep, PagingDep, WireModel

router = APIRouter(tags=["admin: deliveries"])

_PATH = "/v1/admin/deliveries"
_EVENT = "evt_01jd00000000000000000000a0"


class DeliveryOut(WireModel):
    """One consumer's share of one event, after its last attempt failed."""

    event_id: str = Field(description="The event.", examples=[_EVENT])
    consumer: str = Field(description="Who should have handled it.", examples=["einvoicing.render"])
    topic: str = Field(description="What happened.", examples=["invoice.issued"])
    organization_id: str | None = Field(
        description="Whose event it is; null: the platform's.", examples=[None]
    )
    occurred_at: datetime = Field(description="When it happened.", examples=["2026-11-21T09:00:00Z"])
    attempts: int = Field(description="How often it was tried.", examples=[20])
    last_error: str = Field(description="What the last attempt ended with.", examples=["TimeoutError()"])

    @classmethod
    def of(cls, dead: DeadDelivery) -> DeliveryOut:
        return cls(
            event_id=str(dead.event_id),
            consumer=dead.consumer,
            topic=dead.topic,
            organization_id=None if dead.tenant_id is None else str(dead.tenant_id),
            occurred_at=dead.occurred_at,
            attempts=dead.attempts,
            last_error=dead.last_error,
        )


class DeliveryList(WireModel):
    deliveries: list[DeliveryOut] = Field(description="Oldest event first; one event's stand together.")
    limit: int = Field(description="Of how many events a page shows the deliveries.", examples=[50])
    has_next: bool = Field(description="Whether more follow.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])


class RetryOut(WireModel):
    retried: int = Field(description="How many deliveries are tried again from now on.", examples=[3])


class RetryReply(WireModel):
    retry: RetryOut


ConsumerPath = Annotated[
    str, Path(max_length=100, description="Who should have handled it.", examples=["einvoicing.render"])
]
ConsumerFilter = Annotated[str | None, Query(max_length=100, description="Only deliveries to this consumer.")]
EventPath = Annotated[str, Path(max_length=64, description="The event.", examples=[_EVENT])]


@router.get(
    _PATH,
    operation_id="list_dead_deliveries",
    summary="List deliveries that nobody tries any more",
    response_model=DeliveryList,
)
def list_deliveries(edge: EdgeDep, page: PagingDep, consumer: ConsumerFilter = None) -> DeliveryList:
    require(edge.principal, Resource.DELIVERY, Action.READ)
    after = edge.page_after(page, _PATH)
    rows = edge.read(lambda uow: list_dead(uow, after=after, limit=page.limit + 1, consumer=consumer))
    events = list(dict.fromkeys(row.event_id for row in rows))
    shown = Page.of(events, page.limit, lambda event_id: event_id.value)
    cursor = edge.next_cursor(shown, _PATH)
    return DeliveryList(
        deliveries=[DeliveryOut.of(row) for row in rows if row.event_id in shown.items],
        limit=page.limit,
        has_next=cursor is not None,
        next_cursor=cursor,
    )


@router.post(
    f"{_PATH}/retry",
    operation_id="retry_dead_deliveries",
    summary="Send all dead deliveries again, or those to one consumer",
    response_model=RetryReply,
)
def retry_deliveries(edge: EdgeDep, consumer: ConsumerFilter = None) -> Response:
    require(edge.principal, Resource.DELIVERY, Action.OPERATE)

    def retry(uow: UnitOfWork) -> RetryReply:
        retried = retry_all_dead(uow, consumer)
        _record(uow, edge.principal.actor, consumer or "all", retried)
        return RetryReply(retry=RetryOut(retried=retried))

    return edge.write(retry)


@router.post(
    f"{_PATH}/{{event_id}}/{{consumer}}/retry",
    operation_id="retry_dead_delivery",
    summary="Send one dead delivery again",
    response_model=RetryReply,
)
def retry_delivery(event_id: EventPath, consumer: ConsumerPath, edge: EdgeDep) -> Response:
    require(edge.principal, Resource.DELIVERY, Action.OPERATE)
    event = EventId.parse(event_id)

    def retry(uow: UnitOfWork) -> RetryReply:
        retry_dead(uow, event, consumer)
        _record(uow, edge.principal.actor, f"{event}/{consumer}", 1)
        return RetryReply(retry=RetryOut(retried=1))

    return edge.write(retry)


def _record(uow: UnitOfWork, actor: str, target: str, retried: int) -> None:
    audit.record(
        uow,
        tenant_id=None,
        actor=actor,
        action="delivery.retried",
        target=target,
        detail={"retried": retried},
    )
