"""An explanation reads as sentences in both languages."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from controlplane.cli.main import run
from controlplane.cli.story import Language, tell_explanation
from controlplane.sdk import Rempart


def text(word: str) -> dict[str, str]:
    return {"en": f"{word}-en", "fr": f"{word}-fr"}


EXPLANATION: dict[str, Any] = {
    "summary": text("summary"),
    "chosen_datacenter": "essonne-1",
    "assessments": [
        {
            "datacenter": "essonne-1", "country": "FR",
            "is_simulated": False, "is_admitted": True, "rejections": [],
        },
        {
            "datacenter": "borlange-1", "country": "SE",
            "is_simulated": True, "is_admitted": True, "rejections": [],
        },
        {
            "datacenter": "dublin-1", "country": "IE",
            "is_simulated": False, "is_admitted": False,
            "rejections": [{"text": text("control"), "why_path": [{"text": text("held")}]}],
        },
    ],
}  # fmt: skip


def test_english() -> None:
    assert tell_explanation(EXPLANATION, Language.EN) == [
        "summary-en",
        "",
        "essonne-1 (FR): chosen",
        "",
        "borlange-1 (SE) (simulated): admissible",
        "",
        "dublin-1 (IE): refused",
        "  - control-en",
        "      because held-en",
    ]


def test_french() -> None:
    lines = tell_explanation(EXPLANATION, Language.FR)
    assert lines[0] == "summary-fr"
    assert lines[2] == "essonne-1 (FR): retenu"
    assert lines[4] == "borlange-1 (SE) (simulé): admissible"
    assert lines[-3:] == ["dublin-1 (IE): refusé", "  - control-fr", "      parce que held-fr"]


def test_logs_are_one_line_each_with_the_replica_and_the_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.url)
        labels = {"instance_id": "ins_1", "service_id": "svc_1", "stream": "stdout"}
        lines = [
            {"created_at": None, "msg": "[loading] weights", "labels": labels},
            {"created_at": "2026-11-21T09:00:00Z", "msg": "ready", "labels": labels},
        ]
        return httpx.Response(200, json={"data": lines, "pagination": {"has_more": False}})

    door = Rempart("k", "http://api.test", transport=httpx.MockTransport(answer))
    monkeypatch.setattr("controlplane.cli.story.connect", lambda: door)
    assert run(["logs", "svc_1", "-n", "2"]) == 0
    assert capsys.readouterr().out == "ins_1 - [loading] weights\nins_1 2026-11-21T09:00:00Z ready\n"
    assert dict(sent[0].params) == {"service_id": "svc_1", "limit": "2"}
