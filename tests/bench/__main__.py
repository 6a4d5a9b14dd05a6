"""`python -m tests.bench [names…]`: run the benches one after the other, keep their figures, print a table.

Each bench is a process of its own that prints one JSON document; it is kept in build/bench/<name>.json together
with the machine's facts and its load from before. Nothing here fails because a figure is bad: people read figures.
Exit code 1 when a bench did not run to its end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench.common import OUT, REPOSITORY, keep, machine

BENCH_SECONDS_MAX = 1_800
# What is shown of a bench that failed.
TAIL_LINES = 15

Rows = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Bench:
    """`summarise` turns the printed document into (what, figure) lines of the table."""

    arguments: tuple[str, ...]
    about: str
    summarise: Callable[[Mapping[str, Any]], Rows]


def _api(result: Mapping[str, Any]) -> Rows:
    rows = []
    for kind in ("create_service", "read_service", "bare_fastapi_ceiling"):
        for each in result[kind]:
            latency = each["latency_ms"]
            rows.append(
                (
                    f"{kind}, {each['clients']} clients",
                    (
                        f"p50 {latency['p50']} ms, p99 {latency['p99']} ms, {each['calls_per_second']}/s,"
                        f" {each['server_cpu_ms_per_call']} ms CPU/call, {each['errors']} errors"
                    ),
                )
            )
    return rows


def _gateway(result: Mapping[str, Any]) -> Rows:
    rows = [
        (
            each["name"],
            (
                f"{each['cpu_us_per_call'] / 1000:.3f} ms CPU/call, p99 {each['p99_ms']} ms at"
                f" {each['paced_per_second']}/s, {each['calls_per_second']}/s flat out, {each['errors']} errors"
            ),
        )
        for each in result["results"]
    ]
    cpu = {each["name"]: each["cpu_us_per_call"] for each in result["results"]}
    ours = cpu["rempart, everything"]
    for name, used in cpu.items():
        if name.startswith(("nginx", "LiteLLM")) and used:
            rows.append((f"CPU of {name.split(',')[0]} / CPU of rempart", f"{used / ours:.2f}"))
    return rows


def _wake(result: Mapping[str, Any]) -> Rows:
    return [
        (
            f"demand to create call, {each['kind']}",
            (
                f"p50 {each['demand_to_create_call_ms']['p50']} ms, p99 {each['demand_to_create_call_ms']['p99']} ms"
                f" (goal {result['goal_p99_create_call_ms']} ms), {each['wakes']} wakes"
            ),
        )
        for each in result["results"]
    ]


def _claims(result: Mapping[str, Any]) -> Rows:
    return [
        (
            f"{result['claims']} simulated claims zero to Ready",
            (
                f"{result['wall_s']} s, {result['operator_cpu_ms_per_claim']} ms CPU and"
                f" {result['writes_per_claim']} writes a claim, {result['resync_writes']} writes when idle"
            ),
        )
    ]


def _placement(result: Mapping[str, Any]) -> Rows:
    return [
        (
            f"decision, {name}",
            f"{each['decisions_per_second']}/s, p50 {each['p50_us']} µs, p99 {each['p99_us']} µs",
        )
        for name, each in result.items()
        if isinstance(each, dict) and "decisions_per_second" in each
    ]


def _stack(result: Mapping[str, Any]) -> Rows:
    share = result["our_share_ms"]
    steps = ", ".join(
        f"{step.removesuffix('_ms')} {each['p50']}" for step, each in result["steps_ms"].items()
    )
    return [
        (
            f"our share of {result['cold_starts']} cold starts",
            f"p50 {share['p50']} ms, max {share['max']} ms",
        ),
        ("of the whole cold start", f"{result['our_share_percent_of_total']} %"),
        ("steps of a cold start, p50 in ms", steps),
        (
            "the stack at rest",
            f"{result['idle_rss_mib_total']} MiB RSS, {result['idle_cpu_percent_total']} % of one core",
        ),
    ]


def _demo(result: Mapping[str, Any]) -> Rows:
    source = "run now" if result["was_run"] else "from the last demo"
    return [("demo wall time", f"{result['wall_seconds']} s ({source})")]


def _metering(result: Mapping[str, Any]) -> Rows:
    rows = [
        (
            f"usage events, {name.replace('_', ' ')}",
            (
                f"{each['events_per_second']}/s, {each['bare_limit_ratio']} of COPY's rate in this run, CPU an event"
                f" {each['writer_cpu_us']} µs ours + {each['postgres_cpu_us']} µs PostgreSQL"
            ),
        )
        for name, each in result["figures"].items()
    ]
    visible = result["commit_to_visible"]["ms"]
    rows.append(("an event's commit to visible", f"p50 {visible['p50']} ms, p99 {visible['p99']} ms"))
    return rows


def _invoicing(result: Mapping[str, Any]) -> Rows:
    files = result["files"]
    return [
        (
            f"{result['tenants']} tenants × {result['lines_each']} lines, usage to issued invoice",
            (
                f"{result['seconds']} s, {result['invoices_per_second']}/s, CPU {result['own_cpu_ms_each']} ms ours +"
                f" {result['postgres_cpu_ms_each']} ms PostgreSQL each"
            ),
        ),
        (
            f"XML, validation and PDF of {files['files']} invoices",
            f"{files['xml_validated_and_pdf_per_second']}/s, {files['per_cpu_second']} a second of one core",
        ),
    ]


def _budget(result: Mapping[str, Any]) -> Rows:
    return [
        (
            f"budget check of one key lookup, {result['tenants_with_budgets']} tenants with budgets",
            f"{result['added_cpu_us_a_lookup']} µs CPU, {result['lookups']}",
        )
    ]


def _portal(result: Mapping[str, Any]) -> Rows:
    return [
        (
            f"page {each['path']}",
            (
                f"p50 {each['latency_ms']['p50']} ms, p95 {each['latency_ms']['p95']} ms"
                f" (goal {result['goal_p95_ms']} ms), CPU portal {each['cpu_ms_per_page']['portal']} ms,"
                f" API {each['cpu_ms_per_page']['api']} ms"
            ),
        )
        for each in result["results"]
    ]


BENCHES: Mapping[str, Bench] = {
    "placement": Bench(("tests.bench.bench_placement",), "pure decisions over 4,500 nodes", _placement),
    "api": Bench(("tests.bench.bench_api",), "REST beside bare FastAPI", _api),
    "metering": Bench(("tests.bench.bench_metering",), "usage events into the store", _metering),
    "invoicing": Bench(
        ("tests.bench.bench_invoicing",), "a month of 1,000 tenants becomes invoices", _invoicing
    ),
    "budget": Bench(("tests.bench.bench_budget",), "what the budget check adds to a call", _budget),
    "portal": Bench(("tests.bench.bench_portal",), "the portal's pages over a real API", _portal),
    "wake": Bench(("tests.bench.bench_wake",), "demand to pod, simulated nodes", _wake),
    "claims": Bench(("tests.bench.bench_claims",), "200 claims zero to Ready, simulated nodes", _claims),
    "gateway": Bench(
        ("tests.bench.bench_gateway", "--litellm"), "gateway beside nginx and LiteLLM", _gateway
    ),
    "stack": Bench(("tests.bench.bench_stack",), "cold starts of the real model, processes' weight", _stack),
    "demo": Bench(("tests.bench.bench_demo",), "the whole story", _demo),
}


class Unfinished(Exception):
    """A bench did not run to its end; the message holds its last words."""


def run(name: str, bench: Bench) -> Rows:
    """Run one bench and keep its document."""
    facts = machine()
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *bench.arguments],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=BENCH_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        raise Unfinished("\n".join(done.stdout.splitlines()[-TAIL_LINES:]) or f"exit code {done.returncode}")
    result = read_last_document(done.stdout)
    seconds = round(time.monotonic() - began, 1)
    keep(name, {"bench": name, "machine": facts, "seconds": seconds, "result": result})
    return bench.summarise(result)


def read_last_document(text: str) -> dict[str, Any]:
    """The last JSON object in what a bench printed; progress may stand before it. Unfinished when there is none."""
    decoder = json.JSONDecoder()
    position, found = 0, None
    while (start := text.find("{", position)) >= 0:
        try:
            document, position = decoder.raw_decode(text, start)
        except ValueError:
            position = start + 1
        else:
            found = document
    if not isinstance(found, dict):
        raise Unfinished("it printed no JSON document")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; none = all")
    names = parser.parse_args().names or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    table: list[tuple[str, Rows]] = []
    failed = []
    for name in names:
        print(f"{name}: {BENCHES[name].about} …", flush=True)
        try:
            table.append((name, run(name, BENCHES[name])))
        except (Unfinished, subprocess.TimeoutExpired) as err:
            failed.append(name)
            print(f"{name} did not finish: {err}", file=sys.stderr)
    print_table(table)
    print(f"\nFigures: {OUT.relative_to(REPOSITORY)}/<name>.json")
    return 1 if failed else 0


def print_table(table: list[tuple[str, Rows]]) -> None:
    width = max((len(what) for _, rows in table for what, _ in rows), default=0)
    for name, rows in table:
        print(f"\n{name}")
        for what, figure in rows:
            print(f"  {what:<{width}}  {figure}")


if __name__ == "__main__":
    sys.exit(main())
