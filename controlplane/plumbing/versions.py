"""Optimistic versions: who changes a resource says which version it saw (RFC 9110 §13.1.1)."""

from __future__ import annotations

from controlplane.kernel.errors import PreconditionFailed


def check_version(current: int, expected: int) -> None:
    """412 unless the caller changes the version that it saw."""
    if current != expected:
        raise PreconditionFailed(
            f"The resource has changed since you read it (version {current}, you sent {expected}); read it again."
        )
