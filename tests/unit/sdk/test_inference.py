"""Calling models: what is sent, what a refusal becomes, and that nothing is sent twice."""

from __future__ import annotations

import httpx
import pytest

from controlplane.sdk import ApiError, ConnectionLost, Gateway, Unauthenticated

BODY = {"model": "m", "messages": []}


def gateway(answer: httpx.Response | Exception, seen: list[httpx.Request]) -> Gateway:
    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Gateway("rmp_key", "http://gateway.test", transport=httpx.MockTransport(handle))


def test_an_answer_comes_with_its_proofs() -> None:
    seen: list[httpx.Request] = []
    headers = {"x-request-id": "req_1", "x-rempart-residency": "country=FR"}
    with gateway(httpx.Response(200, json={"choices": []}, headers=headers), seen) as opened:
        answer = opened.chat(BODY, host="chat.rempart.localhost")
    assert (answer.request_id, answer.residency) == ("req_1", "country=FR")
    assert seen[0].headers["authorization"] == "Bearer rmp_key"
    assert seen[0].headers["host"] == "chat.rempart.localhost"


def test_a_stream_is_cut_into_its_events() -> None:
    text = 'data: {"choices": [1]}\n\n: ping\n\ndata: {"choices": [2]}\n\ndata: [DONE]\n\n'
    seen: list[httpx.Request] = []
    answer = httpx.Response(200, content=text.encode(), headers={"content-type": "text/event-stream"})
    with gateway(answer, seen) as opened, opened.stream(BODY) as stream:
        assert list(stream.chunks) == [{"choices": [1]}, {"choices": [2]}]
    assert b'"stream":true' in seen[0].content


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthenticated), (429, ApiError), (503, ApiError)])
def test_a_refusal_keeps_the_gateways_code(status: int, kind: type[ApiError]) -> None:
    refusal = httpx.Response(status, json={"error": {"code": "insufficient_quota", "message": "Used up."}})
    with gateway(refusal, []) as opened, pytest.raises(kind) as caught:
        opened.chat(BODY)
    assert (caught.value.code, caught.value.message) == ("insufficient_quota", "Used up.")
    with gateway(refusal, []) as opened, pytest.raises(kind), opened.stream(BODY):
        pass


@pytest.mark.parametrize("text", ["", "[]", "<html>", '{"error": "no"}', '{"error": null}'])
def test_a_refusal_of_another_shape_is_one_too(text: str) -> None:
    with gateway(httpx.Response(502, text=text), []) as opened, pytest.raises(ApiError) as caught:
        opened.chat(BODY)
    assert caught.value.status == 502


def test_a_call_of_a_model_is_not_repeated() -> None:
    seen: list[httpx.Request] = []
    with gateway(httpx.ReadTimeout("late"), seen) as opened:
        with pytest.raises(ConnectionLost):
            opened.chat(BODY)
        with pytest.raises(ConnectionLost), opened.stream(BODY):
            pass
    assert len(seen) == 2
