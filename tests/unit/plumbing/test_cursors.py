"""Page cursors: signed and bound to their list."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.errors import InvalidInput
from controlplane.kernel.keyring import Keyring
from controlplane.plumbing.cursors import Page, decode_cursor, encode_cursor

SECRET = Keyring.single(b"s" * 32)


class TestCursor:
    @given(st.uuids())
    def test_a_cursor_gives_its_place_back(self, after: uuid.UUID) -> None:
        assert decode_cursor(encode_cursor(after, "apps", SECRET), "apps", SECRET) == after

    @given(st.uuids())
    def test_a_cursor_of_another_list_is_refused(self, after: uuid.UUID) -> None:
        with pytest.raises(InvalidInput):
            decode_cursor(encode_cursor(after, "apps", SECRET), "services", SECRET)

    @given(st.text(max_size=60))
    def test_a_made_up_cursor_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            decode_cursor(text, "apps", SECRET)


class TestPage:
    @given(st.lists(st.uuids(), max_size=10), st.integers(1, 9))
    def test_a_page_says_where_the_next_one_starts(self, ids: list[uuid.UUID], limit: int) -> None:
        page = Page.of(ids[: limit + 1], limit, lambda item: item)
        assert len(page.items) <= limit
        assert (page.next_after is not None) == (len(ids) > limit)
