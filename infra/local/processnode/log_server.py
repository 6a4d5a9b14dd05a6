"""The node's HTTPS door for the API server: `/containerLogs`, so that `kubectl logs` works here too."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from infra.local.processnode.container_log import ContainerLog, LogLine, log_path, read_log
from infra.local.processnode.pod_worker import PodWorker

LOG_READER_GROUPS = frozenset({"rempart:node-clients", "system:masters"})
"""Groups (the certificate's organisations) that may read logs: the API server itself, which asks for a
user it has authorised, and the cluster's admin."""

TAIL_LINES_MAX = 100_000
FOLLOW_WRITE_SECONDS = 30.0
"""A reader that takes nothing for this long is gone."""

FindWorker = Callable[[str, str], PodWorker | None]


@dataclass(frozen=True, slots=True)
class LogRequest:
    """What part of a log is asked for. Units: `limit_bytes` bytes of text, `since` RFC 3339 UTC or empty."""

    tail_lines: int | None
    since: str
    is_followed: bool
    is_previous: bool
    has_timestamps: bool
    limit_bytes: int | None


def build_app(find_worker: FindWorker) -> web.Application:
    """Build the server's routes; `find_worker` finds a pod of this node by namespace and name."""

    @web.middleware
    async def authorise(
        request: web.Request, handler: Callable[[web.Request], asyncio.Future[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path != "/healthz" and not LOG_READER_GROUPS & _groups(request):
            raise web.HTTPForbidden(text="This certificate's group may not read logs of this node.\n")
        return await handler(request)

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def container_logs(request: web.Request) -> web.StreamResponse:
        return await _serve_logs(request, find_worker)

    app = web.Application(middlewares=[authorise])  # type: ignore[list-item]
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", container_logs)
    return app


def build_tls(certificate: Path, key: Path, client_authority: Path) -> ssl.SSLContext:
    """Build the server's TLS: only clients with a certificate of the cluster's authority get in."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.load_cert_chain(certificate, key)
    tls.load_verify_locations(client_authority)
    tls.verify_mode = ssl.CERT_REQUIRED
    return tls


async def _serve_logs(request: web.Request, find_worker: FindWorker) -> web.StreamResponse:
    wanted = _read_request(request)
    namespace, name, container = (request.match_info[each] for each in ("namespace", "pod", "container"))
    worker = find_worker(namespace, name)
    if worker is None:
        raise web.HTTPNotFound(text=f'pod "{namespace}/{name}" is not on this node\n')
    if container != worker.container:
        raise web.HTTPBadRequest(text=f'container "{container}" is not in pod "{name}"\n')
    run = worker.log_run - (1 if wanted.is_previous or _is_waiting(worker) else 0)
    path = log_path(worker.folder, container, max(run, 0))
    if not path.exists():
        raise web.HTTPBadRequest(text=f'container "{container}" in pod "{name}" has not written a log\n')
    live = worker.log if wanted.is_followed and not wanted.is_previous else None
    return await _send(request, path, live, wanted)


async def _send(
    request: web.Request, path: Path, live: ContainerLog | None, wanted: LogRequest
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    # Subscribed before the file is read, in one go without yielding: no line is lost or told twice.
    queue = live.follow() if live else None
    lines = read_log(path, wanted.tail_lines, wanted.since)
    try:
        data = b"".join(_format(line, wanted) for line in lines)
        await response.write(data[: wanted.limit_bytes])
        while queue and (line := await queue.get()) is not None:
            async with asyncio.timeout(FOLLOW_WRITE_SECONDS):
                await response.write(_format(line, wanted))
        await response.write_eof()
    except (ConnectionError, TimeoutError):
        pass  # The reader has left; there is nobody to tell.
    finally:
        if live and queue:
            live.unfollow(queue)
    return response


def _read_request(request: web.Request) -> LogRequest:
    query = request.query
    since = query.get("sinceTime", "")
    if seconds := _number(query.get("sinceSeconds")):
        since = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="microseconds")
    return LogRequest(
        tail_lines=_number(query.get("tailLines")),
        since=since,
        is_followed=query.get("follow") == "true",
        is_previous=query.get("previous") == "true",
        has_timestamps=query.get("timestamps") == "true",
        limit_bytes=_number(query.get("limitBytes")),
    )


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise web.HTTPBadRequest(text=f"{text!r} is not a number of lines, seconds or bytes\n")
    return min(int(text), TAIL_LINES_MAX * 1000)


def _format(line: LogLine, wanted: LogRequest) -> bytes:
    prefix = f"{line.at} " if wanted.has_timestamps else ""
    return f"{prefix}{line.text}\n".encode()


def _is_waiting(worker: PodWorker) -> bool:
    return worker.log_run > 0 and not log_path(worker.folder, worker.container, worker.log_run).exists()


def _groups(request: web.Request) -> set[str]:
    certificate = request.transport.get_extra_info("peercert") if request.transport else None
    subject = (certificate or {}).get("subject", ())
    return {value for pairs in subject for name, value in pairs if name == "organizationName"}
