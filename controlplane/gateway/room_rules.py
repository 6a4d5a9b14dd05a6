"""When calls are refused because what they use could not be recorded. Pure."""

from __future__ import annotations

from dataclasses import dataclass

INODES_LEAST = 32
INODES_ENOUGH = 48
"""Files that the gateway makes while calls run: a segment, two minutes' starts, drafts of cursors and snapshots."""


@dataclass(frozen=True, slots=True)
class Space:
    """What is free beside the held file; `inodes` is None where the file system counts none."""

    free_bytes: int
    inodes: int | None
    is_held: bool


@dataclass(frozen=True, slots=True)
class RoomDecision:
    """`is_going`: calls may pass. `is_released`, `is_taken`: the held space is given up, or taken again."""

    is_going: bool
    is_released: bool
    is_taken: bool


def decide_room(space: Space, reserve_bytes: int, *, is_going: bool) -> RoomDecision:
    """Decide with a distance between stopping and going on, so that a disk at the edge does not make calls flap."""
    half = reserve_bytes // 2
    # The held file is a part of the reserve.
    free = space.free_bytes + (half if space.is_held else 0)
    inodes = INODES_ENOUGH if space.inodes is None else space.inodes
    wanted = reserve_bytes if is_going else reserve_bytes + reserve_bytes // 4
    goes = free >= wanted and inodes >= (INODES_LEAST if is_going else INODES_ENOUGH)
    is_short = space.free_bytes < half // 4 or inodes < INODES_LEAST // 4
    return RoomDecision(
        is_going=goes,
        is_released=space.is_held and is_short and not goes,
        is_taken=goes and not space.is_held and space.free_bytes >= half,
    )
