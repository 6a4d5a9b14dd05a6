"""The audit chain's arithmetic, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.audit.chain_rules import find_break, hash_record
from controlplane.audit.domain import GENESIS_HASH, AuditRecord

START = datetime(2026, 11, 21, tzinfo=UTC)


def make_chain(actions: list[str]) -> list[AuditRecord]:
    records: list[AuditRecord] = []
    previous = GENESIS_HASH
    for number, action in enumerate(actions, start=1):
        at = START + timedelta(seconds=number)
        digest = hash_record("org_1", number, at, "key_1", action, "app_1", {"n": number}, previous)
        records.append(
            AuditRecord("org_1", number, at, "key_1", action, "app_1", {"n": number}, previous, digest)
        )
        previous = digest
    return records


class TestFindBreak:
    @given(st.lists(st.text(max_size=20), min_size=1, max_size=8))
    def test_an_untouched_chain_holds(self, actions: list[str]) -> None:
        chain = make_chain(actions)
        assert find_break(chain, expected_head=chain[-1].hash) is None

    @given(st.lists(st.text(max_size=5), min_size=1, max_size=8), st.data())
    def test_a_changed_record_is_named(self, actions: list[str], data: st.DataObject) -> None:
        chain = make_chain(actions)
        at = data.draw(st.integers(0, len(chain) - 1))
        chain[at] = replace(chain[at], actor="somebody else")
        broken = find_break(chain)
        assert broken is not None
        assert broken.sequence == at + 1

    def test_a_record_taken_out_is_noticed(self) -> None:
        chain = make_chain(["a", "b", "c"])
        broken = find_break([chain[0], chain[2]])
        assert broken is not None
        assert broken.sequence == 2

    def test_a_cut_end_is_noticed_with_the_head_kept_elsewhere(self) -> None:
        chain = make_chain(["a", "b", "c"])
        assert find_break(chain[:2]) is None
        assert find_break(chain[:2], expected_head=chain[2].hash) is not None
