"""Redis goes away under a gateway's feed: calls go on by what is known, except where only a budget would allow them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import redis

from controlplane.gateway.domain import ApiKey
from controlplane.gateway.key_rules import BUDGETS_AGE_MAX, KeyRefusal, decide_budget, decide_key, hash_key
from controlplane.gateway.redis_feed import RedisFeed, connect
from controlplane.gateway.store import BUDGETS_KEY, KEYS_KEY, Store
from controlplane.identity import key_rules as identity
from controlplane.identity.domain import KeyKind
from controlplane.kernel.keyring import Keyring
from tests.fixtures.database import running_redis

PEPPER = b"p" * 32
WAIT_SECONDS_MAX = 30.0
LIMITED, INVOICED = (
    identity.build_key(KeyKind.SVC, "local", bytes([number]) * identity.RANDOM_BYTES) for number in (1, 2)
)


def publish(url: str) -> None:
    at = datetime.now(UTC).isoformat()
    keys = [
        {
            "hash": hash_key(PEPPER, key), "key_id": f"key_{tenant}", "tenant_id": tenant,
            "project_id": f"prj_{tenant}", "scopes": ["inference"], "expires_at": None,
        }
        for key, tenant in ((LIMITED, "org_limited"), (INVOICED, "org_invoiced"))
    ]  # fmt: skip
    budgets = {
        "exhausted_tenants": [],
        "exhausted_projects": [],
        "hard_tenants": ["org_limited"],
        "hard_projects": [],
    }
    with redis.Redis.from_url(url) as client:
        client.set(KEYS_KEY, orjson.dumps({"version": 1, "generated_at": at, "keys": keys}))
        client.set(BUDGETS_KEY, orjson.dumps({"version": 1, "generated_at": at, **budgets}))


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.01)


def test_without_redis_calls_flow_but_for_hard_budgets_that_nobody_knows_any_more(tmp_path: Path) -> None:
    store = Store(tmp_path / "snapshots")
    store.load()

    def decide(key: str, later: timedelta = timedelta(0), held: Store = store) -> Any:
        now = datetime.now(UTC) + later
        found = decide_key(held.keys, Keyring.single(PEPPER), key, now)
        return found if isinstance(found, KeyRefusal) else decide_budget(found, held.budgets, now) or found

    async def follow() -> None:
        with running_redis(tmp_path) as (url, server):
            publish(url)
            client = connect(url)
            feed = RedisFeed(client, store)
            running = asyncio.create_task(feed.run())
            try:
                await until(lambda: feed.is_connected and store.budgets is not None, "the snapshots")
                server.kill()
                await until(lambda: not feed.is_connected, "the outage is noticed")
                # Known a moment ago: nobody is refused.
                assert isinstance(decide(LIMITED), ApiKey)
                assert isinstance(decide(INVOICED), ApiKey)
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
                await client.aclose()

    asyncio.run(follow())
    later = BUDGETS_AGE_MAX + timedelta(seconds=1)
    # A gateway that starts during the outage knows what the last one wrote down, and how old it is.
    restarted = Store(tmp_path / "snapshots")
    restarted.load()
    for held in (store, restarted):
        assert decide(LIMITED, later, held) is KeyRefusal.BUDGET_UNKNOWN
        assert isinstance(decide(INVOICED, later, held), ApiKey)
