"""What may be booked, on which day, and how a year opens."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kernel.ids import TenantId
from controlplane.ledger.domain import (
    Account,
    Balance,
    JournalCode,
    JournalEntryDraft,
    LedgerRefused,
    LineDraft,
    PostStatus,
)
from controlplane.ledger.entry_rules import (
    booking_day,
    check_draft,
    find_fault,
    fingerprint,
    letter_text,
    opening_lines,
)
from controlplane.ledger.fec_rules import amount_text, file_name

TODAY = date(2026, 11, 21)
TENANT = TenantId.new()
CHART = {
    code: Account(code, code, code in {"411", "4191"}, "PCG")
    for code in ("411", "4191", "512", "706", "654", "120")
}
AMOUNTS = st.integers(1, 10**12)


def draft(*lines: LineDraft, on: date = TODAY) -> JournalEntryDraft:
    return JournalEntryDraft("key", JournalCode.OD, on, "P-1", "label", lines)


class TestFindFault:
    @given(minor=AMOUNTS)
    def test_a_balanced_entry_has_none(self, minor: int) -> None:
        sale = draft(LineDraft("411", minor, 0, TENANT), LineDraft("706", 0, minor))
        assert find_fault(sale, CHART, TODAY) is None

    @given(debit=AMOUNTS, credit=AMOUNTS)
    def test_sides_that_differ_are_unbalanced(self, debit: int, credit: int) -> None:
        fault = find_fault(draft(LineDraft("512", debit, 0), LineDraft("706", 0, credit)), CHART, TODAY)
        assert (fault is PostStatus.UNBALANCED) == (debit != credit)

    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            ((LineDraft("411", 5, 0), LineDraft("706", 0, 5)), PostStatus.TENANT_MISSING),
            ((LineDraft("512", 5, 0, TENANT), LineDraft("706", 0, 5)), PostStatus.TENANT_NOT_ALLOWED),
            ((LineDraft("512", 5, 5), LineDraft("706", 0, 5)), PostStatus.NOT_ONE_SIDED),
            ((LineDraft("512", 10**16, 0), LineDraft("706", 0, 10**16)), PostStatus.NOT_ONE_SIDED),
        ],
    )
    def test_each_reason_has_its_name(self, lines: tuple[LineDraft, ...], expected: PostStatus) -> None:
        assert find_fault(draft(*lines), CHART, TODAY) is expected

    def test_nothing_is_dated_ahead(self) -> None:
        entry = draft(LineDraft("512", 5, 0), LineDraft("706", 0, 5), on=date(2026, 11, 22))
        with pytest.raises(LedgerRefused) as refused:
            check_draft(entry, CHART, TODAY)
        assert refused.value.status is PostStatus.DATED_AHEAD


def test_a_fingerprint_tells_every_field_apart() -> None:
    base = draft(LineDraft("512", 5, 0), LineDraft("706", 0, 5))
    others = [
        draft(LineDraft("512", 6, 0), LineDraft("706", 0, 6)),
        draft(LineDraft("706", 0, 5), LineDraft("512", 5, 0)),
        draft(LineDraft("411", 5, 0, TENANT), LineDraft("706", 0, 5)),
        JournalEntryDraft("key", JournalCode.BQ, TODAY, "P-1", "label", base.lines),
        JournalEntryDraft("key", JournalCode.OD, TODAY, "P-2", "label", base.lines),
    ]
    assert len({fingerprint(each) for each in (base, *others)}) == len(others) + 1


@pytest.mark.parametrize(
    ("day", "closed", "expected"),
    [
        (date(2026, 5, 3), set(), date(2026, 5, 3)),
        (date(2026, 5, 3), {2026}, date(2027, 1, 1)),
        (date(2026, 5, 3), {2026, 2027}, date(2028, 1, 1)),
        (date(2026, 5, 3), {2025}, date(2026, 5, 3)),
    ],
)
def test_a_late_document_goes_to_the_first_open_day(day: date, closed: set[int], expected: date) -> None:
    assert booking_day(day, closed) == expected


@given(
    st.lists(
        st.tuples(st.sampled_from(["411", "512", "706", "654"]), st.integers(-(10**9), 10**9)), max_size=12
    )
)
def test_an_opening_entry_balances_and_closes_no_class_6_or_7(sums: list[tuple[str, int]]) -> None:
    balances = [
        Balance(code, TENANT if code == "411" else None, "", minor) for code, minor in dict(sums).items()
    ]
    balances.append(Balance("4191", TENANT, "", -sum(balance.minor for balance in balances)))
    lines = opening_lines(balances)
    assert sum(line.debit_minor - line.credit_minor for line in lines) == 0
    assert not any(line.account[0] in "67" for line in lines)


def test_letters_and_texts() -> None:
    assert [letter_text(number) for number in (0, 1, 25, 26, 26**2, 26**3 - 1)] == [
        "AAA", "AAB", "AAZ", "ABA", "BAA", "ZZZ",
    ]  # fmt: skip
    assert [amount_text(minor) for minor in (0, 5, 120, 1234567)] == ["0,00", "0,05", "1,20", "12345,67"]
    assert file_name("732829320", date(2026, 12, 31)) == "732829320FEC20261231.txt"
