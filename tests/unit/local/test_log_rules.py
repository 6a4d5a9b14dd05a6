"""Reading times out of every kind of log line the stack writes, and merging by them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.log_rules import find_time, merge

LINES = [
    ("I1121 20:15:03.123456   77 server.go:1] up", "2026-11-21T20:15:03.123456"),
    ("2026-11-21 20:15:03.123 UTC [7] LOG:  ready", "2026-11-21T20:15:03.123000"),
    ('{"event": "started", "timestamp": "2026-11-21T20:15:03.5Z"}', "2026-11-21T20:15:03.500000"),
    ("77:M 21 Nov 2026 20:15:03.123 * Ready to accept connections", "2026-11-21T20:15:03.123000"),
    ("[2026-11-21 20:15:03,123: INFO/MainProcess] celery ready", "2026-11-21T20:15:03.123000"),
    ("Traceback (most recent call last):", None),
    ("99:M 21 Foo 2026 20:15:03.123 * x", None),
]


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_a_time_is_found_whoever_wrote_it(line: str, expected: str | None) -> None:
    assert find_time(line, 2026) == expected


def test_logs_merge_by_time_and_a_traceback_stays_together() -> None:
    api = ["2026-11-21 20:15:01 a1", "Traceback", "  File x", "2026-11-21 20:15:09 a2"]
    redis = ["7:M 21 Nov 2026 20:15:05.000 * r1"]
    assert [line for _, line in merge({"api": api, "redis": redis}, 2026)] == [*api[:3], *redis, api[3]]


@given(st.dictionaries(st.text(max_size=3), st.lists(st.text(max_size=30), max_size=5), max_size=4))
def test_no_line_is_lost_or_made_up(logs: dict[str, list[str]]) -> None:
    expected = sorted((name, line) for name, lines in logs.items() for line in lines)
    assert sorted(merge(logs, 2026)) == expected
