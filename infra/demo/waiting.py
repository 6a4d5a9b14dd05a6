"""Waiting for the world, with a bound and a sentence for when it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from infra.demo.teller import StoryBroken, Teller

T = TypeVar("T")
POLL_SECONDS = 0.25


def wait_until(teller: Teller, what: str, probe: Callable[[], T | None], timeout_seconds: float = 60.0) -> T:
    """Poll until `probe` gives something; StoryBroken names what was awaited."""
    deadline = time.monotonic() + timeout_seconds
    with teller.waiting(what):
        while True:
            found = probe()
            if found:
                return found
            if time.monotonic() > deadline:
                raise StoryBroken(f"this did not happen within {timeout_seconds:.0f} s: {what}")
            time.sleep(POLL_SECONDS)
