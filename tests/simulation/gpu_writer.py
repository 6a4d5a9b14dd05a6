"""An operator's spool as a program: appends a script of reports piece by piece and ships them, until it is killed.

The script is `script.jsonl` in MONEY_OPERATOR_FOLDER; where to go on is read from the spool itself.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import orjson

from controlplane.spool.segments import Spool
from controlplane.spool.shipper import IngestTarget, Shipper
from operators.allocation.reconcile import SEGMENTS_KEPT

# Small steps, so that a kill falls between any two of them.
LINES_MAX = 20
RECORDS_AT_ONCE = 3
PAUSE_SECONDS = 0.05
SEGMENT_BYTES = 20_000


async def write(spool: Spool, script: list[dict[str, object]]) -> None:
    last = None
    for record in spool.recover():
        last = record["id"]
    start = 0 if last is None else 1 + next(at for at, each in enumerate(script) if each["id"] == last)
    for at in range(start, len(script), RECORDS_AT_ONCE):
        await asyncio.to_thread(spool.append, script[at : at + RECORDS_AT_ONCE])
        await asyncio.sleep(PAUSE_SECONDS)


async def main() -> None:
    folder = Path(os.environ["MONEY_OPERATOR_FOLDER"])
    path = folder / "script.jsonl"
    while not path.exists():
        await asyncio.sleep(PAUSE_SECONDS)
    script = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    key = Path(os.environ["REMPART_INGEST_KEY_FILE"]).read_text(encoding="ascii").strip()
    with Spool(folder / "spool", segment_bytes_max=SEGMENT_BYTES, kept=SEGMENTS_KEPT) as spool:
        shipper = Shipper(
            folder / "spool",
            folder / "state",
            "allocation",
            IngestTarget(os.environ["REMPART_INGEST_URL"], key),
            lambda: spool.durable,
            kept=SEGMENTS_KEPT,
            lines_max=LINES_MAX,
        )
        await asyncio.gather(shipper.run(), write(spool, script))


if __name__ == "__main__":
    asyncio.run(main())
