"""Pods as views for the tests of rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from operators.inference.views import PodView

T0 = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TEMPLATE = "aaaaaaaaaa"

_READY = PodView(
    name="chat-0-x",
    uid="uid-0",
    replica_index=0,
    attempt=0,
    failures=0,
    template_hash=TEMPLATE,
    phase="Running",
    node="node-1",
    address="10.0.0.1",
    port=8000,
    gpus=(),
    is_ready=True,
    is_terminating=False,
    created_at=T0,
    wanted_at=None,
    draining_since=None,
    scheduled_at=T0,
    started_at=T0,
    ready_at=T0,
    unready_since=None,
    failed_at=None,
    problem_reason="",
    problem_message="",
)


def ready(index: int = 0, attempt: int = 0, **changes: Any) -> PodView:
    name = f"chat-{index}-{attempt}"
    return replace(_READY, name=name, uid=f"uid-{name}", replica_index=index, attempt=attempt, **changes)


def loading(index: int = 0, attempt: int = 0, **changes: Any) -> PodView:
    changes = {"is_ready": False, "ready_at": None, "phase": "Pending", "address": None, **changes}
    return ready(index, attempt, **changes)


def failed(index: int = 0, attempt: int = 0, **changes: Any) -> PodView:
    changes = {
        "is_ready": False, "phase": "Failed", "failed_at": T0,
        "problem_reason": "Error", "problem_message": "exit code 1", **changes,
    }  # fmt: skip
    return ready(index, attempt, **changes)
