"""The whole story, as `make demo` tells it: a stack of its own, every part real, nothing left running."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from controlplane.einvoicing.check_invoice import main as check_invoice
from controlplane.ledger.check_fec import main as check_fec

REPOSITORY = Path(__file__).resolve().parents[2]
ARTEFACTS = REPOSITORY / "build" / "demo"
# Ninety seconds is the goal on a quiet machine; this bound only ends a run that hangs.
SECONDS_MAX = 480


def programs_of(folder: Path) -> list[str]:
    """Processes that still work in or from the demo's folder."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(folder) in words or str(folder) in str(process.info["cwd"] or ""):
            found.append(f"{process.info['pid']}: {words[:200]}")
    return found


@pytest.mark.e2e
def test_the_demo_tells_its_whole_story_and_leaves_nothing_running() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REMPART_")}
    done = subprocess.run(
        [sys.executable, "-m", "infra.demo"],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    summary = json.loads((ARTEFACTS / "summary.json").read_text(encoding="utf-8"))
    assert [chapter["number"] for chapter in summary["chapters"]] == list(range(1, 11))
    assert summary["nodes_ready"] == 9
    assert summary["usage_first_call"]["usage_source"] == "engine"
    assert summary["gpu_intervals_open"] == 8
    assert summary["allocation_records"]["close"] >= 8
    for name in ("transcript.md", "placement-assistant.json", "placement-redaction.json"):
        assert (ARTEFACTS / name).stat().st_size > 0
    assert programs_of(ARTEFACTS) == []
    check_usage_and_budget(summary)
    check_invoices(summary)
    check_books(summary)
    check_other_doors(summary)


def check_usage_and_budget(summary: dict[str, Any]) -> None:
    """The engine's own counts are those of the usage export; each threshold of the budget was told once."""
    export = json.loads((ARTEFACTS / "usage-export.json").read_text(encoding="utf-8"))
    counted = summary["engine_counts"]
    assert summary["usage_engine"]["requests"] == len({each["request_id"] for each in counted}) >= 4
    assert summary["usage_engine"]["output_tokens"] == sum(each["output_tokens"] for each in counted) > 0
    seconds = sum(Decimal(each["quantity"]) for each in export["usages"] if each["meter"] == "gpu_seconds")
    assert seconds == Decimal(summary["usage_gpu_seconds"]["total"]) > 0
    assert {each["state"] for each in export["usage_details"]} == {"closed"}
    assert summary["budget_refusal"] == {"status": 429, "code": "insufficient_quota"}
    assert sorted(each["threshold_percent"] for each in summary["budget_alerts"]) == [50, 80, 100]


def check_invoices(summary: dict[str, Any]) -> None:
    """Each place has its VAT; every file is accepted again, here, and is what the archive named."""
    invoices = summary["invoices"]
    vat = {place: (each["vat"]["category"], each["vat"]["rate"]) for place, each in invoices.items()}
    assert vat == {
        "atelier": ("S", "20"),
        "germany": ("AE", "0"),
        "réunion": ("S", "8.5"),
        "credit note": ("S", "20"),
        "correction": ("S", "8.5"),
    }
    for each in invoices.values():
        net, tax, rate = (Decimal(text) for text in (each["net"], each["tax"], each["vat"]["rate"]))
        assert tax == (net * rate / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert Decimal(each["gross"]) == net + tax
    assert invoices["atelier"]["net"] == summary["cost_live"]
    assert invoices["credit note"]["corrects"] == invoices["atelier"]["number"]
    assert invoices["réunion"]["number"] in summary["correction_line"]["name"]
    assert "SIREN" in summary["consumer_refused"]
    assert {"PMT", "PMD", "AAB", "REG", "ABL"} <= set(summary["mentions"])
    names = {f"{each['number']}.{kind}" for each in invoices.values() for kind in ("pdf", "xml")}
    assert names == set(summary["archive_sha256"])
    for name, digest in summary["archive_sha256"].items():
        assert hashlib.sha256((ARTEFACTS / "invoices" / name).read_bytes()).hexdigest() == digest
    assert check_invoice([str(path) for path in sorted((ARTEFACTS / "invoices").iterdir())]) == 0


def check_books(summary: dict[str, Any]) -> None:
    assert sum(map(Decimal, summary["ledger"]["balances"].values())) == 0
    assert Decimal(summary["ledger"]["balances"]["706"]) < 0
    for name in summary["fec"]:
        assert check_fec([str(ARTEFACTS / "fec" / name)]) == 0


def check_other_doors(summary: dict[str, Any]) -> None:
    """Pictures are there when a browser was; without one the demo says so and the forms worked."""
    transcript = (ARTEFACTS / "transcript.md").read_text(encoding="utf-8")
    if summary["portal_browser"] is None:
        assert "THE BROWSER PART OF THIS CHAPTER DID NOT RUN" in transcript
    else:
        for name in ("overview", "service", "usage", "invoice", "second-service"):
            assert (ARTEFACTS / "portal" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert summary["portal_second_service"].startswith("svc_")
    assert summary["pulumi"]["up"]["create"] >= 2
    assert summary["pulumi"]["up_again_changes"] == 0
    assert summary["pulumi"]["destroy"]["delete"] >= 2
