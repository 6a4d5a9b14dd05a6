"""The process node's own log: one JSON line per event, on standard output."""

from __future__ import annotations

import json
from datetime import UTC, datetime


def log(event: str, **fields: object) -> None:
    """Write one event with its figures. Never pass the value of an environment variable here."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    print(json.dumps({"at": at, "event": event, **fields}, default=str), flush=True)
