"""A key's shape is told offline, and as the server tells it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controlplane.identity.domain import KeyKind
from controlplane.identity.key_rules import BASE62, RANDOM_BYTES, build_key, is_well_formed
from controlplane.sdk.key_shape import KeyShape, read_key

KEYS = st.builds(
    build_key,
    st.sampled_from(KeyKind),
    st.sampled_from(["live", "local"]),
    st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES),
)


@given(KEYS)
def test_every_key_that_the_server_makes_is_read(key: str) -> None:
    _, kind, environment, _, checksum = key.split("_")
    assert read_key(key) == KeyShape(kind, environment, checksum[-4:])


@given(KEYS, st.integers(min_value=14), st.sampled_from(BASE62))
def test_one_wrong_letter_is_found_as_the_server_finds_it(key: str, place: int, letter: str) -> None:
    at = place % len(key)
    changed = key[:at] + letter + key[at + 1 :]
    assert (read_key(changed) is not None) == is_well_formed(changed) == (changed == key)


@given(st.text())
def test_nothing_else_is_a_key(text: str) -> None:
    assert read_key(text) is None
