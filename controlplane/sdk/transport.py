"""Sending one request: which failures are tried again, for how long, and what a refusal becomes.

A read is repeated after any failure. A POST carries an Idempotency-Key, so it is repeated too: the server carries
it out once. Other changes name a version; one that may have arrived is not repeated, because its own effect would
make the second try fail with "changed since".
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

import httpx

from controlplane.sdk.errors import ConnectionLost, error_of

TIMEOUT_SECONDS = 30.0
# Four tries within some three seconds: longer outages are for the caller to judge.
TRIES_MAX = 4
BACKOFF_SECONDS = 0.4
# A server may ask for patience, not for a hung program.
RETRY_AFTER_SECONDS_MAX = 10.0
PROBLEM_TEXT_MAX = 500
_REPEATABLE = frozenset({"GET", "HEAD", "POST"})
_BUSY = frozenset({429, 503})
_AMBIGUOUS = frozenset({502, 504})
_NEVER_ARRIVED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Transport:
    """One connection pool to one server, with one key."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        backoff_seconds: float = BACKOFF_SECONDS,
        tries_max: int = TRIES_MAX,
        patience_seconds: float = RETRY_AFTER_SECONDS_MAX,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"User-Agent": "rempart-sdk"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._backoff_seconds = backoff_seconds
        self._tries_max = tries_max
        self._patience_seconds = patience_seconds
        self._http = httpx.Client(
            base_url=base_url,
            headers=headers,
            timeout=timeout_seconds,
            transport=transport,
            # Reading the certificate store takes longer than a call; without TLS (and redirects) nobody asks it.
            verify=not base_url.startswith("http://"),
        )

    def close(self) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send one request and return its answer. Errors: ApiError for a refusal, ConnectionLost for silence."""
        sent = dict(headers or {})
        if method == "POST":
            sent.setdefault("Idempotency-Key", str(uuid.uuid4()))
        given = {name: value for name, value in (params or {}).items() if value is not None}
        response = self._send(method, path, json=json, params=given, headers=sent)
        if response.is_success:
            return response
        raise error_of(response.status_code, _read_problem(response), _retry_after(response))

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        for attempt in range(1, self._tries_max + 1):
            pause = self._backoff_seconds * attempt
            try:
                response = self._http.request(method, path, **request)
            except httpx.TransportError as err:
                may_repeat = method in _REPEATABLE or isinstance(err, _NEVER_ARRIVED)
                if attempt == self._tries_max or not may_repeat:
                    raise ConnectionLost(f"{self._http.base_url} does not answer: {err}") from err
            else:
                if attempt == self._tries_max or not _is_retryable(method, response):
                    return response
                asked = _retry_after(response) or 0
                if asked > self._patience_seconds:
                    # Asking sooner is in vain; waiting so long is for the caller to decide.
                    return response
                pause = max(pause, asked)
            time.sleep(pause)
        raise AssertionError("the loop above returns or raises")


def _is_retryable(method: str, response: httpx.Response) -> bool:
    if response.status_code in _BUSY:
        return True
    if response.status_code in _AMBIGUOUS:
        return method in _REPEATABLE
    return response.status_code == 409 and _read_problem(response).get("code") == "idempotency_in_flight"


def _retry_after(response: httpx.Response) -> int | None:
    text = response.headers.get("Retry-After", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def _read_problem(response: httpx.Response) -> dict[str, Any]:
    try:
        problem = response.json()
    except ValueError:
        problem = {"detail": response.text[:PROBLEM_TEXT_MAX]}
    return problem if isinstance(problem, dict) else {}
