"""Which open streams have to end: asked by Envoy's script while they pass, told to it by a small file."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path

import structlog
from aiohttp import web

from controlplane.gateway.domain import ApiKey, KeySnapshot
from controlplane.gateway.revoked import Revoked
from controlplane.gateway.revoked_rules import is_revoked
from controlplane.gateway.store import Store
from controlplane.gateway.stream_rules import KEY_REVOKED, decide_stream
from controlplane.gateway.xds_writer import write_atomically

log = structlog.get_logger(__name__)

ENDED_MAX = 10_000
"""Ids in the file; the oldest go first. A stream says that it is still there every ten seconds."""

WRITE_SECONDS = 0.5
ID_LENGTH_MAX = 64


class Streams:
    """Keeps the ids of streams to end. Nothing is kept of those that may go on."""

    def __init__(self, path: Path, store: Store, revoked: Revoked) -> None:
        self._revoked = revoked
        self._path = path
        self._store = store
        self._ended: OrderedDict[str, str] = OrderedDict()
        self._is_changed = True
        self._keys: dict[str, ApiKey] | None = None
        self._keys_of: KeySnapshot | None = None

    def take(self, request: web.Request) -> web.Response:
        """Look at one stream's rights again; answers 204 whatever comes of it."""
        headers = request.headers
        name = headers.get("x-rempart-stream", "")
        caller = (
            headers.get("x-rempart-key", ""),
            headers.get("x-rempart-tenant", ""),
            headers.get("x-rempart-project", ""),
        )
        route = self._store.routes_by_id().get(headers.get("x-rempart-watched", ""))
        keys = self._keys_by_id()
        code = decide_stream(keys, self._store.budgets, route, caller, datetime.now(UTC))
        if self._is_revoked_here(caller[0], caller[1], keys):
            code = KEY_REVOKED
        if code is not None and name.isprintable() and 0 < len(name) <= ID_LENGTH_MAX:
            self._end(name, code)
        return web.Response(status=204)

    async def run(self) -> None:
        """Write the file whenever it changed, for ever."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            if self._is_changed:
                self._is_changed = False
                text = "".join(f"{name} {code}\n" for name, code in self._ended.items())
                try:
                    await asyncio.to_thread(write_atomically, self._path, text.encode())
                except OSError as err:
                    self._is_changed = True
                    log.error("streams_not_ended", reason=str(err))
            await asyncio.sleep(WRITE_SECONDS)

    def _is_revoked_here(self, key_id: str, tenant_id: str, keys: dict[str, ApiKey] | None) -> bool:
        key = None if keys is None else keys.get(key_id)
        names = self._revoked.names()
        return not names.isdisjoint((key_id, tenant_id)) or (key is not None and is_revoked(names, key))

    def _end(self, name: str, code: str) -> None:
        if name in self._ended:
            return
        log.info("stream_ended", request_id=name, code=code)
        self._ended[name] = code
        while len(self._ended) > ENDED_MAX:
            self._ended.popitem(last=False)
        self._is_changed = True

    def _keys_by_id(self) -> dict[str, ApiKey] | None:
        snapshot = self._store.keys
        if snapshot is not self._keys_of:
            self._keys_of = snapshot
            self._keys = None if snapshot is None else {key.key_id: key for key in snapshot.by_hash.values()}
        return self._keys
