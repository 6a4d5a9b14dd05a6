"""Ask whether the program in this container is alive: `python -m controlplane.entrypoints.alive --max-age 120`.

For probes of programs that serve no port. Exit code 0: each of its loops came round within that many seconds; with
`--ready`, each also did its work. 1: not so, and standard error says which. Reads REMPART_PULSE_DIR.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from controlplane.plumbing.pulse import Mark, find_silent


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-age", type=float, required=True, metavar="SECONDS")
    parser.add_argument("--ready", action="store_true", help="whether it does its work, too")
    asked = parser.parse_args(arguments)
    folder = os.environ.get("REMPART_PULSE_DIR", "")
    if not folder:
        sys.stderr.write("REMPART_PULSE_DIR is not set: nobody leaves a sign of life here.\n")
        return 1
    mark = Mark.SUCCEEDED if asked.ready else Mark.TURNED
    problems = find_silent(Path(folder), mark, asked.max_age, time.monotonic())
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
