"""Only an answer that settles every event moves a cursor."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.spool.answer_rules import Step, decide_next


def answer(*results: str) -> bytes:
    return orjson.dumps({"results": [{"id": "x", "result": r, "reason": f"{r}."} for r in results]})


class TestSettled:
    def test_accepted_and_duplicate_are_done_and_the_rest_is_set_aside(self) -> None:
        body = answer("accepted", "duplicate", "conflict", "rejected")
        decision = decide_next(200, body, 4)
        assert decision.step is Step.ADVANCE
        assert decision.refused == ((2, "conflict: conflict."), (3, "rejected: rejected."))

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"ok",
            b"[]",
            b"{}",
            b'{"results": 3}',
            b'{"results": [1, 2]}',
            b'{"results": "ab"}',
            answer(),
            answer("accepted"),
        ],
    )
    def test_an_answer_that_does_not_settle_each_event_settles_none(self, body: bytes) -> None:
        assert decide_next(200, body, 2).step is Step.WAIT

    @given(st.integers(100, 599).filter(lambda s: s not in {200, 400, 413, 422}), st.binary(max_size=20))
    def test_any_other_status_means_again_later(self, status: int, body: bytes) -> None:
        assert decide_next(status, body, 5).step is Step.WAIT

    @pytest.mark.parametrize("status", [400, 413, 422])
    def test_a_batch_that_is_refused_whole_is_halved_down_to_the_event_that_is_to_blame(
        self, status: int
    ) -> None:
        assert decide_next(status, b"", 8).step is Step.SPLIT
        alone = decide_next(status, b"", 1)
        assert (alone.step, len(alone.refused)) == (Step.ADVANCE, 1)

    def test_the_door_s_own_words_are_kept_with_what_is_set_aside(self) -> None:
        body = orjson.dumps({"detail": "Not this one."})
        assert decide_next(422, body, 1).refused == ((0, "answered 422: Not this one."),)
        for other in (b"<html>", b"[]", b'{"detail": 3}'):
            assert decide_next(422, other, 1).refused == ((0, "answered 422"),)
