"""The port to a plateforme agréée (AFNOR XP Z12-013, flow service), and its Null twin.

No connection to a platform exists yet: each is chosen by contract. The twin takes nothing and says so, and a document
handed to it is NOT_TRANSMITTED, never SUBMITTED.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Flow:
    """What XP Z12-013 wants with a file: syntax, profile, rule, type, and the file's checksum."""

    name: str
    content: bytes
    sha256: str
    flow_syntax: str
    flow_profile: str
    processing_rule: str
    flow_type: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The platform's answer (202): its id for the flow; `is_transmitted` False: nothing was sent anywhere."""

    flow_id: str | None
    is_transmitted: bool
    is_simulated: bool
    message: str


class Platform(Protocol):
    def submit(self, flow: Flow) -> Acknowledgement:
        """Hand over a file; raises Unavailable when the platform does not take it now."""
        ...


class NullPlatform:
    """The twin for installations that are connected to no platform."""

    def submit(self, flow: Flow) -> Acknowledgement:
        return Acknowledgement(
            flow_id=None,
            is_transmitted=False,
            is_simulated=True,
            message=f"null platform: {flow.name} was not transmitted, no plateforme agréée is connected",
        )
