"""What an answer of the usage ingest means for the lines that were sent. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

# The ingest says of the request as a whole that it can never be taken.
_HOPELESS = frozenset({400, 413, 422})
DETAIL_LENGTH_MAX = 300
_COUNTED = frozenset({"accepted", "duplicate"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """`is_settled`: the cursor may move past these lines. `is_divisible`: fewer lines at once may be taken.

    `refused` holds (index, why) of lines that were settled by being refused.
    """

    is_settled: bool
    is_divisible: bool
    why: str
    refused: tuple[tuple[int, str], ...] = ()


def decide_verdict(status: int, body: bytes, sent: int) -> Verdict:
    """Read the answer to `sent` lines. Anything that is not clearly an answer to each of them settles none."""
    if status == 200:
        return _read_results(body, sent)
    why = _describe(status, body)
    if status in _HOPELESS:
        alone = sent == 1
        return Verdict(alone, not alone, why, ((0, why),) if alone else ())
    return Verdict(False, False, why)


def _describe(status: int, body: bytes) -> str:
    try:
        detail = orjson.loads(body)["detail"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        detail = None
    return f"answered {status}: {detail[:DETAIL_LENGTH_MAX]}" if type(detail) is str else f"answered {status}"


def _read_results(body: bytes, sent: int) -> Verdict:
    try:
        items = [(str(item["result"]), item.get("reason") or "") for item in orjson.loads(body)["results"]]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return Verdict(False, False, "unreadable answer")
    if len(items) != sent:
        return Verdict(False, False, "incomplete answer")
    refused = ((at, f"{result}: {text}") for at, (result, text) in enumerate(items) if result not in _COUNTED)
    return Verdict(True, False, "", tuple(refused))
