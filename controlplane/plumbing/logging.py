"""Structured logs: one JSON object a line, static event names, context bound once a request or task."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# Values under these names never reach a log, whatever a caller binds.
_SECRET_NAMES = frozenset(
    {
        "key",
        "api_key",
        "authorization",
        "password",
        "secret",
        "token",
        "value",
        "prompt",
        "completion",
        "messages",
    }
)


def redact(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace whatever is bound under a secret's name."""
    for name in event.keys() & _SECRET_NAMES:
        event[name] = "[redacted]"
    return event


def configure(process: str, level: str = "INFO") -> None:
    """Send structlog and the standard library's loggers to standard output as JSON lines."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    structlog.contextvars.bind_contextvars(process=process)
    # These narrate every request at INFO; our own lines carry what matters.
    for noisy in ("httpx", "uvicorn.access", "kubernetes", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
