"""A program that ships a spool until it is killed: `ship.py usage|allocation FOLDER URL KEY_FILE`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from controlplane.spool.segments import Spool
from controlplane.spool.shipper import IngestTarget, Shipper
from operators.allocation.reconcile import SEGMENTS_KEPT

# Small steps, so that a kill falls between any two of them.
LINES_MAX = 40


async def main(kind: str, folder: Path, url: str, key_file: Path) -> None:
    kept = 1 if kind == "usage" else SEGMENTS_KEPT
    target = IngestTarget(url, key_file=key_file)
    with Spool(folder / "spool", kept=kept) as spool:
        shipper = Shipper(
            folder / "spool",
            folder / "state",
            kind,
            target,
            lambda: spool.durable,
            kept=kept,
            lines_max=LINES_MAX,
        )
        await shipper.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])))
