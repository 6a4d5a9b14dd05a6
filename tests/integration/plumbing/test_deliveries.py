"""Dead deliveries as the operator meets them: listed with their reason, sent again, counted."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import SecretStr
from sqlalchemy import update

from controlplane.kernel.ids import EventId
from controlplane.plumbing.consumers import ATTEMPTS_MAX, Consumer, Consumers, Event, deliver
from controlplane.plumbing.database import Database
from controlplane.plumbing.deliveries import BacklogCollector
from controlplane.plumbing.outbox import DeliveryRow
from controlplane.plumbing.settings import Settings
from tests.integration.plumbing.test_consumers import emit, make_due, route


class Flaky:
    """A consumer that fails until it is mended."""

    def __init__(self) -> None:
        self.is_mended = False
        self.handled: list[EventId] = []

    def __call__(self, event: Event) -> None:
        if not self.is_mended:
            raise RuntimeError("the printer is on fire")
        self.handled.append(event.id)


def bury(database: Database, consumers: Consumers, count: int) -> list[tuple[EventId, str]]:
    """Let every consumer's share of `count` new events fail for good."""
    for _ in range(count):
        emit(database)
    pairs = route(database, consumers)
    with database.system() as uow:
        uow.session.execute(update(DeliveryRow).values(attempts=ATTEMPTS_MAX - 1))
    for event_id, name in pairs:
        assert not deliver(database, consumers, event_id, name)
    return pairs


def scrape(database: Database) -> str:
    registry = CollectorRegistry()
    registry.register(BacklogCollector(database))
    return generate_latest(registry).decode()


@pytest.mark.case("W12")
def test_dead_deliveries_are_listed_with_their_reason_and_sent_again(
    admin: TestClient, database: Database
) -> None:
    flaky, other = Flaky(), Flaky()
    topics = frozenset({"test.happened"})
    consumers = Consumers([Consumer("flaky", topics, effect=flaky), Consumer("other", topics, effect=other)])
    pairs = bury(database, consumers, 5)

    seen: list[tuple[str, str]] = []
    cursor: str | None = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = admin.get("/v1/admin/deliveries", params=params).json()
        assert all("the printer is on fire" in row["last_error"] for row in page["deliveries"])
        seen += [(row["event_id"], row["consumer"]) for row in page["deliveries"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted((str(event_id), name) for event_id, name in pairs)
    assert "rempart_deliveries_dead 10.0" in scrape(database)

    flaky.is_mended = True
    first, _ = pairs[0]
    again = admin.post(f"/v1/admin/deliveries/{first}/flaky/retry")
    assert again.json() == {"retry": {"retried": 1}}
    assert admin.post(f"/v1/admin/deliveries/{first}/flaky/retry").status_code == 404
    rest = admin.post("/v1/admin/deliveries/retry", params={"consumer": "flaky"})
    assert rest.json() == {"retry": {"retried": 4}}
    make_due(database)
    for event_id, name in pairs:
        if name == "flaky":
            assert deliver(database, consumers, event_id, name)
    assert sorted(flaky.handled) == sorted({event_id for event_id, _ in pairs})
    left = admin.get("/v1/admin/deliveries", params={"limit": 200}).json()["deliveries"]
    assert {row["consumer"] for row in left} == {"other"}
    assert "rempart_deliveries_dead 5.0" in scrape(database)


@pytest.mark.case("W12")
def test_the_backlog_says_that_the_database_is_away_instead_of_showing_zeros(settings: Settings) -> None:
    nowhere = SecretStr("postgresql://rempart_system@127.0.0.1:1/nowhere")
    text = scrape(Database(settings.model_copy(update={"system_database_url": nowhere})))
    assert "rempart_outbox_up 0.0" in text
    assert "rempart_deliveries_dead" not in text
