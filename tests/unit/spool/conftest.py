"""Where thousands of spools are made and broken."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.spool.settings import FAST


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: thousands of runs, each with dozens of fsyncs that a disk would make."""
    if FAST is None:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=FAST) as name:
        yield Path(name)
