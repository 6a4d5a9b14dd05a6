"""The last good snapshots, in memory and on disk: they stay in force when the control plane is cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import orjson
import structlog

from controlplane.gateway.domain import (
    BudgetState,
    Dropped,
    Endpoint,
    EndpointSet,
    KeySnapshot,
    Route,
    Routing,
)
from controlplane.gateway.snapshot_rules import (
    SnapshotRefused,
    parse_budgets,
    parse_endpoints,
    parse_keys,
    parse_routing,
)
from controlplane.gateway.xds_writer import write_atomically

log = structlog.get_logger(__name__)

T = TypeVar("T")

ROUTING_KEY = "rempart:routing"
KEYS_KEY = "rempart:keys"
BUDGETS_KEY = "rempart:budgets"
ENDPOINTS_PREFIX = "rempart:endpoints:"

ROWS_LOGGED_MAX = 100
"""Of one snapshot; all are counted, and listed in the health page up to this."""

Listener = Callable[[str], None]


class Store:
    """Holds what was published. Never forgets on silence: only a new snapshot replaces an old one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._raw: dict[str, bytes] = {}
        self._listeners: list[Listener] = []
        self.routing: Routing | None = None
        self.projects: frozenset[tuple[str, str]] = frozenset()
        self.keys: KeySnapshot | None = None
        self.budgets: BudgetState | None = None
        self.endpoint_sets: dict[str, EndpointSet] = {}
        self.dropped: dict[str, tuple[Dropped, ...]] = {}
        self.refused: dict[str, str] = {}

    def listen(self, listener: Listener) -> None:
        """Call `listener` with the key's name after each change that was taken."""
        self._listeners.append(listener)

    def load(self) -> None:
        """Take what was last written to disk; a file that cannot be read is as good as none."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(self._folder.glob("*.json")):
            self.take(path.stem.replace("=", ":"), path.read_bytes(), is_from_disk=True)

    def take(self, key: str, raw: bytes, *, is_from_disk: bool = False) -> bool:
        """Take a published value if it is new and good; return whether it was taken.

        A refused value is reported and the last good one stays.
        """
        if self._raw.get(key) == raw:
            return False
        known = self.endpoint_sets.get(key.removeprefix(ENDPOINTS_PREFIX))
        try:
            self._apply(key, orjson.loads(raw))
        except (SnapshotRefused, orjson.JSONDecodeError) as err:
            log.error("snapshot_refused", snapshot=key, reason=str(err))
            self.refused[key] = str(err)
            return False
        self.refused.pop(key, None)
        self._raw[key] = raw
        if known is not None and known == self.endpoint_sets.get(known.regional_deployment_id):
            # Asserted again, unchanged but for its time: a thousand of them must not sync the disk each second.
            return False
        if not is_from_disk:
            self._keep(key, raw)
        for listener in self._listeners:
            listener(key)
        return True

    def routes_by_id(self) -> dict[str, Route]:
        routes = () if self.routing is None else self.routing.routes
        return {route.regional_deployment_id: route for route in routes}

    def endpoints_of(self, regional_deployment_id: str) -> tuple[Endpoint, ...]:
        """Return the endpoints that may answer: none of a simulated deployment, whatever was published."""
        found = self.endpoint_sets.get(regional_deployment_id)
        return () if found is None or found.is_simulated else found.endpoints

    def _keep(self, key: str, raw: bytes) -> None:
        """Keep it for the next start. On a full disk what is live changes all the same: a revocation must."""
        try:
            write_atomically(self._path(key), raw)
        except OSError as err:
            log.error("snapshot_not_kept", snapshot=key, reason=str(err))

    def _note_dropped(self, key: str, dropped: tuple[Dropped, ...]) -> None:
        """Remember the rows of a snapshot that are not live, and say each once."""
        known = self.dropped.pop(key, ())
        if dropped:
            self.dropped[key] = dropped
        for row in [each for each in dropped if each not in known][:ROWS_LOGGED_MAX]:
            log.error("snapshot_row_dropped", snapshot=key, row=row.row, reason=row.reason)

    def _apply(self, key: str, data: Any) -> None:
        if key == ROUTING_KEY:
            self.routing = parse_routing(data)
            self.projects = self.routing.projects()
            self._note_dropped(key, self.routing.dropped)
            self._drop_unrouted()
        elif key == KEYS_KEY:
            self.keys = parse_keys(data)
            self._note_dropped(key, self.keys.dropped)
        elif key == BUDGETS_KEY:
            self.budgets = parse_budgets(data)
            self._note_dropped(key, self.budgets.dropped)
        elif key.startswith(ENDPOINTS_PREFIX):
            endpoint_set = parse_endpoints(data)
            if endpoint_set.regional_deployment_id != key.removeprefix(ENDPOINTS_PREFIX):
                raise SnapshotRefused("endpoints: the key names another regional deployment")
            self.endpoint_sets[endpoint_set.regional_deployment_id] = endpoint_set
            self._note_dropped(key, endpoint_set.dropped)
        else:
            raise SnapshotRefused("a key that is none of ours")

    def _drop_unrouted(self) -> None:
        known = self.routes_by_id()
        for gone in [name for name in self.endpoint_sets if name not in known]:
            del self.endpoint_sets[gone]
            key = ENDPOINTS_PREFIX + gone
            self._raw.pop(key, None)
            self.dropped.pop(key, None)
            self.refused.pop(key, None)
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key.replace(':', '=')}.json"
