"""The door of the producers: CloudEvents in, one outcome each, answered after the commit."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.exc import DBAPIError

from controlplane.identity.service import require
from controlplane.kernel.access import Action, Resource
from controlplane.kernel.errors import InvalidInput, RempartError, Unavailable
from controlplane.metering import service
from controlplane.metering.domain import IngestOutcome, IngestResult
from controlplane.metering.schemas import IngestReply
from controlplane.plumbing.web import ERRORS, EdgeDep

# The tag comes from the router that this one is part of.
router = APIRouter()

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
# More writers at once only wait for one another in the database.
WRITERS_MAX = 4
# A producer has its spool: it comes back rather than queue here.
WAIT_SECONDS_MAX = 2
# Two batches with the same keys in flight can meet in a deadlock; the loser goes again.
ATTEMPTS_MAX = 4
RETRYABLE = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)

_writers = threading.BoundedSemaphore(WRITERS_MAX)


class UnsupportedMediaType(RempartError):
    code = "unsupported_media_type"
    http_status = 415


class TooBusy(RempartError):
    """The producer keeps its events and sends them again."""

    code = "too_busy"
    http_status = 429
    is_retryable = True


_EVENT_SCHEMA = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "time", "data"],
    "description": "A CloudEvent 1.0 of the types eu.rempart.inference.request.v1 or eu.rempart.gpu.allocation.v1.",
}


@router.post(
    "/v1/usage_events",
    operation_id="ingest_usage_events",
    summary="Take in usage events (producers only)",
    description=(
        "One CloudEvent in structured mode, or a batch of up to 10,000 (8 MiB). Safe to repeat: an event is known by "
        "its organization, source and id, and counted once. The answer is sent after everything accepted is durable. "
        "Accepted are events from 35 days ago to 5 minutes ahead; a repeated event with an altered time is noticed "
        "for as long as its key is kept, at least 45 days."
    ),
    response_model=IngestReply,
    responses={**ERRORS, 415: {"description": "Neither a CloudEvent nor a batch of them."}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                SINGLE: {"schema": _EVENT_SCHEMA},
                BATCH: {"schema": {"type": "array", "items": _EVENT_SCHEMA, "maxItems": service.EVENTS_MAX}},
            },
        }
    },
)
def ingest_usage_events(edge: EdgeDep) -> Response:
    require(edge.principal, Resource.USAGE, Action.CREATE)
    events = read_body(edge.request.headers.get("Content-Type", ""), edge.request.state.body)
    with _turn():
        for attempt in range(ATTEMPTS_MAX):
            try:
                with edge.database.system() as uow:
                    outcome = service.ingest(uow, events, edge.principal.source)
                return Response(orjson.dumps(_reply(outcome)), media_type="application/json")
            except (*RETRYABLE, DBAPIError) as err:
                cause = err.orig if isinstance(err, DBAPIError) else err
                if not isinstance(cause, RETRYABLE) or attempt == ATTEMPTS_MAX - 1:
                    raise
    raise Unavailable("The events could not be stored just now; send them again.")


@contextmanager
def _turn() -> Iterator[None]:
    if not _writers.acquire(timeout=WAIT_SECONDS_MAX):
        raise TooBusy("Usage is being written as fast as it can be; send these events again shortly.")
    try:
        yield
    finally:
        _writers.release()


def read_body(content_type: str, body: bytes) -> list[Any]:
    """Return the events of a request. Errors: UnsupportedMediaType, InvalidInput for what is not JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in {SINGLE, BATCH}:
        raise UnsupportedMediaType(f"Send {SINGLE} or {BATCH}.")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as err:
        raise InvalidInput("The body is not valid JSON.") from err
    if media_type == SINGLE:
        return [content]
    if not isinstance(content, list):
        raise InvalidInput("A batch is a JSON array of events.")
    return content


def _reply(outcome: IngestOutcome) -> dict[str, Any]:
    counts = Counter(item.result for item in outcome.items)
    return {
        "batch_id": outcome.batch_id,
        "accepted": counts[IngestResult.ACCEPTED],
        "duplicates": counts[IngestResult.DUPLICATE],
        "conflicts": counts[IngestResult.CONFLICT],
        "rejected": counts[IngestResult.REJECTED],
        "results": [
            {"id": item.id, "result": item.result.value, "reason": item.reason or None}
            for item in outcome.items
        ],
    }
