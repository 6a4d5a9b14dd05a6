"""An operator's spool as a program: appends a script of reports piece by piece and ships them, until it is killed.

The script is `script.jsonl` in MONEY_OPERATOR_FOLDER; where to go on is read from the spool itself.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import orjson

from operators.allocation import shipper as allocation
from operators.allocation.spool import Spool

# Small steps, so that a kill falls between any two of them.
allocation.LINES_MAX = 20
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
    with Spool(folder / "spool", segment_bytes_max=SEGMENT_BYTES) as spool:
        shipper = allocation.AllocationShipper(
            folder / "spool",
            folder / "state",
            os.environ["REMPART_INGEST_URL"],
            lambda: key,
            lambda: spool.durable,
        )
        await asyncio.gather(shipper.run(), write(spool, script))


if __name__ == "__main__":
    asyncio.run(main())
