"""`rempart services`, `deployments`, `instances`, `logs`, `events`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from controlplane.cli.apps import find_app, only_project
from controlplane.cli.config import connect
from controlplane.cli.output import Format, OutputOption, say, show_list, show_one
from controlplane.sdk import Rempart

app = typer.Typer(no_args_is_help=True)
deployments = typer.Typer(no_args_is_help=True)
instances = typer.Typer(no_args_is_help=True)

WAIT_SECONDS = 300
SERVICE_COLUMNS = (("name", "name"), ("status", "status"), ("id", "id"), ("version", "version"))
ServiceArgument = Annotated[str, typer.Argument(help="Id or name of the service.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until it is healthy or asleep.")]
TimeoutOption = Annotated[int, typer.Option("--timeout", help="Seconds to wait at most.", min=1, max=86_400)]


@app.command("list")
def list_services(output: OutputOption = Format.TABLE) -> None:
    """List your services."""
    with connect() as client:
        show_list(client.services.list(), SERVICE_COLUMNS, output)


@app.command()
def get(service: ServiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a service."""
    with connect() as client:
        show_one(client.services.get(find_service(client, service)), output)


@app.command()
def deploy(
    name: str,
    model: Annotated[str | None, typer.Option(help="Model of the catalogue.")] = None,
    app_name: Annotated[
        str, typer.Option("--app", help="App by name or id; made if it does not exist.")
    ] = "default",
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Definition as YAML or JSON; the options below change it."),
    ] = None,
    instance_type: Annotated[str | None, typer.Option(help="Instance type of the catalogue.")] = None,
    minimum: Annotated[
        int | None, typer.Option("--min", min=0, help="Replicas kept without requests.")
    ] = None,
    maximum: Annotated[int | None, typer.Option("--max", min=1, help="Replicas at most.")] = None,
    idle: Annotated[
        int | None, typer.Option(min=1, help="Seconds without a request before it sleeps.")
    ] = None,
    country: Annotated[list[str] | None, typer.Option(help="Allowed country; repeat for several.")] = None,
    deny_non_eu_control: Annotated[
        bool, typer.Option(help="Refuse sites controlled from outside the EU.")
    ] = False,
    licence: Annotated[
        list[str] | None, typer.Option(help="Allowed licence colour: green, yellow, blue.")
    ] = None,
    pue_below: Annotated[int | None, typer.Option(help="PUE must be below this, in thousandths.")] = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = WAIT_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Deploy a model, or a new version of a service of that name."""
    definition = _read_definition(file)
    definition["name"] = name
    definition.setdefault("type", "INFERENCE")
    if model is not None:
        definition["inference"] = {**definition.get("inference", {}), "model": model}
    if instance_type is not None:
        definition["instance_types"] = [{"type": instance_type}]
    _set_scaling(definition, minimum, maximum, idle)
    _set_sovereignty(definition, country, licence, pue_below, is_control_denied=deny_non_eu_control)
    with connect() as client:
        existing = next((s for s in client.services.list(name=name) if s["name"] == name), None)
        if existing is None:
            body = {"app_id": _ensure_app(client, app_name), "definition": definition}
            service = client.services.create(body)
        else:
            service = client.services.update(existing["id"], {"definition": definition}, method="PUT")
        if wait:
            service = _wait(client, service["id"], timeout)
        show_one(service, output)


@app.command()
def pause(service: ServiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Stop a service and keep its definition."""
    _act(service, "pause", output)


@app.command()
def resume(service: ServiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Start a paused service."""
    _act(service, "resume", output)


@app.command()
def redeploy(
    service: ServiceArgument,
    wait: WaitOption = False,
    timeout: TimeoutOption = WAIT_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Deploy the same definition again, as a new deployment."""
    with connect() as client:
        service_id = find_service(client, service)
        client.services.act(service_id, "redeploy", {})
        result = _wait(client, service_id, timeout) if wait else client.services.get(service_id)
        show_one(result, output)


@app.command()
def delete(service: ServiceArgument) -> None:
    """Delete a service and all that runs for it."""
    with connect() as client:
        client.services.delete(find_service(client, service))
    say("Deletion has begun.")


@app.command()
def explain(service: ServiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Say which datacenter was chosen, and why each other one was not."""
    with connect() as client:
        path = f"{client.services.path}/{find_service(client, service)}/explanation"
        explanation = client.request("GET", path).json()["explanation"]
    if output is not Format.TABLE:
        show_one(explanation, output)
        return
    say(explanation["summary"]["en"])
    for found in explanation["assessments"]:
        verdict = "chosen" if found["pool_id"] == explanation["chosen_pool_id"] else (
            "admissible" if found["is_admitted"] else "refused"
        )  # fmt: skip
        say(f"\n{found['pool_name']} in {found['datacenter']} ({found['country']}): {verdict}")
        for rejection in found["rejections"]:
            say(f"  - {rejection['text']['en']}")
            for step in rejection["why_path"]:
                say(f"      because {step['text']['en']}")


@app.command("cold-starts")
def cold_starts(service: ServiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Show where the time of each wake-up went, in milliseconds."""
    with connect() as client:
        path = f"{client.services.path}/{find_service(client, service)}/cold_starts"
        items = client.request("GET", path).json()["cold_starts"]
    phases = ("queue_ms", "place_ms", "schedule_ms", "start_ms", "load_ms", "first_token_ms", "total_ms")
    show_list(items, (("instance", "instance"), *((p.removesuffix("_ms"), p) for p in phases)), output)


@deployments.command("list")
def list_deployments(service: ServiceArgument, output: OutputOption = Format.TABLE) -> None:
    """List a service's deployments, newest first."""
    with connect() as client:
        items = client.deployments.list(service_id=find_service(client, service))
        show_list(items, (("id", "id"), ("status", "status"), ("created", "created_at")), output)


@instances.command("list")
def list_instances(
    service: Annotated[str | None, typer.Option(help="Only those of this service.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List replicas."""
    with connect() as client:
        service_id = None if service is None else find_service(client, service)
        columns = (
            ("id", "id"),
            ("status", "status"),
            ("datacenter", "datacenter"),
            ("replica", "replica_index"),
        )
        show_list(client.instances.list(service_id=service_id), columns, output)


def logs(
    service: ServiceArgument,
    tail: Annotated[
        int, typer.Option("--tail", "-n", min=1, max=2000, help="Last lines of each replica.")
    ] = 100,
    output: OutputOption = Format.TABLE,
) -> None:
    """Print what a service's replicas wrote."""
    with connect() as client:
        service_id = find_service(client, service)
        reply = client.request(
            "GET", "/v1/streams/logs/query", params={"service_id": service_id, "tail": tail}
        )
        lines = reply.json()["data"]
    if output is Format.TABLE:
        for line in lines:
            say(f"{line.get('instance', '')} {line.get('at') or ''} {line['msg']}")
    else:
        show_list(lines, (), output)


def events(service: ServiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Print what happened to a service and why, oldest first."""
    with connect() as client:
        items = list(client.service_events.list(service_id=find_service(client, service)))
    show_list(items[::-1], (("when", "when"), ("type", "type"), ("message", "message")), output)


def find_service(client: Rempart, name_or_id: str) -> str:
    """Resolve a service by id or by name."""
    if name_or_id.startswith("svc_"):
        return name_or_id
    matches = [str(s["id"]) for s in client.services.list(name=name_or_id) if s["name"] == name_or_id]
    if len(matches) != 1:
        raise typer.BadParameter(f"{len(matches)} services are called '{name_or_id}'; use the id")
    return matches[0]


def _act(service: str, verb: str, output: Format) -> None:
    with connect() as client:
        service_id = find_service(client, service)
        client.services.act(service_id, verb)
        show_one(client.services.get(service_id), output)


def _wait(client: Rempart, service_id: str, timeout: int) -> dict[str, Any]:
    return client.wait_for_service(
        service_id,
        timeout_seconds=timeout,
        on_change=lambda deployment: print(f"{deployment['id']}: {deployment['status']}", file=sys.stderr),
    )


def _ensure_app(client: Rempart, name: str) -> str:
    if not name.startswith("app_") and not any(item["name"] == name for item in client.apps.list()):
        return str(client.apps.create({"name": name, "project_id": only_project(client)})["id"])
    return find_app(client, name)


def _read_definition(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(loaded, dict):
        raise typer.BadParameter(f"{file} does not hold a definition")
    return loaded


def _set_scaling(
    definition: dict[str, Any], minimum: int | None, maximum: int | None, idle: int | None
) -> None:
    if minimum is None and maximum is None and idle is None:
        return
    scaling: dict[str, Any] = dict((definition.get("scalings") or [{}])[0])
    if minimum is not None:
        scaling["min"] = minimum
    if maximum is not None:
        scaling["max"] = maximum
    if idle is not None:
        kept = [t for t in scaling.get("targets", []) if "sleep_idle_delay" not in t]
        scaling["targets"] = [*kept, {"sleep_idle_delay": {"deep_sleep_value": idle}}]
    definition["scalings"] = [scaling]


def _set_sovereignty(
    definition: dict[str, Any],
    countries: list[str] | None,
    licences: list[str] | None,
    pue_below: int | None,
    *,
    is_control_denied: bool,
) -> None:
    block = dict(definition.get("sovereignty") or {})
    if countries:
        block["countries"] = countries
    if licences:
        block["licence_colours"] = licences
    if pue_below is not None:
        block["pue_below_milli"] = pue_below
    if is_control_denied:
        block["is_non_eu_control_denied"] = True
    if block:
        definition["sovereignty"] = block
