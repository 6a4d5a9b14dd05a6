"""kill -9 of everything between a token and an invoice, at random points: what was acknowledged is billed once.

REMPART_CRASH_ROUNDS=50 is the campaign; REMPART_CRASH_SEED repeats an order of kills and pauses (what each process
was doing at that instant is the machine's). Each round kills every process once, in a random order.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import Any

import httpx
import orjson
import psycopg
import pytest

from controlplane.einvoicing import service as einvoicing
from controlplane.einvoicing.domain import FileKind
from controlplane.invoicing.domain import InvoiceId
from controlplane.kernel.errors import Conflict, NotFound
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS, Period
from controlplane.ledger import service as ledger
from controlplane.metering import service as metering
from controlplane.plumbing.database import Database
from controlplane.plumbing.simulated_clock import move_clock
from tests.bench.common import keep
from tests.fixtures.tenants import bearer, signup_body
from tests.fixtures.usage import BATCH
from tests.simulation.money_stack import VICTIMS, MoneyStack, running_money_stack, wait_for
from tests.simulation.money_traffic import Tenant, Traffic

ROUNDS_DEFAULT = 2
TENANTS = 3
PAUSE_SECONDS = (0.05, 0.9)
VICTIM_SECONDS_MAX = 60.0
# A round's usage gets through when all that was killed runs again; starting takes seconds on a busy machine.
PROGRESS_SECONDS_MAX = 120.0
SETTLED_SECONDS_MAX = 180.0
BATCHES_SENT_AGAIN = 20


@pytest.fixture(scope="module")
def rounds() -> int:
    return int(os.environ.get("REMPART_CRASH_ROUNDS", str(ROUNDS_DEFAULT)))


@pytest.fixture(scope="module")
def seed(rounds: int) -> int:
    chosen = int(os.environ.get("REMPART_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
    print(f"\nREMPART_CRASH_SEED={chosen} REMPART_CRASH_ROUNDS={rounds}", flush=True)
    return chosen


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MoneyStack]:
    with running_money_stack(tmp_path_factory.mktemp("money")) as running:
        yield running


def sign_up(stack: MoneyStack, name: str) -> Tenant:
    body = httpx.post(f"{stack.url}/v1/signup", json=signup_body(name), timeout=30).raise_for_status().json()
    return Tenant(body["organization"]["id"], body["project"]["id"])


def strike_all(stack: MoneyStack, chance: random.Random) -> None:
    victims = list(VICTIMS)
    chance.shuffle(victims)
    for victim in victims:
        time.sleep(chance.uniform(*PAUSE_SECONDS))
        wait_for(partial(stack.kill, victim), f"a {victim} to kill", VICTIM_SECONDS_MAX)


def stored_keys(stack: MoneyStack) -> Counter[bytes]:
    """The keys of all stored events that producers sent; nothing while the database is away."""
    query = "SELECT key FROM usage_event WHERE type <> 'eu.rempart.gpu.slice.v1'"
    with connect(stack) as owner:
        return Counter(row[0].bytes for row in owner.execute(query).fetchall())


def count_stored(stack: MoneyStack, keys: list[bytes]) -> int:
    with connect(stack) as owner:
        query = "SELECT count(*) FROM usage_event WHERE key = ANY(%s)"
        row = owner.execute(query, ([uuid.UUID(bytes=key) for key in keys],)).fetchone()
    assert row is not None
    return int(row[0])


def connect(stack: MoneyStack) -> psycopg.Connection[Any]:
    return psycopg.connect(stack.settings.owner_database_url.get_secret_value(), connect_timeout=2)


def run_rounds(stack: MoneyStack, traffic: Traffic, chance: random.Random, rounds: int) -> None:
    """Kill while usage flows. After each round the API answers, takes usage, and has what it ever acknowledged.

    What the two shippers have not been able to send yet waits in their spools: that is looked at in the end.
    """
    told = 0
    for number in range(rounds):
        began = time.monotonic()
        strike_all(stack, chance)
        taken = len(traffic.taken)
        wait_for(partial(is_flowing, traffic, taken), "the API takes usage again", PROGRESS_SECONDS_MAX)
        keys = traffic.taken[told:taken]
        told = taken
        assert count_stored(stack, keys) == len(keys), "an acknowledged event is not there, or there twice"
        seconds = round(time.monotonic() - began, 1)
        print(f"round {number}: {seconds} s, {len(traffic.acknowledged)} acknowledged so far", flush=True)


def is_flowing(traffic: Traffic, taken: int) -> bool:
    return len(traffic.taken) > taken


def holds(stack: MoneyStack, expected: Counter[bytes]) -> bool:
    return stored_keys(stack) == expected


def close_month(stack: MoneyStack, tenant: Tenant, month: str) -> dict[str, Any]:
    """Ask until it is answered; the API and the database die meanwhile."""
    key = (stack.folder / "operator.key").read_text().strip()
    body = {"organization_id": tenant.organization_id, "period": month}
    deadline = time.monotonic() + SETTLED_SECONDS_MAX
    while True:
        assert time.monotonic() < deadline, "the month was not closed in time"
        try:
            answer = httpx.post(
                f"{stack.url}/v1/admin/billing/close", json=body, headers=bearer(key), timeout=30
            )
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if answer.status_code == 200:
            invoice: dict[str, Any] = answer.json()["invoice"]
            return invoice
        assert answer.status_code == 503, answer.text
        time.sleep(0.1)


def assert_billed(traffic: Traffic, invoices: dict[str, dict[str, Any]]) -> int:
    """Σ lines = the rounding rule of Σ usage, counted here by hand. Returns the gross of all in cents."""
    total = 0
    for tenant, invoice in invoices.items():
        assert invoice["state"] == "ISSUED", invoice["hold"]
        lines = {line["sku"]: _cents(line["net"]) for line in invoice["lines"]}
        exact = traffic.cents_owed(tenant)
        # docs/adr/0009: each line is a cent beside its own amount, and together they are the rounded sum.
        assert lines.keys() == exact.keys()
        assert all(abs(lines[sku] - amount) < 1 for sku, amount in exact.items()), (lines, exact)
        assert sum(lines.values()) == int(
            sum(exact.values(), Decimal(0)).quantize(Decimal(1), rounding=ROUND_HALF_UP)
        )
        assert _cents(invoice["net"]) == sum(lines.values())
        assert _cents(invoice["gross"]) == _cents(invoice["net"]) + _cents(invoice["tax"])
        total += _cents(invoice["gross"])
    return total


def _cents(amount: str) -> int:
    whole, _, fraction = amount.partition(".")
    return int(whole) * 100 + int(fraction.ljust(2, "0"))


def has_file(database: Database, tenant: str, invoice: dict[str, Any]) -> bool:
    tenant_id = TenantId.parse(tenant)
    try:
        with database.tenant(tenant_id) as uow:
            return bool(
                einvoicing.get_file(uow, tenant_id, InvoiceId.parse(invoice["id"]), FileKind.PDF).content
            )
    except (Conflict, NotFound):
        return False


def test_what_was_acknowledged_is_billed_once_whatever_is_killed(
    stack: MoneyStack, seed: int, rounds: int
) -> None:
    chance = random.Random(seed)
    began = time.monotonic()
    period = Period.month_of(datetime.now(UTC))
    tenants = [sign_up(stack, f"crash-{number}") for number in range(TENANTS)]
    producer = (stack.folder / "producer.key").read_text().strip()
    stack.access_log.parent.mkdir(parents=True, exist_ok=True)
    traffic = Traffic(stack.url, producer, tenants, stack.access_log)
    script = traffic.script_gpus(5 * rounds, max(period.start, datetime.now(UTC) - timedelta(hours=20)))
    stack.operator_folder.mkdir(exist_ok=True)
    draft = stack.operator_folder / "draft"
    draft.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in script))
    draft.rename(stack.operator_folder / "script.jsonl")

    writers = [
        threading.Thread(target=traffic.post_batches, args=(chance.getrandbits(32),)),
        threading.Thread(target=traffic.post_batches, args=(chance.getrandbits(32),)),
        threading.Thread(target=traffic.write_calls, args=(chance.getrandbits(32),)),
    ]
    for writer in writers:
        writer.start()
    try:
        run_rounds(stack, traffic, chance, rounds)
    finally:
        traffic.stop()
        for writer in writers:
            writer.join(timeout=PROGRESS_SECONDS_MAX)

    expected = Counter(dict.fromkeys(traffic.acknowledged, 1))
    wait_for(stack.is_answering, "the API answers", PROGRESS_SECONDS_MAX)
    is_all_there = partial(holds, stack, expected)
    wait_for(is_all_there, "everything acknowledged is stored once", SETTLED_SECONDS_MAX)
    with httpx.Client(headers={**bearer(producer), **BATCH}, timeout=30) as client:
        for batch in traffic.batches[:BATCHES_SENT_AGAIN]:
            # Those of the log were worded by the collector: under the same ids they say something else.
            again = traffic.post(client, batch)
            assert set(again) <= {"duplicate", "conflict"}, again
    assert stored_keys(stack) == expected

    database = Database(stack.settings)
    with database.system() as uow:
        move_clock(uow, stack.settings, int((period.end - datetime.now(UTC)).total_seconds()) + 9 * 3600)
    month = f"{period.start.astimezone(PARIS):%Y-%m}"
    with ThreadPoolExecutor(TENANTS + 1) as pool:
        closing = {t.organization_id: pool.submit(close_month, stack, t, month) for t in tenants}
        pool.submit(strike_all, stack, chance).result()
        invoices = {tenant: future.result() for tenant, future in closing.items()}
    gross = assert_billed(traffic, invoices)
    assert sorted(int(invoice["number"][-6:]) for invoice in invoices.values()) == list(range(1, TENANTS + 1))
    for tenant in tenants:
        assert close_month(stack, tenant, month) == invoices[tenant.organization_id]
    for tenant_id, invoice in invoices.items():
        is_written = partial(has_file, database, tenant_id, invoice)
        wait_for(is_written, "the worker has written the invoice's file", SETTLED_SECONDS_MAX)
    with database.system(is_read_only=True) as uow:
        assert sum(balance.minor for balance in ledger.list_balances(uow)) == 0
        assert ledger.get_balance(uow, "411") == gross
        assert metering.find_damage(uow) is None
        for tenant in tenants:
            assert metering.find_drift(uow, TenantId.parse(tenant.organization_id), period) is None
    database.dispose()
    figures = {
        "seed": seed, "rounds": rounds, "kills": stack.kills, "events": len(expected), "invoices": len(invoices),
        "refused_meanwhile": dict(traffic.refusals), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    print(json.dumps(figures), flush=True)
    keep("money_crashes", figures)
