"""What Envoy's script counted is read as it was written, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway.refusal_report_rules import parse_counts, write_network
from controlplane.plumbing.refusal_rules import RefusalKind

GOOD = "401 invalid_api_key /v1/models 192.0.2.1 - - 3 1764320000000 1764320001000"


def test_a_line_is_one_row() -> None:
    (row,) = parse_counts(GOOD + "\n")
    assert (row.refusal.kind, row.refusal.reason) == (RefusalKind.FAILED_AUTHENTICATION, "invalid_api_key")
    assert (row.refusal.address, row.refusal.key_id, row.refusal.tenant_id) == ("192.0.2.1", None, None)
    assert row.count == 3
    assert (row.last_at - row.first_at).total_seconds() == 1


@pytest.mark.parametrize(
    "line",
    ["", "x", GOOD + " more", GOOD.replace(" 3 ", " 0 "), GOOD.replace("401", "200"), GOOD.replace("- -", "-"),
     "401 a b c - - 1 5 4"],
)  # fmt: skip
def test_what_is_none_of_ours_is_left_out(line: str) -> None:
    assert [row.count for row in parse_counts(f"{line}\n{GOOD}\n")] == [3]


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert list(parse_counts(text)) == []


@pytest.mark.parametrize(
    ("network", "written"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1", "2001:db8:0:1::"),
        ("2001:db8:0:0", "2001:db8::"),
        ("others", "others"),
    ],
)
def test_networks_are_written_as_at_the_other_doors(network: str, written: str) -> None:
    assert write_network(network) == written
