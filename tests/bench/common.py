"""What all measurements share: facts of the machine, quantiles, processes' CPU and memory, where figures are kept."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
OUT = REPOSITORY / "build" / "bench"


def machine() -> dict[str, Any]:
    """Taken before a measurement, so that the load is others' and not its own."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "load_average_before": [round(each, 2) for each in os.getloadavg()],
        "cpu": _cpu_model(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def quantiles(samples: Sequence[float]) -> dict[str, float]:
    """Nearest-rank p50 and p99, and the largest, in the samples' unit."""
    ordered = sorted(samples)
    assert ordered, "nothing was measured"
    return {
        "p50": round(ordered[(len(ordered) - 1) // 2], 2),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 2),
        "max": round(ordered[-1], 2),
    }


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads, as the kernel counted it."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def keep(name: str, document: dict[str, Any]) -> Path:
    """Write a measurement's figures to build/bench/<name>.json."""
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
