"""Writes what a door refused into the security events, each minute: a thread of its own beside the door."""

from __future__ import annotations

import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from controlplane.audit import service_security
from controlplane.plumbing.database import Database
from controlplane.plumbing.refusal_counts import RefusalCounts

log = structlog.get_logger()

KEEP_SECONDS = 60.0
SOURCE = "api"


class RefusalKeeper:
    """A killed process loses a minute's counts; the request log has each refusal by itself."""

    def __init__(self, counts: RefusalCounts, database: Database) -> None:
        self._counts = counts
        self._database = database
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refusal-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, and end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(KEEP_SECONDS):
            keep(self._counts, self._database)
        keep(self._counts, self._database)


def keep(counts: RefusalCounts, database: Database) -> None:
    """Write the counts; while the database is away they are added to, within their bound."""
    rows = counts.take()
    if not rows:
        return
    try:
        with database.system() as uow:
            service_security.store(uow, SOURCE, rows)
    except SQLAlchemyError as error:
        counts.add(rows)
        log.warning("security_events_not_kept", rows=len(rows), reason=type(error).__name__)
