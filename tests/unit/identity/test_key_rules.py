"""The form of a key, checked against the data plane's own check as well."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway import key_rules as gateway_rules
from controlplane.identity import key_rules
from controlplane.identity.domain import KeyKind, Role, Scope
from controlplane.identity.key_rules import BASE62, build_key, encode_base62, hash_key, is_well_formed
from controlplane.kernel.errors import InvalidInput

KEYS = st.builds(
    build_key,
    st.sampled_from(KeyKind),
    st.sampled_from(["live", "local"]),
    st.binary(min_size=key_rules.RANDOM_BYTES, max_size=key_rules.RANDOM_BYTES),
)
NOW = datetime(2026, 11, 21, tzinfo=UTC)


class TestForm:
    def test_checksum_is_that_of_the_published_rule(self) -> None:
        import zlib

        body = "rmp_svc_live_" + "0" * 30
        number, digits = zlib.crc32(body.encode()), ""
        while number:
            digits, number = BASE62[number % 62] + digits, number // 62
        assert is_well_formed(f"{body}_{digits.rjust(6, '0')}")

    @given(key=KEYS)
    def test_a_made_key_is_well_formed_on_both_planes(self, key: str) -> None:
        assert is_well_formed(key)
        assert gateway_rules.is_well_formed(key)
        assert re.fullmatch(key_rules.KEY_PATTERN, key)

    @given(key=KEYS, position=st.integers(0, 60), character=st.sampled_from(BASE62 + "_-é"))
    def test_one_wrong_character_is_noticed_offline(self, key: str, position: int, character: str) -> None:
        position %= len(key)
        wrong = key[:position] + character + key[position + 1 :]
        assert is_well_formed(wrong) == (wrong == key)
        assert gateway_rules.is_well_formed(wrong) == (wrong == key)

    @given(text=st.text(max_size=80))
    def test_any_text_gets_an_answer_and_the_same_one_as_on_the_gateway(self, text: str) -> None:
        assert is_well_formed(text) == gateway_rules.is_well_formed(text) is False

    @given(key=KEYS)
    def test_both_planes_hash_alike(self, key: str) -> None:
        pepper = bytes(32)
        assert hash_key(pepper, key) == gateway_rules.hash_key(pepper, key)
        assert hash_key(b"\1" * 32, key) != hash_key(pepper, key)

    def test_base62_is_most_significant_first_and_padded(self) -> None:
        assert encode_base62(0, 6) == "000000"
        assert encode_base62(61, 2) == "0z"
        assert encode_base62(62, 2) == "10"
        assert encode_base62(36, 1) == "a"

    def test_too_little_randomness_is_refused(self) -> None:
        with pytest.raises(ValueError):
            build_key(KeyKind.SVC, "live", bytes(8))


class TestScopes:
    def test_a_role_that_may_call_models_gets_both_doors(self) -> None:
        assert key_rules.decide_scopes(Role.DEVELOPER, None) == frozenset(Scope)
        assert key_rules.decide_scopes(Role.VIEWER, None) == {Scope.MANAGE}

    def test_a_viewer_cannot_be_given_inference(self) -> None:
        with pytest.raises(InvalidInput, match="cannot call models"):
            key_rules.decide_scopes(Role.VIEWER, frozenset({Scope.INFERENCE}))

    def test_a_key_that_opens_nothing_is_refused(self) -> None:
        with pytest.raises(InvalidInput):
            key_rules.decide_scopes(Role.OWNER, frozenset())


class TestExpiry:
    @given(days=st.integers(1, 365))
    def test_a_key_ends_after_its_days(self, days: int) -> None:
        assert key_rules.decide_expiry(NOW, days) - NOW == timedelta(days=days)

    @pytest.mark.parametrize("days", [0, -1, 366])
    def test_no_key_lives_longer_than_a_year(self, days: int) -> None:
        with pytest.raises(InvalidInput):
            key_rules.decide_expiry(NOW, days)
