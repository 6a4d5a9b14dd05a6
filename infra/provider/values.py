"""Values as the engine hands them over: whole numbers come as floats, and some are not known yet in a preview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi.output import Unknown
from pulumi.runtime.rpc import UNKNOWN

Props = dict[str, Any]
PROVIDER = "__provider"


def is_unknown(value: Any) -> bool:
    """Whether a value, or any part of it, is known only once something else exists."""
    if isinstance(value, Unknown) or (isinstance(value, str) and value == UNKNOWN):
        return True
    if isinstance(value, Mapping):
        return any(is_unknown(each) for each in value.values())
    return isinstance(value, list | tuple) and any(is_unknown(each) for each in value)


def to_whole(value: Any) -> Any:
    """The same value with whole numbers as integers: the engine's protocol knows floats only.

    `None` in a mapping is what was not said, so it is left out.
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): to_whole(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [to_whole(each) for each in value]
    return value


def clean(props: Mapping[str, Any]) -> Props:
    """Properties without the serialised provider, whole numbers as integers."""
    return {key: to_whole(each) for key, each in props.items() if key != PROVIDER and each is not None}


def pick(props: Mapping[str, Any], names: Sequence[str]) -> Props:
    """Those of the named properties that are there."""
    return {name: props[name] for name in names if props.get(name) is not None}
