"""The two settings in which spools are run: the gateway's and the operators'."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.gateway.process import SPOOL_SEGMENT_BYTES_MAX
from controlplane.spool.disk import list_names
from controlplane.spool.segments import Spool, list_segments, read_segment, segment_path
from operators.allocation.reconcile import SEGMENT_BYTES_MAX, SEGMENTS_KEPT

OPENING = "opening"
_SHARED = Path("/dev/shm")  # noqa: S108
FAST = _SHARED if os.access(_SHARED, os.W_OK) else None
"""A folder in memory, where there is one: thousands of spools are made, each with dozens of fsyncs."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How one program opens its spool; `scale` divides the bound of a segment, so that a test meets it soon."""

    name: str
    bytes_max: int
    kept: int
    is_opening: bool

    def open(self, folder: Path, scale: int = 1) -> Spool:
        opening: Callable[[], Sequence[dict[str, Any]]] = (
            (lambda: [{"id": OPENING, "n": 1}, {"id": OPENING, "n": 2}]) if self.is_opening else tuple
        )
        return Spool(folder, segment_bytes_max=self.bytes_max // scale, kept=self.kept, on_rotate=opening)


GATEWAY = Setting("gateway", SPOOL_SEGMENT_BYTES_MAX, 1, False)
OPERATORS = Setting("operators", SEGMENT_BYTES_MAX, SEGMENTS_KEPT, True)
SETTINGS = (GATEWAY, OPERATORS)


def read_ids(folder: Path) -> list[str]:
    """Every id in order, without those with which a segment begins.

    A byte that is overwritten inside of a name leaves a whole object with another name: nothing here can tell. Who
    reads such a record sets it aside (the ingest and the operators each refuse what lacks a field).
    """
    if "writer.lock" not in list_names(folder):
        return []
    records = [r for number in list_segments(folder) for r in read_segment(segment_path(folder, number))]
    return [record["id"] for record in records if record.get("id") not in (None, OPENING)]
