"""Options change what a file says, and leave the rest of it alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.cli.definition import Wish, build_definition, read_definition
from controlplane.cli.errors import WrongUse


def test_a_model_is_enough() -> None:
    assert build_definition({}, Wish("chat", model="m")) == {
        "type": "INFERENCE",
        "name": "chat",
        "inference": {"model": "m"},
    }


def test_without_a_model_it_says_where_one_can_be_named() -> None:
    with pytest.raises(WrongUse, match="--model"):
        build_definition({}, Wish("chat"))


def test_options_go_over_the_file_and_keep_what_they_do_not_name() -> None:
    read = {
        "name": "other",
        "inference": {"model": "a", "first_byte_timeout_s": 5},
        "scalings": [
            {
                "min": 1,
                "max": 4,
                "targets": [
                    {"sleep_idle_delay": {"deep_sleep_value": 9}},
                    {"concurrent_requests": {"value": 2}},
                ],
            }
        ],
        "sovereignty": {"countries": ["SE"], "attribution": "proportional"},
        "env": [{"key": "A", "value": "1"}],
    }
    wish = Wish("chat", "b", "cpu-2", 2, None, 60, ("FR",), ("green",), 1300, is_non_eu_control_denied=True)
    assert build_definition(read, wish) == {
        "type": "INFERENCE",
        "name": "chat",
        "inference": {"model": "b", "first_byte_timeout_s": 5},
        "instance_types": [{"type": "cpu-2"}],
        "scalings": [
            {
                "min": 2,
                "max": 4,
                "targets": [
                    {"concurrent_requests": {"value": 2}},
                    {"sleep_idle_delay": {"deep_sleep_value": 60}},
                ],
            }
        ],
        "sovereignty": {
            "countries": ["FR"],
            "attribution": "proportional",
            "licence_colours": ["green"],
            "pue_below_milli": 1300,
            "is_non_eu_control_denied": True,
        },
        "env": [{"key": "A", "value": "1"}],
    }
    assert read["inference"] == {"model": "a", "first_byte_timeout_s": 5}


def test_more_replicas_at_least_than_the_default_most_raises_the_most() -> None:
    assert build_definition({}, Wish("chat", "m", minimum=3))["scalings"] == [{"min": 3, "max": 3}]


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "a: [", "\x00"])
def test_a_file_that_holds_no_definition_is_wrong_use(text: str, tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(text)
    with pytest.raises(WrongUse):
        read_definition(file)


def test_json_is_read_as_well(tmp_path: Path) -> None:
    file = tmp_path / "service.json"
    file.write_text('{"inference": {"model": "m"}}')
    assert read_definition(file) == {"inference": {"model": "m"}}
