"""Who gets in: what is refused before any query, any thread and any byte of a body.

A key's form and checksum are tested first; then the buckets of the key and its organization, or of the caller's
address, are asked (`admission_rules`); then the caller waits for its turn. A key that this process has not seen
accepted lately takes one of its address's failed tries, which is given back when the key is accepted: guessing costs
tries, and a caller behind the same address whose key is known is not stopped by it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.entrypoints import admission_rules as rules
from controlplane.entrypoints.admission_rules import Rates, RouteClass
from controlplane.entrypoints.turns import TooManyWaiting, Turns
from controlplane.identity.key_rules import hash_key, is_well_formed
from controlplane.kernel.errors import RempartError, TooManyRequests, Unauthenticated
from controlplane.kernel.principal import Principal
from controlplane.plumbing.address_rules import Network, bucket_of, client_of
from controlplane.plumbing.rate_limit import RateLimiter
from controlplane.plumbing.rate_rules import Take, retry_after_seconds
from controlplane.plumbing.request_log import Asker
from controlplane.plumbing.settings import Settings
from controlplane.plumbing.web import problem_response

log = structlog.get_logger()

KEY_MISSING = "This request needs an API key: send it as 'Authorization: Bearer rmp_…'."
# Of the door's 40 threads (anyio's default), so that four busy callers leave some for the others.
TURNS_AT_ONCE = 8
TURNS_WAITING_MAX = 64
# Some 8 MB; a caller that falls out takes one of its address's tries again.
CALLERS_KNOWN_MAX = 20_000
# Enough of a keyed hash to tell keys apart in the names of buckets, too little to look a key up by.
BUCKET_CHARACTERS = 16


def rates_of(settings: Settings) -> Rates:
    return Rates(
        reads_per_minute=settings.rate_reads_per_minute,
        writes_per_minute=settings.rate_writes_per_minute,
        ingests_per_minute=settings.rate_ingests_per_minute,
        signups_per_hour=settings.rate_signups_per_hour,
        failed_signins_per_minute=settings.rate_failed_signins_per_minute,
        anonymous_per_minute=settings.rate_anonymous_per_minute,
    )


class Admission:
    """ASGI middleware; stands inside the one that gives each request its id."""

    def __init__(self, app: ASGIApp, settings: Settings, limiter: RateLimiter) -> None:
        self.app = app
        self._rates = rates_of(settings)
        self._trusted: Sequence[Network] = settings.trusted_networks
        # It names callers in this process and in Redis, and opens nothing.
        self._secret = settings.token_ring.current.value
        self._limiter = limiter
        self._turns = Turns(TURNS_AT_ONCE, TURNS_WAITING_MAX)
        self._known: OrderedDict[str, Asker] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in rules.UNCOUNTED:
            await self.app(scope, receive, send)
            return
        address, key = bucket_of(client_of(scope, self._trusted)), _key_of(scope)
        scope.setdefault("state", {})["address"] = address
        try:
            if key is None:
                await self._admit_stranger(scope, receive, send, address)
            else:
                await self._admit_key(scope, receive, send, address, key)
        except _Refused as refused:
            await _refuse(scope, receive, send, refused)

    async def _admit_stranger(self, scope: Scope, receive: Receive, send: Send, address: str) -> None:
        route_class = rules.classify(scope["method"], scope["path"], has_key=False)
        await self._take([rules.take_of_address(self._rates, route_class, address)], route_class)
        await self._run(scope, receive, send, f"address:{address}")

    async def _admit_key(self, scope: Scope, receive: Receive, send: Send, address: str, key: str) -> None:
        failed = rules.take_of_address(self._rates, RouteClass.FAILED, address)
        if not is_well_formed(key):
            await self._take([failed], RouteClass.FAILED)
            wrong = Unauthenticated("The API key is not valid.", reason="malformed_key")
            raise _Refused(wrong, {"WWW-Authenticate": "Bearer"})
        name = hash_key(self._secret, key)[:BUCKET_CHARACTERS]
        known = self._known.get(name)
        caller = None
        if known is not None:
            # Whoever is refused here is not asked for in the database, and is named all the same.
            scope["state"]["asker"] = known
            caller = known.tenant_id or known.key_id
        route_class = rules.classify(scope["method"], scope["path"], has_key=True)
        takes = rules.takes_of_key(self._rates, route_class, scope["path"], name, caller)
        if caller is None:
            takes.append(failed)
        await self._take(takes, route_class)
        await self._run(scope, receive, send, caller or f"address:{address}")
        principal: Principal | None = scope["state"].get("principal")
        if principal is not None:
            self._remember(name, principal)
        is_refused = scope["state"].get("is_key_refused", False)
        if caller is None and not is_refused:
            # Accepted; or nobody could say, because the database is away.
            await self._limiter.charge(Take(failed.bucket, failed.limit, -1))
        elif caller is not None and is_refused:
            # Revoked or expired since: from now on it is a wrong key like any other.
            self._known.pop(name, None)
            await self._limiter.charge(failed)

    async def _take(self, takes: Sequence[Take], route_class: RouteClass) -> None:
        wait, worst = await self._limiter.take(takes)
        if wait > 0:
            seconds = retry_after_seconds(wait)
            is_failed = takes[worst].bucket.startswith(RouteClass.FAILED)
            said = rules.sentence(RouteClass.FAILED if is_failed else route_class, seconds)
            reason = f"too_many_{RouteClass.FAILED if is_failed else route_class}"
            raise _Refused(TooManyRequests(said, retry_after_seconds=seconds), reason=reason)

    async def _run(self, scope: Scope, receive: Receive, send: Send, caller: str) -> None:
        """Run the request in the caller's turn."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == Unauthenticated.http_status:
                scope["state"]["is_key_refused"] = True
            await send(message)

        try:
            async with self._turns.turn(caller):
                await self.app(scope, receive, noting)
        except TooManyWaiting:
            busy = TooManyRequests(
                "Too many requests of this caller are being worked on; send fewer at once and this one in 1 second."
            )
            raise _Refused(busy, reason="too_many_at_once") from None

    def _remember(self, name: str, principal: Principal) -> None:
        tenant_id = None if principal.tenant_id is None else str(principal.tenant_id)
        self._known[name] = Asker(str(principal.key_id), tenant_id)
        self._known.move_to_end(name)
        if len(self._known) > CALLERS_KNOWN_MAX:
            self._known.popitem(last=False)


def _key_of(scope: Scope) -> str | None:
    """The first `Authorization` header, as the handlers behind read it."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            return bearer_of(value.decode("latin-1"))
    return None


def bearer_of(header: str) -> str | None:
    """Return the key of an `Authorization` header; None when it holds none (RFC 6750 §2.1)."""
    scheme, _, key = header.partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


class _Refused(Exception):
    def __init__(
        self, error: RempartError, headers: dict[str, str] | None = None, *, reason: str = ""
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.headers = headers
        self.reason = error.reason if isinstance(error, Unauthenticated) else reason


async def _refuse(scope: Scope, receive: Receive, send: Send, refused: _Refused) -> None:
    """Answer without having read the body."""
    scope["state"]["problem_code"] = refused.error.code
    scope["state"]["refusal_reason"] = refused.reason
    response = problem_response(refused.error, scope["state"]["request_id"], refused.headers)
    await response(scope, receive, send)
