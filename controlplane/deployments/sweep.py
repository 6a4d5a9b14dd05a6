"""Go through more items than one run can take: each run goes on where the one before ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Sweep(Generic[K, T]):
    """Items in the order of their keys, page by page, at most `most` in one run; after the last comes the first.

    Where a run ended is remembered by the process: another process, or a new one, begins at the first and reaches the
    rest by its own runs. A run never takes an item twice.
    """

    def __init__(self, key: Callable[[T], K], *, page: int, most: int) -> None:
        self._key, self._page, self._most = key, page, most
        self._after: K | None = None

    def run(self, read: Callable[[K | None, int], Sequence[T]], act: Callable[[T], None]) -> bool:
        """Read pages and act on each item; whether the whole list was reached. `read` takes (after, limit)."""
        start, after, left, has_wrapped = self._after, self._after, self._most, self._after is None
        while left > 0:
            limit = min(self._page, left)
            found = read(after, limit)
            for item in found:
                if has_wrapped and start is not None and self._key(item) > start:  # type: ignore[operator]
                    self._after = None
                    return True
                act(item)
                after = self._key(item)
            left -= len(found)
            if len(found) < limit:
                if has_wrapped:
                    self._after = None
                    return True
                after, has_wrapped = None, True
        self._after = after
        return False
