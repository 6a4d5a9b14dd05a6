"""The shipper against a real HTTP server: each record once, whatever fails on the disk, whatever the cursor says."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from controlplane.spool.record_rules import Position
from controlplane.spool.segments import Spool, list_segments, segment_path
from controlplane.spool.shipper import READ_FAILURES_MAX, Counts, IngestTarget, Shipper
from tests.fixtures.disk_faults import full, injected, only
from tests.unit.spool.settings import GATEWAY, OPENING, SETTINGS, Setting

SCALE = 64 * 1024
NAME = "usage"
both = pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)


class Ingest:
    """Knows events by their ids, as the usage ingest does; refuses those whose id says so."""

    def __init__(self) -> None:
        self.url = ""
        self.taken: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        results = []
        for event in orjson.loads(await request.read()):
            name = event["id"]
            if name.startswith("bad"):
                results.append({"id": name, "result": "rejected", "reason": "no"})
                continue
            results.append(
                {"id": name, "result": "duplicate" if name in self.taken else "accepted", "reason": None}
            )
            if name not in self.taken:
                self.taken.append(name)
        return web.Response(body=orjson.dumps({"results": results}))


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Ingest, aiohttp.ClientSession]]:
    ingest = Ingest()
    app = web.Application()
    app.router.add_post("/v1/usage_events", ingest.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    ingest.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as session:
            yield ingest, session
    finally:
        await runner.cleanup()


def make(
    setting: Setting, folder: Path, ingest: Ingest, durable: Callable[[], Position | None], **options: Any
) -> Shipper:
    target = IngestTarget(ingest.url, "key")
    state = folder / "state"
    return Shipper(folder / "spool", state, NAME, target, durable, kept=setting.kept, lines_max=3, **options)


def fill(setting: Setting, folder: Path, count: int) -> tuple[Spool, list[str]]:
    spool = setting.open(folder / "spool", SCALE)
    ids = [f"bad{n}" if n % 7 == 5 else f"e{n}" for n in range(count)]
    for name in ids:
        spool.append([{"id": name, "text": "x" * 20}])
    return spool, ids


async def drain(shipper: Shipper, session: aiohttp.ClientSession) -> None:
    idle = 0
    for _ in range(300):
        try:
            idle = 0 if await shipper.step(session) else idle + 1
        except OSError:
            idle = 0
        if idle > 2:
            return
    raise AssertionError("the shipper does not come to an end")


def check(ingest: Ingest, folder: Path, ids: list[str]) -> None:
    refused = [orjson.loads(orjson.loads(line)["line"])["id"] for line in _refused(folder)]
    assert [name for name in ingest.taken if name != OPENING] == [
        name for name in ids if name.startswith("e")
    ]
    assert set(refused) == {name for name in ids if name.startswith("bad")}


def _refused(folder: Path) -> list[bytes]:
    return [line for line in (folder / "state" / f"{NAME}-refused.jsonl").read_bytes().splitlines() if line]


@both
@pytest.mark.case("H1")
@pytest.mark.parametrize("how", ["EIO", "ENOSPC", "torn", "short", "failed after"])
async def test_a_failure_of_any_one_call_ships_everything_all_the_same(
    setting: Setting, how: str, memory: Path
) -> None:
    async with serving() as (ingest, session):
        for number in itertools.count():
            folder = memory / str(number)
            ingest.taken.clear()
            spool, ids = fill(setting, folder, 12)
            shipper = make(setting, folder, ingest, lambda s=spool: s.durable)  # type: ignore[misc]
            with injected(only(number, how)) as faults:
                await drain(shipper, session)
            check(ingest, folder, ids)
            again = make(setting, folder, ingest, lambda s=spool: s.durable)  # type: ignore[misc]
            await drain(again, session)
            check(ingest, folder, ids)
            assert len(list_segments(folder / "spool")) <= setting.kept + 1
            spool.close()
            if len(faults.calls) <= number:
                assert number > 20
                return


@both
@pytest.mark.case("H1")
async def test_on_a_full_disk_it_ships_on_and_makes_room(setting: Setting, memory: Path) -> None:
    async with serving() as (ingest, session):
        spool, _ = fill(setting, memory, 5)
        more = [f"m{n}" for n in range(60)]
        for name in more:
            spool.append([{"id": name, "text": "x" * 20}])
        before = len(list_segments(memory / "spool"))
        shipper = make(setting, memory, ingest, lambda: spool.durable)
        with injected(full(0, 10**9)):
            await drain(shipper, session)
        assert set(more) <= set(ingest.taken)
        assert len(list_segments(memory / "spool")) == setting.kept < before
        spool.close()


@both
@pytest.mark.case("H3")
@pytest.mark.parametrize(
    "cursor",
    [b"", b"{", b"\0" * 20, b'{"segment":1,"length":7}', b"[2,3]", b"[99,0]", b"[1,99999999]", b'{"segment":"x"}',
     b"x" * 100_000, None],
)  # fmt: skip
async def test_a_damaged_cursor_sends_again_and_loses_nothing(
    setting: Setting, cursor: bytes | None, memory: Path
) -> None:
    async with serving() as (ingest, session):
        spool, ids = fill(setting, memory, 12)
        (memory / "state").mkdir()
        path = memory / "state" / f"{NAME}-cursor.json"
        if cursor is None:
            path.mkdir()
        else:
            path.write_bytes(cursor)
        await drain(make(setting, memory, ingest, lambda: spool.durable), session)
        check(ingest, memory, ids)
        spool.close()


@both
@pytest.mark.case("H1")
@pytest.mark.parametrize("form", ["object", "pair"])
async def test_a_cursor_of_either_form_is_gone_on_from(setting: Setting, form: str, memory: Path) -> None:
    async with serving() as (ingest, session):
        spool = setting.open(memory / "spool")
        place = spool.append([{"id": "shipped"}])
        spool.append([{"id": "new"}])
        pair = [place.segment, place.length]
        held = pair if form == "pair" else {"segment": pair[0], "length": pair[1]}
        (memory / "state").mkdir()
        (memory / "state" / f"{NAME}-cursor.json").write_bytes(orjson.dumps(held))
        await drain(make(setting, memory, ingest, lambda: spool.durable), session)
        assert ingest.taken == ["new"]
        spool.close()


@both
@pytest.mark.case("H3")
async def test_a_spool_that_began_again_is_shipped_whatever_the_cursor_remembers(
    setting: Setting, memory: Path
) -> None:
    async with serving() as (ingest, session):
        spool, _ = fill(setting, memory, 40)
        await drain(make(setting, memory, ingest, lambda: spool.durable), session)
        spool.close()
        for path in (memory / "spool").iterdir():
            path.unlink()
        spool = setting.open(memory / "spool", SCALE)
        spool.append([{"id": "after"}])
        await drain(make(setting, memory, ingest, lambda: spool.durable), session)
        assert ingest.taken[-1] == "after"
        spool.close()


@both
@pytest.mark.case("H3")
async def test_damage_in_a_segment_is_set_aside_and_what_stands_around_it_is_shipped(
    setting: Setting, memory: Path
) -> None:
    async with serving() as (ingest, session):
        spool, ids = fill(setting, memory, 4)
        path = segment_path(memory / "spool", spool.durable.segment)
        with path.open("ab") as file:
            file.write(b"garbage\n" + b"\0" * 5_000_000 + b'{"id": "e-found"}\n' + b"\n" + b"[1]\n")
        spool.append([{"id": "e-last"}])
        counts = Counts()
        await drain(make(setting, memory, ingest, lambda: spool.durable, counts=counts), session)
        assert [name for name in ingest.taken if name != OPENING][-2:] == ["e-found", "e-last"]
        assert counts.set_aside.value == 3  # type: ignore[attr-defined]
        assert len(_refused(memory)) == 3 + sum(name.startswith("bad") for name in ids)
        spool.close()


@pytest.mark.case("H3")
async def test_a_segment_that_cannot_be_read_for_long_is_set_aside_and_the_next_ones_go_on(
    memory: Path,
) -> None:
    async with serving() as (ingest, session):
        spool, ids = fill(GATEWAY, memory, 12)
        first = segment_path(memory / "spool", 1)
        first.unlink()
        first.mkdir()
        shipper = make(GATEWAY, memory, ingest, lambda: spool.durable)
        for _ in range(READ_FAILURES_MAX - 1):
            with pytest.raises(IsADirectoryError):
                await shipper.step(session)
        await drain(shipper, session)
        assert first.with_suffix(".unreadable").is_dir()
        assert ingest.taken == [name for name in ids if name.startswith("e")][-len(ingest.taken) :]
        assert ingest.taken
        spool.close()


@pytest.mark.parametrize("key", [b"", b"\xff", b"two\nlines", None])
async def test_a_key_that_cannot_be_used_is_waited_for(key: bytes | None, memory: Path) -> None:
    async with serving() as (ingest, session):
        spool, _ = fill(GATEWAY, memory, 3)
        path = memory / "key"
        if key is not None:
            path.write_bytes(key)
        target = IngestTarget(ingest.url, key_file=path)
        shipper = Shipper(memory / "spool", memory / "state", NAME, target, lambda: spool.durable)
        assert await shipper.step(session) is None
        path.write_bytes(b"good\n")
        assert await shipper.step(session) == 3
        spool.close()
