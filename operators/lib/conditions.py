"""Conditions after the Kubernetes conventions, as pure rules over the wire shape.

Types are positive ("Ready", "Accepted") except those in NEGATIVE. A condition's time moves only when
its status flips, so that writing the same observation twice is no change, hence no write.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["True", "False", "Unknown"]

# The few conditions whose True is bad news.
NEGATIVE = frozenset({"Degraded"})
MESSAGE_LENGTH_MAX = 4096


@dataclass(frozen=True, slots=True)
class ConditionValue:
    """What an observer says now; times and generations are added by `set_condition`."""

    type: str
    status: Status
    reason: str
    message: str = ""


def find_condition(conditions: Iterable[Mapping[str, Any]], type_: str) -> Mapping[str, Any] | None:
    """The condition of this type, None if it was never set."""
    return next((condition for condition in conditions if condition["type"] == type_), None)


def is_condition_true(conditions: Iterable[Mapping[str, Any]], type_: str) -> bool:
    """Whether the condition exists and is True."""
    condition = find_condition(conditions, type_)
    return condition is not None and condition["status"] == "True"


def set_condition(
    conditions: Sequence[Mapping[str, Any]], value: ConditionValue, *, generation: int, now: str
) -> list[dict[str, Any]]:
    """`conditions` with `value` set, in the old order; a new type goes last.

    Shapes: `now` in wire form. The transition time is kept unless the status flips.
    """
    old = find_condition(conditions, value.type)
    changed_at = now if old is None or old["status"] != value.status else old["lastTransitionTime"]
    new = {
        "type": value.type,
        "status": value.status,
        "reason": value.reason,
        "message": value.message[:MESSAGE_LENGTH_MAX],
        "lastTransitionTime": changed_at,
        "observedGeneration": generation,
    }
    if old is None:
        return [*(dict(condition) for condition in conditions), new]
    return [new if condition["type"] == value.type else dict(condition) for condition in conditions]


def set_conditions(
    conditions: Sequence[Mapping[str, Any]], values: Iterable[ConditionValue], *, generation: int, now: str
) -> list[dict[str, Any]]:
    """`conditions` with every one of `values` set."""
    result = [dict(condition) for condition in conditions]
    for value in values:
        result = set_condition(result, value, generation=generation, now=now)
    return result


def _is_bad(condition: ConditionValue) -> bool:
    bad: Status = "True" if condition.type in NEGATIVE else "False"
    return condition.status == bad


def summarise(inputs: Sequence[ConditionValue], *, type_: str = "Ready") -> ConditionValue:
    """One verdict over named inputs: the first bad one decides, then the first unknown one.

    Shapes: at least one input; their order is their importance.
    """
    assert inputs
    for condition in inputs:
        if _is_bad(condition):
            return ConditionValue(type_, "False", condition.reason, condition.message)
    for condition in inputs:
        if condition.status == "Unknown":
            return ConditionValue(type_, "Unknown", condition.reason, condition.message)
    return ConditionValue(type_, "True", inputs[0].reason, inputs[0].message)
