"""What an answer of the usage ingest settles. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import orjson

# Answers that say: these events, as they are, will never be taken.
_REFUSALS = frozenset({400, 413, 422})
_TAKEN = frozenset({"accepted", "duplicate"})
DETAIL_LENGTH_MAX = 300


class Step(Enum):
    """ADVANCE: all events are settled. SPLIT: the batch is refused as one, so find the event. WAIT: again later."""

    ADVANCE = "advance"
    SPLIT = "split"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Decision:
    """`refused` holds (index, reason) of events that were not taken: a person looks at them."""

    step: Step
    refused: tuple[tuple[int, str], ...] = ()
    reason: str = ""


def decide_next(status: int, body: bytes, count: int) -> Decision:
    """Decide from the answer to `count` events. Only an answer that settles each of them moves the cursor."""
    if status == 200:
        return _read_results(body, count)
    reason = _describe(status, body)
    if status in _REFUSALS:
        if count > 1:
            return Decision(Step.SPLIT, reason=reason)
        return Decision(Step.ADVANCE, ((0, reason),))
    return Decision(Step.WAIT, reason=reason)


def _describe(status: int, body: bytes) -> str:
    """The status, and what the door says about it if it says so in its own form."""
    try:
        detail = orjson.loads(body)["detail"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        detail = None
    return f"answered {status}: {detail[:DETAIL_LENGTH_MAX]}" if type(detail) is str else f"answered {status}"


def _read_results(body: bytes, count: int) -> Decision:
    try:
        results = orjson.loads(body)["results"]
        settled = [(str(item["result"]), str(item.get("reason") or "")) for item in results]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return Decision(Step.WAIT, reason="the answer is not one of the usage ingest")
    if len(settled) != count:
        return Decision(Step.WAIT, reason="the answer does not speak of each event")
    refused = (
        (index, f"{result}: {text}") for index, (result, text) in enumerate(settled) if result not in _TAKEN
    )
    return Decision(Step.ADVANCE, tuple(refused))
