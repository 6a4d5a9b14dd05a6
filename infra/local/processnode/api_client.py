"""The API server over HTTP: identity from a kubeconfig, JSON objects, one list-and-watch that never ends."""

from __future__ import annotations

import asyncio
import base64
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import yaml

from infra.local.processnode.journal import log

REQUEST_SECONDS = 15.0
"""An API server that does not answer within this is treated as down; the caller tries again."""

WATCH_SECONDS = 240
"""A watch is opened again this often, so that a silently broken connection cannot last."""

WATCH_SILENCE_SECONDS = 150
"""Bookmarks come about every minute: longer silence means a dead connection."""

RETRY_FIRST_SECONDS = 0.1
RETRY_MOST_SECONDS = 5.0
"""Delay between attempts to reach the API server; it restarts within seconds on a laptop."""

EVENT_BYTES_MAX = 8 * 2**20
"""Largest watch event taken: more than etcd stores in one object."""

STRATEGIC_MERGE = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"

Json = dict[str, Any]


class ApiError(Exception):
    """The API server refused or could not be reached (status 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API server is and who we are."""

    server: str
    tls: ssl.SSLContext
    token: str = ""


def read_kubeconfig(path: Path) -> Access:
    """Read the current context of a kubeconfig: client certificate or token.

    Errors: OSError, KeyError, StopIteration when the file is not a usable kubeconfig.
    """
    document = yaml.safe_load(path.read_text())
    current = document["current-context"]
    context = next(each["context"] for each in document["contexts"] if each["name"] == current)
    cluster = next(each["cluster"] for each in document["clusters"] if each["name"] == context["cluster"])
    user = next(each["user"] for each in document["users"] if each["name"] == context["user"])
    authority = _material(cluster, "certificate-authority", path.parent)
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    certificate = _material(user, "client-certificate", path.parent)
    key = _material(user, "client-key", path.parent)
    if certificate and key:
        _load_identity(tls, certificate, key)
    return Access(server=cluster["server"].rstrip("/"), tls=tls, token=user.get("token", ""))


class ApiClient:
    """One connection pool to one API server. Open it with `open_client`."""

    def __init__(self, access: Access, session: aiohttp.ClientSession) -> None:
        self._access = access
        self._session = session

    async def get(self, path: str) -> Json:
        """Return an object or a list. Errors: ApiError."""
        return await self._request("GET", path)

    async def create(self, path: str, body: Mapping[str, Any]) -> Json:
        """Create an object in a collection. Errors: ApiError (409 if it exists)."""
        return await self._request("POST", path, body)

    async def patch(self, path: str, body: Mapping[str, Any], kind: str = STRATEGIC_MERGE) -> Json:
        """Patch an object. Errors: ApiError."""
        return await self._request("PATCH", path, body, kind)

    async def delete(self, path: str, uid: str = "", grace_seconds: int | None = None) -> None:
        """Delete an object if it still is the one with that uid; an object that is gone is fine.

        Errors: ApiError.
        """
        body: Json = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid:
            body["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        try:
            await self._request("DELETE", path, body)
        except ApiError as error:
            # 409: another object took the name; ours is gone as well.
            if error.status not in (404, 409):
                raise

    async def follow(self, path: str, field_selector: str) -> AsyncIterator[tuple[str, Any]]:
        """List and watch a collection for ever.

        Shapes: ("SYNC", [objects]) after each list, then ("ADDED" | "MODIFIED" | "DELETED", object).
        Never raises for a server that is down or too old a version: it lists again.
        """
        delay = RETRY_FIRST_SECONDS
        while True:
            query = {"fieldSelector": field_selector}
            try:
                listed = await self._request("GET", path, query=query)
                yield "SYNC", listed.get("items", [])
                delay = RETRY_FIRST_SECONDS
                version = listed["metadata"]["resourceVersion"]
                async for kind, item in self._watch_from(path, query, version):
                    yield kind, item
            except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
                log("watch_interrupted", path=path, error=str(error))
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MOST_SECONDS)

    async def _watch_from(self, path: str, query: Json, version: str) -> AsyncIterator[tuple[str, Any]]:
        """Watch from a version, again and again, until the server says that the version is too old."""
        while True:
            params = {
                **query,
                "watch": "true",
                "allowWatchBookmarks": "true",
                "resourceVersion": version,
                "timeoutSeconds": str(WATCH_SECONDS),
            }
            timeout = aiohttp.ClientTimeout(total=None, sock_read=WATCH_SILENCE_SECONDS)
            url = self._access.server + path
            async with self._session.get(url, params=params, timeout=timeout) as response:
                if response.status != 200:
                    raise ApiError(response.status, "the watch was refused")
                async for line in _lines(response.content):
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        raise ApiError(event["object"].get("code", 0), event["object"].get("message", ""))
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event["type"], event["object"]

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        kind: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Json:
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": kind} if data else {}
        url = self._access.server + path
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, params=query
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, f"the API server did not answer: {error}") from error
        answer: Json = orjson.loads(content) if content.startswith(b"{") else {"message": content.decode()}
        if response.status >= 400:
            raise ApiError(response.status, answer.get("message", "no reason given"))
        return answer


@asynccontextmanager
async def open_client(access: Access) -> AsyncIterator[ApiClient]:
    """Open a connection pool and close it at the end."""
    headers = {"User-Agent": "rempart-processnode", "Accept": "application/json"}
    if access.token:
        headers["Authorization"] = f"Bearer {access.token}"
    connector = aiohttp.TCPConnector(ssl=access.tls)
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
        yield ApiClient(access, session)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > EVENT_BYTES_MAX:
            raise ApiError(0, "a watch event is larger than any object can be")
        for line in lines:
            if line:
                yield line


def _material(section: Mapping[str, Any], name: str, folder: Path) -> bytes:
    if f"{name}-data" in section:
        return base64.b64decode(section[f"{name}-data"])
    if name in section:
        path: Path = folder / section[name]
        return path.read_bytes()
    return b""


def _load_identity(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # The ssl module reads a private key from a file only; this one is ours alone and gone at once.
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(certificate + b"\n" + key)
        file.flush()
        tls.load_cert_chain(file.name)
