"""The small pure parts: patches, buckets, leases, phases, settings, errors, paths."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.lib.bucket import TokenBucket
from operators.lib.clock import parse_time, wire_time, wire_time_micro
from operators.lib.errors import AlreadyExists, Conflict, Gone, Invalid, NotFound, Unavailable, error_for
from operators.lib.lease import LEASE_DURATION_S, may_take, taken_spec
from operators.lib.objects import INFERENCE_DEPLOYMENTS, NODES, PODS, ObjectKey
from operators.lib.patch_rules import is_part_of, merge_patch
from operators.lib.phases import PhaseLimits
from operators.lib.settings import InvalidSettings, read_settings

JSON = st.recursive(
    st.one_of(st.booleans(), st.integers(0, 3), st.text("ab", max_size=2)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
    ),
    max_leaves=10,
)
DOCUMENTS = st.dictionaries(st.sampled_from("xyz"), JSON, max_size=3)


def apply_merge_patch(old: Any, patch: Any) -> Any:
    """RFC 7386 as its own text writes it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply_merge_patch(result.get(key), value)
    return result


@given(DOCUMENTS, DOCUMENTS)
def test_a_merge_patch_makes_the_old_document_equal_to_the_new(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert apply_merge_patch(old, merge_patch(old, new)) == new
    assert merge_patch(new, new) == {}


@given(DOCUMENTS, DOCUMENTS)
def test_a_part_is_found_in_the_whole(part: dict[str, Any], rest: dict[str, Any]) -> None:
    assert is_part_of(part, {**rest, **part})
    assert not is_part_of({**part, "w": 1}, part)


@given(st.floats(0.5, 50), st.integers(1, 20), st.integers(1, 100))
def test_a_bucket_grants_its_burst_and_then_its_rate(rate: float, burst: int, extra: int) -> None:
    bucket = TokenBucket(rate, burst)
    waits = [bucket.reserve(0.0) for _ in range(burst + extra)]
    assert waits[:burst] == [0.0] * burst
    assert waits[-1] == pytest.approx(extra / rate)
    assert bucket.reserve(1e6) == 0.0


def test_a_lease_is_taken_when_free_ours_or_long_unchanged() -> None:
    other = {"holderIdentity": "other", "leaseDurationSeconds": LEASE_DURATION_S, "leaseTransitions": 4}
    assert may_take({}, "me", 0)
    assert may_take({**other, "holderIdentity": ""}, "me", 0)
    assert may_take({**other, "holderIdentity": "me"}, "me", 0)
    assert not may_take(other, "me", LEASE_DURATION_S)
    assert may_take(other, "me", LEASE_DURATION_S + 0.1)


def test_each_new_holder_raises_the_fencing_number() -> None:
    first = taken_spec({}, "a", "t1")
    renewed = taken_spec(first, "a", "t2")
    assert (renewed["acquireTime"], renewed["renewTime"], renewed["leaseTransitions"]) == ("t1", "t2", 0)
    assert taken_spec(renewed, "b", "t3")["leaseTransitions"] == 1


class Step(StrEnum):
    ONE = "One"
    TWO = "Two"


def test_a_phase_runs_out_of_time_and_an_unknown_beginning_is_now() -> None:
    limits = PhaseLimits({Step.ONE: 10.0})
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert limits.remaining_s(Step.ONE, start, start + timedelta(seconds=4)) == 6.0
    assert limits.remaining_s(Step.TWO, start, start) is None
    assert limits.remaining_s(Step.ONE, None, start) == 10.0
    assert limits.remaining_s(Step.ONE, start + timedelta(days=9), start) == 10.0


@given(st.floats(0.5, 50), st.integers(1, 20), st.lists(st.floats(0, 3), max_size=60))
def test_a_bucket_never_grants_more_than_its_rate_and_burst(
    rate: float, burst: int, steps: list[float]
) -> None:
    bucket, now, granted = TokenBucket(rate, burst), 0.0, 0
    for step in steps:
        now += step
        wait_s = bucket.try_take(now)
        granted += wait_s == 0
        assert wait_s >= 0
        assert bucket.is_empty or wait_s == 0
    assert granted <= burst + rate * now + 1e-6


def test_times_read_back() -> None:
    moment = datetime(2026, 11, 21, 20, 0, 1, 500_000, tzinfo=UTC)
    assert wire_time(moment) == "2026-11-21T20:00:01Z"
    assert parse_time(wire_time_micro(moment)) == moment


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, {"reason": "NotFound"}, NotFound),
        (409, {"reason": "AlreadyExists"}, AlreadyExists),
        (409, {"reason": "Conflict"}, Conflict),
        (410, {}, Gone),
        (500, {"reason": "Expired"}, Gone),
        (422, {"message": "no"}, Invalid),
        (503, "", Unavailable),
    ],
)
def test_each_answer_becomes_its_error(status: int, body: Any, kind: type[Exception]) -> None:
    assert type(error_for(status, body)) is kind


def test_paths_follow_group_scope_and_subresource() -> None:
    assert NODES.path(ObjectKey("", "n")) == "/api/v1/nodes/n"
    assert PODS.path(namespace="a") == "/api/v1/namespaces/a/pods"
    assert PODS.path() == "/api/v1/pods"
    key = ObjectKey("rmp-1", "idp")
    expected = "/apis/rempart.eu/v1alpha1/namespaces/rmp-1/inferencedeployments/idp/status"
    assert INFERENCE_DEPLOYMENTS.path(key, subresource="status") == expected


def test_settings_have_defaults_and_refuse_nonsense_by_name() -> None:
    settings = read_settings({})
    assert settings.environment == "production"
    assert settings.process_hosts_dir is None
    assert settings.is_leader_election_on
    for name, value in [
        ("REMPART_OPERATOR_QPS", "fast"),
        ("REMPART_OPERATOR_WORKERS", "0"),
        ("REMPART_ENVIRONMENT", "test"),
        ("REMPART_OPERATOR_LEADER_ELECTION", "yes"),
    ]:
        with pytest.raises(InvalidSettings, match=name):
            read_settings({name: value})
