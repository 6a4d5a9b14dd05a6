"""The list of who is refused at this gateway (revoked_rules), as it stands in the state folder."""

from __future__ import annotations

from pathlib import Path

import structlog

from controlplane.gateway.revoked_rules import parse_revoked

log = structlog.get_logger(__name__)


class Revoked:
    """Asked at each look at a key: one stat, and the file is read when it is another one than before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._names: frozenset[str] = frozenset()

    def names(self) -> frozenset[str]:
        """Return who is refused now. No file refuses nobody; of one that cannot be read the last state holds."""
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen != self._seen:
                self._names, bad = parse_revoked(self._path.read_text(encoding="utf-8", errors="replace"))
                self._seen = seen
                log.warning("revoked_here", names=len(self._names), lines_unreadable=list(bad[:100]))
        except FileNotFoundError:
            if self._seen is not None:
                log.warning("revoked_here", names=0, lines_unreadable=[])
            self._seen, self._names = None, frozenset()
        except OSError as error:
            log.error("revoked_list_unreadable", reason=str(error))
        return self._names
