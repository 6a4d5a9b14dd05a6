"""A program that ships a spool until it is killed: `ship.py usage|allocation FOLDER URL KEY_FILE`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp

from controlplane.gateway import shipper as usage
from controlplane.gateway.spool import Spool
from operators.allocation import shipper as allocation
from operators.allocation.spool import Spool as AllocationSpool

# Small steps, so that a kill falls between any two of them.
usage.BATCH_EVENTS_MAX = 40
allocation.LINES_MAX = 40


async def main(kind: str, folder: Path, url: str, key_file: Path) -> None:
    if kind == "usage":
        spool = Spool(folder / "spool")
        target = usage.IngestTarget(url, key_file=key_file)
        cursor = folder / "state" / "cursor.json"
        async with aiohttp.ClientSession() as session:
            await usage.UsageShipper(folder / "spool", cursor, target, lambda: spool.durable).run(session)
    else:
        with AllocationSpool(folder / "spool") as held:
            key = key_file.read_text(encoding="ascii").strip()
            shipper = allocation.AllocationShipper(
                folder / "spool", folder / "state", url, lambda: key, lambda: held.durable
            )
            await shipper.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])))
