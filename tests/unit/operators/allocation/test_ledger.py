"""The ledger on a disk that fails: the process stays, says so, and goes on by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controlplane.spool.segments import segment_path
from operators.allocation import reconcile
from operators.allocation.reconcile import SPOOL, AllocationLedger, run_ledger
from operators.lib.clock import SystemClock
from operators.lib.metrics import Metrics
from tests.fixtures.disk_faults import full, injected


def _is_open(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("rempart_operator_spool_open", {"spool": SPOOL})


@pytest.mark.case("X8")
async def test_a_disk_that_does_not_let_the_ledger_open_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "WAIT_SECONDS", 0.01)
    metrics = Metrics()
    ledger = AllocationLedger(tmp_path / "spool", SystemClock(), metrics)
    task = asyncio.create_task(run_ledger(ledger, lambda _: None))
    with injected(full(0, 10**9)) as faults:
        while len(faults.calls) < 20:
            await asyncio.sleep(0.01)
        assert not task.done()
        assert not ledger.is_open
    while not ledger.is_open:
        assert not task.done()
        await asyncio.sleep(0.01)
    assert _is_open(metrics) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert _is_open(metrics) == 0


@pytest.mark.case("X8")
@pytest.mark.parametrize(
    "line", [b"garbage\n", b'{"id": "x\0\n', b'{"type": "eu.rempart.gpu.allocation.v1"}\n', b"{}\n"]
)
def test_a_damaged_or_odd_line_does_not_keep_the_ledger_from_opening(line: bytes, tmp_path: Path) -> None:
    segment_path(tmp_path, 1).write_bytes(line)
    ledger = AllocationLedger(tmp_path, SystemClock())
    ledger.open()
    assert ledger.nodes() == []
    ledger.close()
