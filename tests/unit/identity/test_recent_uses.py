"""A use is recorded once a minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from controlplane.identity.recent_uses import KEYS_REMEMBERED_MAX, RecentUses
from controlplane.kernel.ids import ApiKeyId

NOW = datetime(2026, 11, 21, tzinfo=UTC)


class TestRecentUses:
    def test_a_use_is_due_once_a_minute(self) -> None:
        uses, key = RecentUses(), ApiKeyId.new()
        assert uses.is_due(key, NOW)
        assert not uses.is_due(key, NOW + timedelta(seconds=59))
        assert uses.is_due(key, NOW + timedelta(seconds=60))

    def test_memory_is_bounded(self) -> None:
        uses, first = RecentUses(), ApiKeyId.new()
        assert uses.is_due(first, NOW)
        for _ in range(KEYS_REMEMBERED_MAX):
            uses.is_due(ApiKeyId.new(), NOW)
        assert uses.is_due(first, NOW)
