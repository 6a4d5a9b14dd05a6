"""Moving a local installation's clock ahead: what expires next month is seen today. Refused in production."""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from controlplane.audit import service as audit
from controlplane.identity.domain import Action, Resource
from controlplane.identity.service import require
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.simulated_clock import OFFSET_SECONDS_MAX, find_offset, move_clock
from controlplane.plumbing.web import EdgeDep, WireModel

router = APIRouter(tags=["clock"])


class ClockIn(WireModel):
    offset_seconds: int = Field(
        ge=0,
        le=OFFSET_SECONDS_MAX,
        description="How far ahead of the real time to run.",
        examples=[2_592_000],
    )


class ClockOut(WireModel):
    now: datetime = Field(description="What the installation takes for now.")
    offset_seconds: int = Field(description="How far that is ahead of the real time.", examples=[0])
    is_simulated: bool = Field(description="True while the clock does not show the real time.")


class ClockReply(WireModel):
    clock: ClockOut


@router.get(
    "/v1/admin/clock",
    operation_id="get_clock",
    summary="Read the installation's clock",
    response_model=ClockReply,
)
def get_clock(edge: EdgeDep) -> ClockReply:
    require(edge.principal, Resource.CLOCK, Action.READ)
    return edge.read(_to_reply)


@router.put(
    "/v1/admin/clock",
    operation_id="move_clock",
    summary="Move the clock of a local installation ahead",
    response_model=ClockReply,
)
def put_clock(body: ClockIn, edge: EdgeDep) -> Response:
    require(edge.principal, Resource.CLOCK, Action.UPDATE)

    def move(uow: UnitOfWork) -> ClockReply:
        # This transaction's own time stays what it was when it began.
        moved_by = timedelta(seconds=body.offset_seconds - find_offset(uow))
        move_clock(uow, edge.settings, body.offset_seconds)
        audit.record(
            uow,
            tenant_id=None,
            actor=edge.principal.actor,
            action="clock.moved",
            target="simulated_clock",
            detail={"offset_seconds": body.offset_seconds},
        )
        return _to_reply(uow, moved_by)

    return edge.write(move)


def _to_reply(uow: UnitOfWork, moved_by: timedelta = timedelta()) -> ClockReply:
    offset = find_offset(uow)
    return ClockReply(clock=ClockOut(now=uow.now + moved_by, offset_seconds=offset, is_simulated=offset != 0))
