"""What names a cached build, and what is read out of Go's words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.build_rules import decide_key, describe_duration, find_go_version, is_package_line

BASE: dict[str, Any] = {
    "version": "v1.36.3",
    "packages": ["k8s.io/kubernetes/cmd/kubectl"],
    "ldflags": ["-s"],
    "files": [],
    "platform": "Linux-x86_64",
    "go_mod": b"module a\n",
    "go_sum": b"sum\n",
}


class TestKey:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("version", "v1.36.4"),
            ("packages", ["k8s.io/kubernetes/cmd/kube-scheduler"]),
            ("ldflags", ["-s", "-w"]),
            ("files", ["LICENSE"]),
            ("platform", "Linux-aarch64"),
            ("go_mod", b"module b\n"),
            ("go_sum", b"other\n"),
        ],
    )
    def test_build_key_changes_with_whatever_decides_the_result(self, field: str, value: object) -> None:
        assert decide_key(**(BASE | {field: value})) != decide_key(**BASE)

    def test_the_same_sources_have_the_same_key(self) -> None:
        assert decide_key(**BASE) == decide_key(**BASE)
        assert len(decide_key(**BASE)) == 16

    @given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1), max_size=4))
    def test_moving_a_part_between_lists_changes_the_key(self, parts: list[str]) -> None:
        first = decide_key(**(BASE | {"packages": parts, "ldflags": []}))
        second = decide_key(**(BASE | {"packages": [], "ldflags": parts}))
        assert (first == second) == (not parts)


class TestReading:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("go version go1.26.8 linux/amd64", (1, 26)),
            ("go version go1.27 linux/arm64", (1, 27)),
            ("go version devel +abc", None),
            ("", None),
        ],
    )
    def test_go_version_is_read(self, text: str, expected: tuple[int, int] | None) -> None:
        assert find_go_version(text) == expected

    @pytest.mark.parametrize(
        ("line", "is_package"),
        [
            ("k8s.io/apiserver/pkg/server\n", True),
            ("internal/abi", True),
            ("gopkg.in/natefinch/lumberjack.v2", True),
            ("go: downloading k8s.io/api v0.36.3", False),
            ("# k8s.io/kubernetes/cmd/kubectl", False),
            ("./main.go:3:5: undefined: x", False),
            ("", False),
        ],
    )
    def test_a_compiled_package_is_told_from_a_message(self, line: str, is_package: bool) -> None:
        assert is_package_line(line) is is_package

    def test_durations_are_words(self) -> None:
        assert describe_duration(4.24) == "4.2 s"
        assert describe_duration(185.4) == "3 min 05 s"
