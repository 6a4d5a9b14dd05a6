"""Demand and endpoints on a real Redis that restarts and forgets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
import redis.asyncio

from operators.inference.demand import DemandBoard, connect
from operators.inference.endpoints import Endpoint, EndpointPublisher
from operators.lib.clock import SystemClock
from tests.fixtures.database import free_port, running_redis
from tests.operators.inference.world import eventually

RDP = "rdp_01jd0000000000000000000000"
KEY = f"rempart:endpoints:{RDP}"
ONE = [Endpoint("127.0.0.1", 8000, "chat-0-a")]


@contextlib.asynccontextmanager
async def running(*coroutines: object) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each) for each in coroutines]  # type: ignore[arg-type]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    made = connect(redis_url)
    yield made
    await made.aclose()


def board_for(client: redis.asyncio.Redis) -> tuple[DemandBoard, list[str]]:
    board, heard = DemandBoard(client, SystemClock(), lambda: {RDP: None}.keys()), []
    board.listen(heard.append)
    return board, heard


def record(in_flight: int, at: str = "2026-11-21T12:00:00Z") -> bytes:
    return orjson.dumps({"wanted": in_flight > 0, "in_flight": in_flight, "waiting": 0, "at": at})


async def observable(board: DemandBoard) -> None:
    async def probe() -> bool:
        return board.is_observable

    await eventually(probe, "Redis answers")


async def load_is(board: DemandBoard, in_flight: int) -> None:
    async def probe() -> bool:
        demand = board.find(RDP)
        return demand is not None and demand.in_flight == in_flight

    await eventually(probe, f"{in_flight} in flight")


class TestDemandBoard:
    async def test_a_message_without_a_record_is_believed(self, client: redis.asyncio.Redis) -> None:
        board, heard = board_for(client)
        async with running(board.run()):
            await observable(board)
            heard.clear()

            async def probe() -> bool:
                await client.publish("rempart:demand", RDP)
                return RDP in heard

            await eventually(probe, "the message is heard")
            demand = board.find(RDP)
            assert demand is not None
            assert demand.is_active

    async def test_a_stranger_and_garbage_are_ignored(self, client: redis.asyncio.Redis) -> None:
        board, _ = board_for(client)
        async with running(board.run()):
            await observable(board)
            await client.publish("rempart:demand", b"\xff\xfe")
            await client.publish("rempart:demand", "rdp_another")
            await client.set(f"rempart:demand:{RDP}", b"[1, 2")
            await client.set(f"rempart:demand:{RDP}", b"[]")
            await client.set(f"rempart:demand:{RDP}", record(3))
            await load_is(board, 3)
            assert board.find("rdp_another") is None

    async def test_a_repeated_report_wakes_nobody(self, client: redis.asyncio.Redis) -> None:
        board, heard = board_for(client)
        async with running(board.run()):
            await client.set(f"rempart:demand:{RDP}", record(3, at="2026-11-21T12:00:00Z"))
            await load_is(board, 3)
            first = board.find(RDP)
            heard.clear()
            await client.set(f"rempart:demand:{RDP}", record(3, at="2026-11-21T12:00:05Z"))

            async def is_newer() -> bool:
                demand, known = board.find(RDP), first
                return demand is not None and known is not None and demand.reported_at > known.reported_at

            await eventually(is_newer, "the report is taken")
            assert heard == []

    async def test_a_restarted_redis_is_noticed_and_heard_again(self, tmp_path: Path) -> None:
        port = free_port()
        with running_redis(tmp_path, port) as (url, _):
            client = connect(url)
            board, heard = board_for(client)
            context = running(board.run())
            await context.__aenter__()
            await observable(board)
        try:

            async def is_lost() -> bool:
                return not board.is_observable

            await eventually(is_lost, "the loss is noticed")
            heard.clear()
            with running_redis(tmp_path, port):
                await observable(board)
                assert RDP in heard
                await client.set(f"rempart:demand:{RDP}", record(2))
                await load_is(board, 2)
                await context.__aexit__(None, None, None)
        finally:
            await client.aclose()


class TestEndpointPublisher:
    async def test_unchanged_endpoints_are_written_once(self, client: redis.asyncio.Redis) -> None:
        publisher = EndpointPublisher(client, SystemClock())
        assert await publisher.publish(RDP, ONE, is_simulated=True)
        first = orjson.loads(await client.get(KEY))
        assert await publisher.publish(RDP, ONE, is_simulated=True)
        assert orjson.loads(await client.get(KEY)) == first
        assert first["simulated"] is True
        assert first["endpoints"] == [{"address": "127.0.0.1", "port": 8000, "instance": "chat-0-a"}]
        assert await publisher.publish(RDP, [], is_simulated=True)
        second = orjson.loads(await client.get(KEY))
        assert second["version"] > first["version"]

    async def test_lost_endpoints_come_back_and_are_announced(self, client: redis.asyncio.Redis) -> None:
        publisher = EndpointPublisher(client, SystemClock())
        async with running(publisher.run()), client.pubsub(ignore_subscribe_messages=True) as channel:
            await publisher.publish(RDP, ONE, is_simulated=False)
            await channel.subscribe("rempart:changed")
            await client.flushall()

            async def probe() -> bool:
                message = await channel.get_message(timeout=0.1)
                return message is not None and message["data"] == KEY.encode()

            await eventually(probe, "the key is announced", seconds=8)
            assert len(orjson.loads(await client.get(KEY))["endpoints"]) == 1

    async def test_endpoints_told_while_redis_was_away_are_written_when_it_is_back(
        self, tmp_path: Path
    ) -> None:
        port = free_port()
        client = connect(f"redis://127.0.0.1:{port}/0")
        publisher = EndpointPublisher(client, SystemClock())
        assert not await publisher.publish(RDP, ONE, is_simulated=False)
        assert not await publisher.withdraw("rdp_another")
        async with running(publisher.run()):
            with running_redis(tmp_path, port):

                async def probe() -> bytes | None:
                    with contextlib.suppress(redis.RedisError):
                        raw: bytes | None = await client.get(KEY)
                        return raw
                    return None

                assert orjson.loads(await eventually(probe, "the key"))["endpoints"]
        await client.aclose()

    async def test_withdrawn_endpoints_stay_away(self, client: redis.asyncio.Redis) -> None:
        publisher = EndpointPublisher(client, SystemClock())
        await publisher.publish(RDP, ONE, is_simulated=False)
        assert await publisher.withdraw(RDP)
        assert await client.get(KEY) is None
        other = "rdp_other"
        async with running(publisher.run()):
            await publisher.publish(other, ONE, is_simulated=False)
            await client.flushall()

            async def is_reasserted() -> bool:
                return await client.exists(f"rempart:endpoints:{other}") == 1

            await eventually(is_reasserted, "a round of assertions", seconds=8)
            assert await client.get(KEY) is None
