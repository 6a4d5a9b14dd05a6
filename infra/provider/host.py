"""What the launcher runs: Pulumi's host of Python resources, which ends when its engine does.

The host by itself waits for ever, also for an engine that was killed.
"""

from __future__ import annotations

import os
import runpy
import threading
import time

PARENT_POLL_SECONDS = 1.0


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(1)


def main() -> None:
    """Serve resources until the engine ends."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    runpy.run_module("pulumi.dynamic", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
