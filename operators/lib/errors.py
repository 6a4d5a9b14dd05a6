"""What the API server can answer instead of the object asked for.

ApiError
├── NotFound          404: no such object (or no such kind)
├── AlreadyExists     409 on create: a child with a deterministic name is already there
├── Conflict          409 otherwise: the object changed since it was read, or another manager owns a field
├── Gone              410: the watch's resourceVersion is too old, list again
├── Invalid           422: a validation refused the object; `message` is the sentence of the rule
├── TooManyRequests   429: on eviction a disruption budget forbids it; `retry_after_s` when told
├── Forbidden         401, 403: the identity lacks the right
└── Unavailable       connection lost, timeout, 5xx after the bounded retries
"""

from typing import Any


class ApiError(Exception):
    """An answer that is not the object asked for."""

    def __init__(self, status: int, reason: str, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s


class NotFound(ApiError):
    """404."""


class AlreadyExists(ApiError):
    """409 on create."""


class Conflict(ApiError):
    """409 on change."""


class Gone(ApiError):
    """410."""


class Invalid(ApiError):
    """422."""


class TooManyRequests(ApiError):
    """429."""


class Forbidden(ApiError):
    """401 and 403."""


class Unavailable(ApiError):
    """No usable answer."""


def is_transient(err: ApiError) -> bool:
    """Whether looking again soon is the whole answer: the world moved on, or nobody is there to be told."""
    return isinstance(err, Conflict | NotFound) or err.status == 0


_BY_STATUS: dict[int, type[ApiError]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def error_for(status: int, body: Any, retry_after_s: float = 0.0) -> ApiError:
    """The typed error for a Status object (or whatever else came with `status`)."""
    reason, message = "", ""
    if isinstance(body, dict):
        reason, message = str(body.get("reason", "")), str(body.get("message", ""))
        if status == 429:
            message = _with_causes(message, body)
    if reason == "AlreadyExists":
        return AlreadyExists(status, reason, message)
    if reason == "Expired":
        return Gone(status, reason, message)
    kind = _BY_STATUS.get(status, Unavailable if status >= 500 else ApiError)
    return kind(status, reason, message or f"HTTP {status}", retry_after_s)


def _with_causes(message: str, body: dict[str, Any]) -> str:
    # A refused eviction names the budget and its figures only among its causes.
    details = body.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    texts = [
        str(cause["message"]) for cause in causes or [] if isinstance(cause, dict) and cause.get("message")
    ]
    return " ".join((message, *texts)) if texts else message
