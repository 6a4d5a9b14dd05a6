"""What may be stated: shares within 100 % at every instant, identifiers with their check digits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.sovereignty.share_rules import find_share_overflow, is_valid_lei
from tests.unit.sovereignty.facts import NOW, Register


class TestFindShareOverflow:
    def register(self) -> Register:
        register = Register()
        register.company("target", "FR")
        register.people("a")
        register.people("b")
        return register

    def test_shares_of_one_instant_stay_within_the_whole(self) -> None:
        register = self.register()
        first = register.hold("a", "target", 6_000)
        assert find_share_overflow([first], register.hold("b", "target", 4_000)) is None
        assert find_share_overflow([first], register.hold("b", "target", 4_001)) == ("capital", 10_001)
        assert find_share_overflow([first], register.hold("b", "target", 0, 4_001)) == ("votes", 10_001)

    def test_a_holding_that_ended_leaves_room(self) -> None:
        register = self.register()
        first = register.hold("a", "target", 10_000, valid_to=NOW)
        new = replace(register.hold("b", "target", 10_000), valid_from=NOW)
        assert find_share_overflow([first], new) is None
        assert find_share_overflow([first], replace(new, valid_from=NOW - timedelta(seconds=1))) is not None

    def test_a_holding_that_begins_later_is_counted(self) -> None:
        register = self.register()
        later = replace(register.hold("a", "target", 10_000), valid_from=NOW + timedelta(days=1))
        assert find_share_overflow([later], register.hold("b", "target", 1)) is not None


class TestIsValidLei:
    @pytest.mark.parametrize(
        ("text", "is_valid"),
        [
            ("5493001KJTIIGC8Y1R12", True),
            ("5493001KJTIIGC8Y1R13", False),
            ("5493001KJTIIGC8Y1R1", False),
            ("5493001kjtiigc8y1r12", False),
            ("", False),
        ],
    )
    def test_check_digits_are_verified(self, text: str, is_valid: bool) -> None:
        assert is_valid_lei(text) == is_valid
