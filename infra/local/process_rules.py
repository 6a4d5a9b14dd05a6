"""Pure decisions of the supervisor: states, the order of starting and stopping, when to try again."""

from collections.abc import Iterable, Mapping
from enum import Enum


class State(Enum):
    """Where one supervised program stands."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    BACKING_OFF = "backing off"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Event(Enum):
    """What happens to one supervised program."""

    START = "start"
    SUCCEED = "succeed"
    FINISH = "finish"
    EXIT = "exit"
    GIVE_UP = "give up"
    STOP = "stop"
    GONE = "gone"


# Only a start can fail, while a person waits for it; what has been up is tried again for ever.
# FAILED is not the end: the person fixes the cause and asks for a restart, which is START.
TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.WAITING, Event.START): State.STARTING,
    (State.STARTING, Event.SUCCEED): State.READY,
    (State.STARTING, Event.FINISH): State.DONE,
    (State.STARTING, Event.EXIT): State.BACKING_OFF,
    (State.READY, Event.EXIT): State.BACKING_OFF,
    (State.BACKING_OFF, Event.START): State.STARTING,
    (State.BACKING_OFF, Event.GIVE_UP): State.FAILED,
    (State.FAILED, Event.START): State.STARTING,
    (State.WAITING, Event.STOP): State.STOPPED,
    (State.STARTING, Event.STOP): State.STOPPING,
    (State.READY, Event.STOP): State.STOPPING,
    (State.DONE, Event.STOP): State.STOPPED,
    (State.BACKING_OFF, Event.STOP): State.STOPPED,
    (State.FAILED, Event.STOP): State.STOPPED,
    (State.STOPPING, Event.GONE): State.STOPPED,
}

# What others may build on: a service that answers, or a one-shot that ended well.
FULFILLED = frozenset({State.READY, State.DONE})

BACKOFF_SECONDS_FIRST = 0.5
# Long enough that a program which cannot run costs nothing, short enough that nobody has to come.
BACKOFF_SECONDS_MAX = 30.0
# A program that has not come up after so many tries in a row fails the whole start: a person is waiting.
START_CRASHES_MAX = 4
# A program that stood this long has recovered: its next crash is a first one again.
STEADY_SECONDS = 60.0


class UnknownDependency(Exception):
    """A program needs something that is not part of the stack."""


class DependencyCycle(Exception):
    """Programs wait for each other in a circle."""


def decide_next(state: State, event: Event) -> State:
    """The state after `event`. Errors: KeyError for a step the table does not allow."""
    return TRANSITIONS[(state, event)]


def decide_pause(crashes: int, *, is_starting: bool) -> float | None:
    """Seconds to wait after the `crashes`-th crash in a row; None when the start of the stack has failed.

    What everybody needs comes back without a person: once the stack is up nothing is given up.
    """
    assert crashes >= 1
    if is_starting and crashes >= START_CRASHES_MAX:
        return None
    doublings = min(
        crashes - 1, 16
    )  # Past the ceiling in any case; a power of any number of crashes has no bound.
    return min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_FIRST * float(2**doublings))


def decide_order(needs: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Names so that each stands behind all it needs; among equals the given order is kept.

    Errors: UnknownDependency, DependencyCycle.
    """
    waiting = {name: set(wanted) for name, wanted in needs.items()}
    for name, wanted in waiting.items():
        if unknown := wanted - waiting.keys():
            raise UnknownDependency(f"{name} needs {', '.join(sorted(unknown))}, which is not in the stack")
    order: list[str] = []
    while waiting:
        free = [name for name, wanted in waiting.items() if wanted <= set(order)]
        if not free:
            raise DependencyCycle(f"these wait for each other: {', '.join(sorted(waiting))}")
        order += free
        for name in free:
            del waiting[name]
    return tuple(order)


def decide_selection(needs: Mapping[str, Iterable[str]], wanted: Iterable[str]) -> frozenset[str]:
    """The wanted names and everything they need, however far down. Errors: UnknownDependency."""
    chosen: set[str] = set()
    pending = list(wanted)
    while pending:
        name = pending.pop()
        if name not in needs:
            raise UnknownDependency(f"there is no {name}; there are {', '.join(sorted(needs))}")
        if name not in chosen:
            chosen.add(name)
            pending += needs[name]
    return frozenset(chosen)
