"""No byte of an engine can end the proxy, change another byte of the answer, or spoil a count that is well formed."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.gateway.envoy_listener import EVENT_BYTES_MAX
from tests.integration.gateway.raw_engine import DOCUMENT, STREAM, RawAnswer, RawEngine
from tests.integration.gateway.rig import MODEL, Rig, Tenant, wait_until

CHAT = "/v1/chat/completions"
CALL = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
COUNT_MAX = 10**15 - 1

Counts = dict[str, int]


@pytest.fixture(scope="module")
def raw() -> Iterator[RawEngine]:
    with RawEngine() as running:
        yield running


@pytest.fixture
def _route(rig: Rig, tenant: Tenant, raw: RawEngine) -> None:
    route = tenant.route()
    rig.publish_routes(route)
    rig.publish_endpoints(route, raw.port)


def _read(text: bytes) -> Counts:
    """What OpenAI's `usage` says, read by Python's own parser: whole numbers, the last of a repeated member."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    usage = found.get("usage") if isinstance(found, dict) else None
    if not isinstance(usage, dict):
        return {}
    return {
        name: usage[name]
        for name in ("prompt_tokens", "completion_tokens")
        if type(usage.get(name)) is int and 0 <= usage[name] <= COUNT_MAX
    }


def _expected(counts: Counts) -> tuple[int | None, int | None] | None:
    """As a usage event has them; None: nobody said."""
    if not counts:
        return None
    return counts.get("prompt_tokens"), counts.get("completion_tokens", 0)


def _check_usage(rig: Rig, wanted: dict[str, tuple[int | None, int | None] | None]) -> None:
    def lines() -> dict[str, dict[str, Any]] | None:
        found = {line["id"]: line["data"] for line in rig.usage()}
        return found if wanted.keys() <= found.keys() else None

    found = wait_until(lines, "the usage of every call")
    for request_id, counts in wanted.items():
        data = found[request_id]
        said = (data["input_tokens"], data["output_tokens"]) if data["usage_source"] == "engine" else None
        assert said == counts, request_id


def _ask(client: httpx.Client, **more: Any) -> httpx.Response:
    response = client.post(CHAT, json={**CALL, **more})
    assert response.status_code == 200, response.text
    return response


TOTALS = b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
BODIES: dict[str, bytes] = {
    "null": b"null",
    "true": b"true",
    "number": b"1e308",
    "text": b'"usage"',
    "array": b"[]",
    "array of objects": b'[{"usage":{"prompt_tokens":9}}]',
    "empty": b"",
    "empty object": b"{}",
    "usage null": b'{"usage":null}',
    "usage text": b'{"usage":"9"}',
    "usage array": b'{"usage":[9]}',
    "counts are text": b'{"usage":{"prompt_tokens":"9","completion_tokens":"9"}}',
    "counts are negative": b'{"usage":{"prompt_tokens":-9,"completion_tokens":-9}}',
    "counts are fractions": b'{"usage":{"prompt_tokens":0.5,"completion_tokens":9.5}}',
    "counts are huge": b'{"usage":{"prompt_tokens":1e308,"completion_tokens":' + b"9" * 400 + b"}}",
    "counts are objects": b'{"usage":{"prompt_tokens":{"a":9},"completion_tokens":[9]}}',
    "counts are null": b'{"usage":{"prompt_tokens":null,"completion_tokens":null}}',
    "repeated": b'{"usage":{"prompt_tokens":9},"usage":null}',
    "escaped names": b'{"us\\u0061ge":{"prompt_tokens":5,"completion_tok\\u0065ns":6}}',
    "deep": b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "deep and open": b'{"usage":' + b'{"usage":' * 5_000,
    "cut": b'{"usage":{"prompt_tokens":9',
    "closed too often": b'{"usage":{"prompt_tokens":9}}}}}',
    "mismatched": b'{"a":[}',
    "broken utf-8": b'{"\xff\xfe":"\xc3\x28","usage":{"\xed\xa0\x80":1}}',
    "binary": bytes(range(1, 256)).replace(b"\r", b"").replace(b"\n", b""),
    "nul bytes": b'{"usage"\x00:{}}' + b"\x00" * 100,
    "byte order mark": b'\xef\xbb\xbf{"usage":{"prompt_tokens":1,"completion_tokens":2}}',
    "many members": b'{"usage":{"prompt_tokens":1,"completion_tokens":2}' + b',"a":1' * 900 + b"}",
    "long name": b'{"' + b"n" * 5_000 + b'":1}',
    "long line": b'{"choices":[{"delta":{"content":"' + b"x" * (EVENT_BYTES_MAX + 1) + b'"}}]}',
    "longer line": b"y" * (2 * 1024 * 1024),
    "many quotes": b'{"a":"' + b'\\"' * 20_000 + b'"}',
    "many names": b'{"content":' * 4_000,
}


@pytest.mark.case("S1")
@pytest.mark.usefixtures("_route")
@pytest.mark.parametrize("name", BODIES)
def test_an_event_of_any_kind_is_passed_on_and_the_proxy_lives(
    rig: Rig, client: httpx.Client, raw: RawEngine, name: str
) -> None:
    event = b"data: " + BODIES[name] + b"\n\n"
    last = b"data: " + TOTALS + b"\n\ndata: [DONE]\n\n"
    raw.answer = RawAnswer((event, last))
    assert rig.envoy is not None
    streamed = _ask(client, stream=True, stream_options={"include_usage": True})
    assert streamed.content == event + last
    raw.answer = RawAnswer((event,))
    alone = _ask(client, stream=True)
    assert alone.content == event
    raw.answer = RawAnswer((BODIES[name],), DOCUMENT)
    document = _ask(client)
    assert document.content == BODIES[name]
    assert rig.envoy.poll() is None
    small = len(event) <= EVENT_BYTES_MAX
    read = BODIES[name].removeprefix(b"\xef\xbb\xbf")
    _check_usage(
        rig,
        {
            streamed.headers["x-request-id"]: (3, 4),
            alone.headers["x-request-id"]: _expected(_read(read)) if small else None,
            document.headers["x-request-id"]: _expected(_read(read)),
        },
    )


@pytest.mark.usefixtures("_route")
def test_an_event_above_the_bound_is_counted_as_unread(
    rig: Rig, client: httpx.Client, raw: RawEngine
) -> None:
    raw.answer = RawAnswer((b"data: " + b"z" * EVENT_BYTES_MAX, b"z\n\n", b"data: " + TOTALS + b"\n\n"))
    request_id = _ask(client, stream=True).headers["x-request-id"]
    log = rig.state_dir / "gateway" / "access" / "access.log"

    def find() -> dict[str, Any] | None:
        lines = (json.loads(line) for line in log.read_bytes().splitlines() if line.endswith(b"}"))
        return next((line for line in lines if line["id"] == request_id), None)

    assert wait_until(find, "the log's line")["seen"]["answer"]["unread"] == 1
    _check_usage(rig, {request_id: (3, 4)})


_NAMES = st.sampled_from(["usage", "prompt_tokens", "completion_tokens", "model", "é", 'a"b', "\\", ""])
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)
_USAGE = st.fixed_dictionaries(
    {
        "usage": st.fixed_dictionaries(
            {"prompt_tokens": st.integers(0, 10**6), "completion_tokens": st.integers(0, 10**6)}
        )
    }
)
_JSON = st.builds(
    lambda value, is_ascii, indent: json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode(
        "utf-8", "replace"
    ),
    _VALUES | _USAGE,
    st.booleans(),
    st.sampled_from([None, 1]),
)
_BYTES = st.binary(max_size=60).map(lambda data: b"\x00" + data.replace(b"\r", b"").replace(b"\n", b""))
_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def _events(draw: st.DrawFn) -> tuple[bytes, bytes, Counts]:
    """A stream, what of it goes to a caller who asked for no usage, and what it counts."""
    sent, kept, counts = b"", b"", Counts()
    for body in draw(st.lists(_JSON | _BYTES | st.just(TOTALS), max_size=6)):
        end = draw(_ENDS)
        event = b"".join(b"data: " + line + end for line in body.split(b"\n")) + end
        sent += event
        kept += b"" if body == TOTALS else event
        counts |= _read(body)
    return sent, kept, counts


@st.composite
def _cut(draw: st.DrawFn, data: bytes) -> tuple[bytes, ...]:
    if draw(st.booleans()):
        return tuple(data[i : i + 1] for i in range(len(data)))
    cuts = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=8))})
    return tuple(data[a:b] for a, b in itertools.pairwise(cuts))


_SETTINGS = settings(
    max_examples=int(os.environ.get("REMPART_HOSTILE_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.case("S1")
@pytest.mark.usefixtures("_route")
def test_streams_of_any_events_cut_anywhere_are_passed_on_and_counted(
    rig: Rig, client: httpx.Client, raw: RawEngine
) -> None:
    wanted: dict[str, tuple[int | None, int | None] | None] = {}

    @_SETTINGS
    @given(st.data())
    def check(data: st.DataObject) -> None:
        sent, kept, counts = data.draw(_events())
        raw.answer = RawAnswer(data.draw(_cut(sent)), STREAM)
        response = _ask(client, stream=True)
        assert response.content == kept
        wanted[response.headers["x-request-id"]] = _expected(counts)

    assert rig.envoy is not None
    check()
    assert rig.envoy.poll() is None
    _check_usage(rig, wanted)


@pytest.mark.case("S1")
@pytest.mark.usefixtures("_route")
def test_documents_of_any_bytes_cut_anywhere_are_passed_on_and_counted(
    rig: Rig, client: httpx.Client, raw: RawEngine
) -> None:
    wanted: dict[str, tuple[int | None, int | None] | None] = {}

    @_SETTINGS
    @given(st.data())
    def check(data: st.DataObject) -> None:
        sent = data.draw(_JSON | st.binary(max_size=200).map(lambda tail: b"\x00" + tail))
        raw.answer = RawAnswer(data.draw(_cut(sent)), DOCUMENT)
        response = _ask(client)
        assert response.content == sent
        wanted[response.headers["x-request-id"]] = _expected(_read(sent))

    assert rig.envoy is not None
    check()
    assert rig.envoy.poll() is None
    _check_usage(rig, wanted)
