"""Comparing JSON documents, and the patch from one to the other. Pure."""

from collections.abc import Mapping
from typing import Any


def is_part_of(wanted: Any, actual: Any) -> bool:
    """Whether everything in `wanted` stands in `actual`; lists must be equal item by item."""
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(
            key in actual and is_part_of(value, actual[key]) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(actual, list)
            and len(wanted) == len(actual)
            and all(is_part_of(left, right) for left, right in zip(wanted, actual, strict=True))
        )
    return bool(wanted == actual)


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that makes `old` equal to `new`; lists are replaced whole."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key in old and isinstance(old[key], Mapping) and isinstance(value, Mapping):
            inner = merge_patch(old[key], value)
            if inner:
                patch[key] = inner
        elif key not in old or old[key] != value:
            patch[key] = value
    return patch
