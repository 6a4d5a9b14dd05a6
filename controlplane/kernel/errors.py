"""One error tree: each subclass fixes a stable `code`, an HTTP status and whether a retry can help.

The edge turns these into RFC 9457 problem documents; nothing below the edge knows HTTP beyond the number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One refused field: where (JSON pointer without the leading slash, dotted) and why, in a sentence."""

    field: str
    message: str
    code: str = "invalid"


class RempartError(Exception):
    """Base: `message` is a sentence for the caller; it never holds a secret or another tenant's data."""

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    is_retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, fields: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields


class InvalidInput(RempartError):
    code = "invalid_input"
    http_status = 422


class Unauthenticated(RempartError):
    """`reason` is for whoever counts failed authentications; a caller reads the message alone."""

    code = "unauthenticated"
    http_status = 401

    def __init__(self, message: str, *, reason: str = "unknown_key") -> None:
        super().__init__(message)
        self.reason = reason


class Forbidden(RempartError):
    code = "forbidden"
    http_status = 403


class Suspended(Forbidden):
    """The caller's organization is suspended: it may read, and change nothing."""

    code = "organization_suspended"


class NotFound(RempartError):
    """Also the answer for another tenant's resource: existence is not revealed."""

    code = "not_found"
    http_status = 404


class Conflict(RempartError):
    code = "conflict"
    http_status = 409


class PreconditionRequired(RempartError):
    """RFC 6585 §3: a change must say which version it changes."""

    code = "precondition_required"
    http_status = 428


class PreconditionFailed(RempartError):
    code = "precondition_failed"
    http_status = 412


class IdempotencyInFlight(RempartError):
    code = "idempotency_in_flight"
    http_status = 409
    is_retryable = True


class IdempotencyMismatch(RempartError):
    code = "idempotency_mismatch"
    http_status = 422


class QuotaExceeded(RempartError):
    code = "quota_exceeded"
    http_status = 409


class ApprovalNeeded(QuotaExceeded):
    """More than an organization may have before the operator has confirmed who it is."""

    code = "approval_needed"


class TooManyRequests(RempartError):
    """RFC 6585 §4: the caller has used up what it may ask for; `retry_after_seconds` says when to ask again."""

    code = "too_many_requests"
    http_status = 429
    is_retryable = True

    def __init__(self, message: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(RempartError):
    code = "unavailable"
    http_status = 503
    is_retryable = True


class IllegalTransition(Conflict):
    """A state machine has no such edge."""

    code = "illegal_transition"
