"""A sign of life for programs that serve no port: each of their loops leaves the time in a file.

Two files a loop: `<loop>.turned`, when it last came round, also in vain; `<loop>.succeeded`, when it last did what it
is there for. Whoever asks (`controlplane.entrypoints.alive`) reads them from the same container. Only the standard
library is imported here: the one who asks is started every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path

# A loop that turns more often than this writes no more often.
WRITE_SECONDS_MIN = 1.0


class Mark(StrEnum):
    """What a loop says of itself."""

    TURNED = "turned"
    SUCCEEDED = "succeeded"


class Pulse:
    """What a program's loops leave behind. Without a folder nothing is written.

    Times are the machine's monotonic clock in seconds: it is one clock for all processes, and nobody sets it.
    """

    def __init__(
        self,
        folder: Path | None,
        loops: Iterable[str],
        clock: Callable[[], float] = time.monotonic,
        on_success: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._on_success = on_success
        self._folder = folder
        self._clock = clock
        self._written: dict[tuple[str, Mark], float] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob("*.*"):
                # Of an earlier process in the same container.
                old.unlink()
        for loop in loops:
            # A loop that never comes round once grows stale from here.
            self.turned(loop)

    def turned(self, loop: str) -> None:
        """The loop came round; whether it could do its work is another question."""
        self._write(loop, Mark.TURNED)

    def succeeded(self, loop: str) -> None:
        """The loop came round and did its work."""
        self._on_success(loop)
        self._write(loop, Mark.TURNED)
        self._write(loop, Mark.SUCCEEDED)

    def _write(self, loop: str, mark: Mark) -> None:
        if self._folder is None:
            return
        now = self._clock()
        if now - self._written.get((loop, mark), -WRITE_SECONDS_MIN) < WRITE_SECONDS_MIN:
            return
        path = self._folder / f"{loop}.{mark}"
        draft = self._folder / f".{loop}.{mark}"
        draft.write_text(f"{now:.3f}", encoding="ascii")
        draft.replace(path)
        self._written[loop, mark] = now


def find_silent(folder: Path, mark: Mark, seconds_max: float, now: float) -> list[str]:
    """What is wrong, a sentence each: loops whose mark is older than `seconds_max`, or missing. [] = alive."""
    loops = sorted(path.name.removesuffix(".turned") for path in folder.glob("[!.]*.turned"))
    if not loops:
        return ["No loop has left a sign of life."]
    problems = []
    for loop in loops:
        try:
            age = now - float((folder / f"{loop}.{mark}").read_text(encoding="ascii"))
        except FileNotFoundError:
            problems.append(f"{loop} has never {mark}.")
            continue
        if age > seconds_max:
            problems.append(f"{loop} has not {mark} for {age:.0f} s.")
    return problems
