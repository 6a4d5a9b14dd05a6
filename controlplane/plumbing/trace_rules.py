"""W3C Trace Context: take a caller's trace over, or begin one.

Source: W3C Recommendation "Trace Context" (2021-11-23), §3.2 traceparent: `00-<32 hex>-<16 hex>-<2 hex>`, lower case,
no id all zeros, version ff invalid; a higher version is read by its first four fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SHAPE = re.compile(r"\A([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")
_INVALID_VERSION = "ff"
_SAMPLED = 1
# A name that a caller gave its request: what a log line can hold without being forged or flooded.
_CLIENT_ID = re.compile(r"\A[\x21-\x7e]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a request stands in its trace. `parent_id` is empty when the trace begins here."""

    trace_id: str
    span_id: str
    parent_id: str
    is_sampled: bool

    @property
    def traceparent(self) -> str:
        """The header that tells the next program about this span."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"


def join_trace(header: str | None, *, new_trace_id: str, new_span_id: str) -> Trace:
    """Continue the trace that `traceparent` names, or begin one where it names none that is valid.

    `new_trace_id` is 32 and `new_span_id` 16 lower-case hexadecimal digits, by chance.
    """
    found = _SHAPE.match(header or "")
    if found is None:
        return Trace(new_trace_id, new_span_id, "", is_sampled=True)
    version, trace_id, parent_id, flags, more = found.groups()
    is_wrong = version == _INVALID_VERSION or (version == "00" and more is not None)
    if is_wrong or not trace_id.strip("0") or not parent_id.strip("0"):
        return Trace(new_trace_id, new_span_id, "", is_sampled=True)
    return Trace(trace_id, new_span_id, parent_id, is_sampled=bool(int(flags, 16) & _SAMPLED))


def readable_client_id(header: str | None) -> str | None:
    """Return a caller's own `X-Request-Id` if a log line can hold it: 1 to 128 visible ASCII characters."""
    return header if header is not None and _CLIENT_ID.match(header) else None
