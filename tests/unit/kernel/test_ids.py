"""Typed ids: order, wire form, refusals."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.ids import AppId, TenantId, decode_suffix, encode_suffix, uuid7

UUIDS = st.uuids()


class TestSuffix:
    @given(UUIDS)
    def test_wire_form_gives_the_same_id_back(self, value: uuid.UUID) -> None:
        assert decode_suffix(encode_suffix(value)) == value

    @given(UUIDS, UUIDS)
    def test_wire_form_sorts_as_the_id_does(self, a: uuid.UUID, b: uuid.UUID) -> None:
        assert (a < b) == (encode_suffix(a) < encode_suffix(b))

    @given(st.text(max_size=40))
    def test_any_other_text_is_refused_or_canonical(self, text: str) -> None:
        try:
            value = decode_suffix(text)
        except ValueError:
            return
        assert encode_suffix(value) == text


class TestUuid7:
    @given(st.integers(0, (1 << 48) - 2))
    def test_a_later_millisecond_sorts_later(self, milliseconds: int) -> None:
        assert uuid7(milliseconds) < uuid7(milliseconds + 1)

    def test_version_and_variant_are_those_of_rfc_9562(self) -> None:
        made = uuid7()
        assert made.version == 7
        assert made.variant == uuid.RFC_4122


class TestId:
    def test_two_kinds_are_never_equal(self) -> None:
        value = uuid7()
        assert TenantId(value) != AppId(value)

    def test_another_kind_is_refused_with_the_expected_prefix(self) -> None:
        with pytest.raises(InvalidInput, match="starts with 'app_'"):
            AppId.parse(str(TenantId.new()))

    def test_parse_reads_what_str_wrote(self) -> None:
        made = AppId.new()
        assert AppId.parse(str(made)) == made
