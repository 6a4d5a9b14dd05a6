"""What can go wrong between a caller and Rempart.

SdkError
├── ApiError            the server refused, with an RFC 9457 problem document
├── ConnectionLost      no answer after all retries
├── WaitTimedOut        a state did not come in time
└── DeploymentFailed    a state came that will not turn into the wanted one
"""

from __future__ import annotations

from typing import Any


class SdkError(Exception):
    """Base of all errors of this client."""


class ApiError(SdkError):
    """The server's refusal. `code` is stable, `message` is for people, `request_id` finds it in the logs."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code", "unknown"))
        self.message = str(problem.get("detail") or problem.get("message") or "The server gave no reason.")
        self.request_id = str(problem.get("request_id", ""))
        self.fields: list[dict[str, str]] = list(problem.get("errors") or [])
        details = "; ".join(f"{f.get('field')}: {f.get('message')}" for f in self.fields)
        super().__init__(f"{self.message} {details}".strip())


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
