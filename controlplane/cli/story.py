"""What became of a service: `services explain`, `services cold-starts`, `logs`, `events`."""

from __future__ import annotations

import json
import time
from collections import Counter
from enum import StrEnum
from typing import Annotated, Any

import typer

from controlplane.cli.config import connect
from controlplane.cli.find import find_service
from controlplane.cli.names import ServiceArgument, WithinOption
from controlplane.cli.output import Format, OutputOption, say, show_list, show_one
from controlplane.cli.services import app

FOLLOW_SECONDS = 1.0
EVENTS_EACH = 50
STEPS = ("queue", "place", "schedule", "start", "load", "first_token", "total")


class Language(StrEnum):
    FR = "fr"
    EN = "en"


_WORDS = {
    Language.EN: {
        "chosen": "chosen", "admissible": "admissible", "refused": "refused",
        "because": "because", "simulated": "simulated",
    },
    Language.FR: {
        "chosen": "retenu", "admissible": "admissible", "refused": "refusé",
        "because": "parce que", "simulated": "simulé",
    },
}  # fmt: skip


@app.command()
def explain(
    service: ServiceArgument,
    project: WithinOption = None,
    lang: Annotated[Language, typer.Option(help="Language of the sentences: fr or en.")] = Language.EN,
    output: OutputOption = Format.TABLE,
) -> None:
    """Say which datacenter was chosen, and why each other one was not."""
    with connect() as client:
        reply = client.services.explanation(find_service(client, service, project))
    if output is Format.TABLE:
        for line in tell_explanation(reply["explanation"], lang):
            say(line)
    else:
        show_one(reply, output, name="explanation.chosen_datacenter")


def tell_explanation(explanation: dict[str, Any], lang: Language) -> list[str]:
    """Return the explanation as lines of text: the outcome, then each place with every reason against it."""
    words, lines = _WORDS[lang], [explanation["summary"][lang]]
    for found in explanation["assessments"]:
        outcome = "admissible" if found["is_admitted"] else "refused"
        if found["datacenter"] == explanation["chosen_datacenter"]:
            outcome = "chosen"
        note = f" ({words['simulated']})" if found["is_simulated"] else ""
        place = f"{found['datacenter']} ({found['country']}){note}"
        lines += ["", f"{place}: {words[outcome]}"]
        for rejection in found["rejections"]:
            lines.append(f"  - {rejection['text'][lang]}")
            lines += [f"      {words['because']} {step['text'][lang]}" for step in rejection["why_path"]]
    return lines


@app.command("cold-starts")
def cold_starts(
    service: ServiceArgument, project: WithinOption = None, output: OutputOption = Format.TABLE
) -> None:
    """Show where the time of each wake-up went, in milliseconds."""
    with connect() as client:
        starts = client.services.cold_starts(find_service(client, service, project))
    columns = (("instance", "instance"), *((step.replace("_", " "), f"{step}_ms") for step in STEPS))
    show_list(starts, columns, output, name="instance")


def logs(
    service: ServiceArgument,
    project: WithinOption = None,
    tail: Annotated[
        int, typer.Option("--tail", "-n", min=1, max=1000, help="Last lines of each replica.")
    ] = 100,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")
    ] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Print what a service's replicas wrote."""
    with connect() as client:
        service_id = find_service(client, service, project)
        shown: list[dict[str, Any]] = []
        while True:
            lines = client.services.logs(service_id, limit=tail)
            new = news(shown, lines)
            if output is Format.TABLE:
                for line in new:
                    say(f"{line['labels']['instance_id']} {line['created_at'] or '-'} {line['msg']}")
            elif follow:
                tell_rows(new, output, name="msg")
            else:
                show_list(lines, (), output, name="msg")
            if not follow:
                return
            shown = lines
            time.sleep(FOLLOW_SECONDS)


def events(
    service: ServiceArgument,
    project: WithinOption = None,
    kind: Annotated[
        list[str] | None, typer.Option("--type", help="Only this type; repeat for several.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new events until Ctrl-C.")
    ] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Print what happened to a service and why, oldest first."""
    with connect() as client:
        service_id = find_service(client, service, project)
        found = list(client.services.events(service_id, types=kind or None))[::-1]
        if not follow:
            show_list(found, (("when", "when"), ("type", "type"), ("message", "message")), output)
            return
        shown: list[dict[str, Any]] = []
        while True:
            new = news(shown, found)
            if output is Format.TABLE:
                for event in new:
                    say(f"{event['when']} {event['type']} {event['message']}")
            else:
                tell_rows(new, output, name="id")
            shown = found
            time.sleep(FOLLOW_SECONDS)
            page = client.service_events.page(limit=EVENTS_EACH, service_id=service_id, types=kind or None)
            found = [*found, *news(found, page.items[::-1])]


def news(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `now` has that `before` had not, in its order; equal rows count as often as they stand there."""
    left = Counter(json.dumps(each, sort_keys=True) for each in before)
    new = []
    for each in now:
        text = json.dumps(each, sort_keys=True)
        if left[text]:
            left[text] -= 1
        else:
            new.append(each)
    return new


def tell_rows(rows: list[dict[str, Any]], output: Format, *, name: str) -> None:
    """Rows of a list without an end: one JSON document a line (or a YAML document, or a name)."""
    for row in rows:
        say(json.dumps(row, ensure_ascii=False)) if output is Format.JSON else show_one(
            row, output, name=name
        )
