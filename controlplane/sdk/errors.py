"""What can go wrong between a caller and Rempart.

SdkError
├── ApiError                 the server refused, with an RFC 9457 problem document
│   ├── Unauthenticated      401: the key is missing, wrong, expired or revoked
│   ├── Forbidden            403: the key's role does not allow it
│   ├── NotFound             404: no such thing for this key
│   ├── Conflict             409: the state does not allow it, or the name is taken
│   ├── VersionChanged       412: it has changed since it was read
│   └── InvalidRequest       422: `fields` names what is refused
├── ConnectionLost           no answer after all retries
├── WaitTimedOut             a state did not come in time
└── DeploymentFailed         a state came that will not turn into the wanted one
"""

from __future__ import annotations

from typing import Any


class SdkError(Exception):
    """Base of all errors of this client."""


class ApiError(SdkError):
    """The server's refusal. `code` is stable, `message` is for people, `request_id` finds it in the logs.

    `retry_after_seconds` is how long the server asks to wait; None when it does not ask.
    """

    def __init__(self, status: int, problem: dict[str, Any], retry_after_seconds: int | None = None) -> None:
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.code = str(problem.get("code", "unknown"))
        self.message = str(problem.get("detail") or problem.get("message") or "The server gave no reason.")
        self.request_id = str(problem.get("request_id", ""))
        self.fields: list[dict[str, str]] = list(problem.get("errors") or [])
        details = "; ".join(f"{f.get('field')}: {f.get('message')}" for f in self.fields)
        super().__init__(f"{self.message} {details}".strip())


class Unauthenticated(ApiError):
    """The key is missing, wrong, expired or revoked."""


class Forbidden(ApiError):
    """The key's role does not allow this."""


class NotFound(ApiError):
    """There is no such thing for this key; another organization's things look the same."""


class Conflict(ApiError):
    """The present state does not allow this, or the name is taken."""


class VersionChanged(ApiError):
    """It has changed since it was read: read it again and decide again."""


class InvalidRequest(ApiError):
    """The request is not understood; `fields` names each refused field."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: VersionChanged,
    422: InvalidRequest,
}


def error_of(status: int, problem: dict[str, Any], retry_after_seconds: int | None = None) -> ApiError:
    """Return the error that stands for a refusal."""
    return _BY_STATUS.get(status, ApiError)(status, problem, retry_after_seconds)


class ConnectionLost(SdkError):
    """The server could not be reached, or hung up, more often than is worth trying."""


class WaitTimedOut(SdkError):
    """What was waited for did not happen within the given time."""


class DeploymentFailed(SdkError):
    """A deployment ended in a state that more waiting does not change; `reasons` are its messages."""

    def __init__(self, status: str, reasons: list[str]) -> None:
        self.status = status
        self.reasons = reasons
        super().__init__(f"the deployment is {status}" + (f": {reasons[-1]}" if reasons else ""))
