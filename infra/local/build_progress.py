"""Show how far a build has come: a bar in a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

LINE_SECONDS = 20.0  # Often enough to show life in a log, seldom enough not to fill it.
PACKAGE_WIDTH = 48


class Progress(Protocol):
    """Somewhere to say that one more package is compiled."""

    def advance(self, package: str) -> None: ...


@contextmanager
def open_progress(title: str, total: int) -> Iterator[Progress]:
    """A progress display for `total` packages; a cached package is never announced, so that a build that
    finds some in Go's own cache ends before the count does."""
    console = Console()
    if not console.is_terminal:
        yield _Lines(console, title, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("packages"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[package]}"),
    )
    with RichProgress(*columns, console=console) as rich_progress:
        yield _Bar(rich_progress, title, total)


class _Bar:
    def __init__(self, progress: RichProgress, title: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total, package="")

    def advance(self, package: str) -> None:
        self._progress.update(self._task, advance=1, package=package[-PACKAGE_WIDTH:])


class _Lines:
    def __init__(self, console: Console, title: str, total: int) -> None:
        self._console = console
        self._title = title
        self._total = total
        self._done = 0
        self._said_at = time.monotonic()

    def advance(self, package: str) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._said_at >= LINE_SECONDS:
            self._said_at = now
            text = f"{self._title}: {self._done} of {self._total} packages compiled, now {package}"
            self._console.print(text)
