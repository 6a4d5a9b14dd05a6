"""A caller's address is the peer's, or what trusted proxies say: never what anybody can send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from controlplane.plumbing.address_rules import UNKNOWN, bucket_of, find_client, parse_networks
from controlplane.plumbing.settings import Settings

PROXIES = parse_networks("10.0.0.0/8, 2001:db8:f::/48")


@pytest.mark.case("X9")
@pytest.mark.parametrize(
    ("peer", "lines", "caller"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.1.1.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", ["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", ["1.2.3.4, 198.51.100.1, 10.2.2.2"], "198.51.100.1"),
        ("10.1.1.1", ["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", ["198.51.100.1, nonsense"], "10.1.1.1"),
        ("::ffff:10.1.1.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("2001:db8:f::1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::"),
        ("2001:db8:9::1", ["198.51.100.1"], "2001:db8:9::"),
        ("", ["198.51.100.1"], UNKNOWN),
    ],
)
def test_caller_behind_proxies(peer: str, lines: list[str], caller: str) -> None:
    assert bucket_of(find_client(peer, lines, PROXIES)) == caller


@pytest.mark.case("X9")
@given(st.lists(st.text(max_size=60), max_size=4), st.ip_addresses())
def test_nobody_chooses_the_own_address_by_a_header(lines: list[str], peer: object) -> None:
    assert find_client(str(peer), lines, ()) == find_client(str(peer), [], ())


def test_all_addresses_of_one_ipv6_subscriber_are_one_caller() -> None:
    assert len({bucket_of(find_client(f"2001:db8::{n:x}", [], ())) for n in range(50)}) == 1


@pytest.mark.parametrize("text", ["10.0.0.0/99", "proxy.example", "10.0.0.0/8;10.1.0.0/16"])
def test_a_setting_that_names_no_network_stops_the_program(text: str) -> None:
    with pytest.raises(ValidationError):
        Settings(trusted_proxies=text)
