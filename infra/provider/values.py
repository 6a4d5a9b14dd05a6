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
    """The same value with whole numbers as integers and the keys of mappings in order.

    The engine's protocol knows floats only, and its mappings come in another order in each process: a request that is
    sent again must be the same to the byte. `None` in a mapping is what was not said, so it is left out.
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): to_whole(value[key]) for key in sorted(value) if value[key] is not None}
    if isinstance(value, list | tuple):
        return [to_whole(each) for each in value]
    return value


def clean(props: Mapping[str, Any]) -> Props:
    """Properties without the serialised provider, whole numbers as integers."""
    return {key: to_whole(props[key]) for key in sorted(props) if key != PROVIDER and props[key] is not None}


def pick(props: Mapping[str, Any], names: Sequence[str]) -> Props:
    """Those of the named properties that are there."""
    return {name: props[name] for name in names if props.get(name) is not None}
