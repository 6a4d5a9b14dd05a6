"""Why a page was not shown. Each becomes a readable page in `app`."""

from __future__ import annotations


class PortalError(Exception):
    """Base of what the portal itself refuses."""


class SignInNeeded(PortalError):
    """There is no session, or it ended. `reason` is a key of `labels.SIGN_IN_REASONS`, or empty."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class ForeignForm(PortalError):
    """A change that no form of this session asked for."""


class UnreadableForm(PortalError):
    """A form that is too large, or none at all."""


class WrongDoor(PortalError):
    """An operator's page with a tenant's key, or the other way round."""
