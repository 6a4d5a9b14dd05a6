"""The port to whoever makes machines. The rules behind it stand, numbered, in CONTRACT.md.

ProviderError
├── NoCapacity    there is no machine now; ask again after `retry_after_s`
├── Transient     being made, or a passing fault; ask again after `retry_after_s`
├── Terminal      asking again is of no use; a person must look
└── Unsupported   this provider cannot do that at all
"""

from dataclasses import dataclass
from typing import Protocol

from operators.apis.v1alpha1 import ProviderKind
from operators.nodepool.domain import MachineOrder

TRANSIENT_RETRY_S = 2.0
NO_CAPACITY_RETRY_S = 5.0


class ProviderError(Exception):
    """A request was not fulfilled; the subclass says what to do about it."""


class NoCapacity(ProviderError):
    """No machine is free."""

    def __init__(self, message: str, retry_after_s: float = NO_CAPACITY_RETRY_S) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Transient(ProviderError):
    """Not now, soon perhaps."""

    def __init__(self, message: str, retry_after_s: float = TRANSIENT_RETRY_S) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Terminal(ProviderError):
    """Never for this order."""


class Unsupported(ProviderError):
    """Never for any order."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that was made for a claim."""

    claim_uid: str
    node_name: str
    provider_id: str


class Provider(Protocol):
    """Makes machines and takes them back. Every call may be repeated at any time."""

    kind: ProviderKind
    is_simulated: bool
    # Whether a machine is a host that outlives it, so that a bad one can come again.
    has_hosts: bool

    async def launch(self, order: MachineOrder, set_aside: frozenset[str]) -> Machine:
        """Make the machine, or find the one made before for this claim; never a new one on a host set aside.

        Shapes: `set_aside` are provider ids. Errors: NoCapacity, Transient, Terminal, Unsupported.
        """
        ...

    async def release(self, machine: Machine) -> bool:
        """Take the machine back; True once it is gone, False while that is under way.

        A machine that was never made, or is gone already, is True. Errors: Transient, Terminal.
        """
        ...

    async def list_machines(self) -> tuple[Machine, ...]:
        """Every machine that is held for some claim, also for claims that no longer exist."""
        ...
