"""The errors a caller sees, in OpenAI's shape. Pure.

Source: OpenAI's error object `{error: {message, type, code, param}}`; its official clients read `status`,
`error.code`, `Retry-After` and `x-should-retry`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from controlplane.kernel import bounds

INVALID_REQUEST = "invalid_request_error"
AUTHENTICATION = "authentication_error"
PERMISSION = "permission_error"
SERVER = "server_error"
RATE_LIMIT = "rate_limit_error"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused call. `retry_after_seconds` None means that trying again is no use."""

    status: int
    kind: str
    code: str
    message: str
    param: str | None = None
    retry_after_seconds: int | None = None

    @property
    def body(self) -> str:
        error = {"message": self.message, "type": self.kind, "code": self.code, "param": self.param}
        return json.dumps({"error": error}, ensure_ascii=True, separators=(",", ":"))

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with the answer, besides the content type."""
        if self.retry_after_seconds is not None:
            return {"retry-after": str(self.retry_after_seconds)}
        return {"x-should-retry": "false"} if self.status in {408, 409, 429} or self.status >= 500 else {}


MODEL_NOT_FOUND = Refusal(
    404,
    INVALID_REQUEST,
    "model_not_found",
    "The model does not exist in the project of this API key.",
    "model",
)
HOST_NOT_FOUND = Refusal(
    404, INVALID_REQUEST, "service_not_found", "No service of this project answers on this host."
)
SERVICE_PAUSED = Refusal(
    503, SERVER, "service_paused", "The service is paused; resume it to call it.", "model"
)
SERVICE_STOPPING = Refusal(503, SERVER, "service_stopping", "The service is being stopped.", "model")
SIMULATED_CAPACITY = Refusal(
    503,
    SERVER,
    "simulated_capacity",
    "The service runs on simulated capacity, which holds no model and cannot answer.",
    "model",
)
QUEUE_FULL = Refusal(
    503,
    SERVER,
    "queue_full",
    "The service is waking up and already holds as many calls as it may; try again shortly.",
    retry_after_seconds=2,
)
BODY_OVER_QUEUE = Refusal(
    503,
    SERVER,
    "queue_bytes_full",
    "The service is waking up and already holds as many bytes as it may; try again shortly.",
    retry_after_seconds=2,
)
TENANT_QUEUE_FULL = Refusal(
    429,
    RATE_LIMIT,
    "too_many_held_calls",
    "The gateway already holds as many calls, or bytes of calls, of this organization as it may while services wake.",
    retry_after_seconds=1,
)
GATEWAY_QUEUE_FULL = Refusal(
    503,
    SERVER,
    "gateway_queue_full",
    "The gateway already holds as many calls as it may while services wake; nothing was run.",
    retry_after_seconds=1,
)
WAKE_TIMEOUT = Refusal(
    503,
    SERVER,
    "wake_timeout",
    "The service did not wake up in the time it is given; try again shortly.",
    retry_after_seconds=5,
)
ENGINE_UNREACHABLE = Refusal(
    502,
    SERVER,
    "engine_unreachable",
    "The engine closed the connection before it answered.",
    retry_after_seconds=1,
)
FIRST_BYTE_TIMEOUT = Refusal(
    504, SERVER, "first_byte_timeout", "The engine did not begin to answer in the time it is given."
)
NOT_FROM_GATEWAY = Refusal(403, PERMISSION, "internal_door", "This door is for the gateway's own proxy.")


def not_admissible(reason: str) -> Refusal:
    """Refuse a route whose sovereignty verdict is no; `reason` is the verdict's own sentence."""
    text = "No admissible datacenter may answer this call under the service's sovereignty requirement."
    sentence = f"{text} {_cut(reason, bounds.REFUSAL_TEXT_BYTES)}".strip()
    return Refusal(403, PERMISSION, "jurisdiction_not_admissible", sentence, "model")


def _cut(text: str, bytes_max: int) -> str:
    """The longest beginning whose ASCII JSON has at most this many bytes: a character can take up to twelve."""
    left = bytes_max
    for index, character in enumerate(text):
        left -= len(json.dumps(character)) - 2
        if left < 0:
            return text[:index]
    return text
