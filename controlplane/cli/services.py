"""`rempart services`: deploying and steering; `story` tells what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from controlplane.cli.config import connect
from controlplane.cli.definition import Wish, build_definition, read_definition
from controlplane.cli.find import find_app, find_service
from controlplane.cli.output import Format, OutputOption, progress, show_done, show_list, show_one
from controlplane.sdk import Rempart

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

WAIT_SECONDS = 300
COLUMNS = (("name", "name"), ("status", "status"), ("id", "id"), ("version", "version"))
ServiceArgument = Annotated[str, typer.Argument(help="Id or name of the service.")]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Wait until it is healthy or asleep: exit code 5 or 6 if it is not.")
]
TimeoutOption = Annotated[int, typer.Option("--timeout", help="Seconds to wait at most.", min=0, max=86_400)]
AppOption = Annotated[str, typer.Option("--app", help="App by name or id; made if it does not exist.")]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", exists=True, dir_okay=False, readable=True,
        help="Definition as YAML or JSON; the other options change it.",
    ),
]  # fmt: skip


@app.command("list")
def list_services(
    app_name: Annotated[str | None, typer.Option("--app", help="Only those of this app.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List your services."""
    with connect() as client:
        app_id = None if app_name is None else find_app(client, app_name)
        show_list(client.services.list(app_id=app_id), COLUMNS, output)


@app.command()
def get(service: ServiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a service."""
    with connect() as client:
        show_one(client.services.get(find_service(client, service)), output)


@app.command()
def deploy(
    name: Annotated[str, typer.Argument(help="Name of the service: lower-case letters, digits and dashes.")],
    model: Annotated[str | None, typer.Option(help="Model of the catalogue.")] = None,
    app_name: AppOption = "default",
    file: FileOption = None,
    instance_type: Annotated[
        str | None, typer.Option(help="Size of a replica; else the model's own.")
    ] = None,
    minimum: Annotated[
        int | None, typer.Option("--min", min=0, help="Replicas kept without requests.")
    ] = None,
    maximum: Annotated[int | None, typer.Option("--max", min=1, help="Replicas at most.")] = None,
    idle: Annotated[
        int | None, typer.Option(min=1, help="Seconds without a request before it sleeps.")
    ] = None,
    country: Annotated[list[str] | None, typer.Option(help="Allowed country; repeat for several.")] = None,
    deny_non_eu_control: Annotated[
        bool, typer.Option("--deny-non-eu-control", help="Refuse sites controlled from outside the EU.")
    ] = False,
    licence: Annotated[
        list[str] | None,
        typer.Option(help="Allowed licence colour: green, yellow, blue; repeat for several."),
    ] = None,
    pue_below: Annotated[int | None, typer.Option(help="PUE must be below this, in thousandths.")] = None,
    allow_simulated: Annotated[
        bool, typer.Option("--allow-simulated", help="Accept simulated capacity, which answers nothing.")
    ] = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = WAIT_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Deploy a model, or a whole new definition of the service of that name."""
    wish = Wish(
        name, model, instance_type, minimum, maximum, idle, tuple(country or ()), tuple(licence or ()),
        pue_below, is_non_eu_control_denied=deny_non_eu_control, is_simulated_allowed=allow_simulated,
    )  # fmt: skip
    definition = build_definition(read_definition(file), wish)
    with connect() as client:
        existing = next((found for found in client.services.list(name=name) if found["name"] == name), None)
        if existing is None:
            body = {"app_id": _ensure_app(client, app_name), "definition": definition}
            service = client.services.create(body)
        else:
            service = client.services.replace(existing["id"], {"definition": definition})
        _finish(client, service, output, timeout if wait else None)


@app.command()
def pause(service: ServiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Stop a service, give its capacity back and keep its definition."""
    with connect() as client:
        show_one(client.services.pause(find_service(client, service)), output)


@app.command()
def resume(
    service: ServiceArgument,
    wait: WaitOption = False,
    timeout: TimeoutOption = WAIT_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Look for a place again for a paused service."""
    with connect() as client:
        resumed = client.services.resume(find_service(client, service))
        _finish(client, resumed, output, timeout if wait else None)


@app.command()
def redeploy(
    service: ServiceArgument,
    wait: WaitOption = False,
    timeout: TimeoutOption = WAIT_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Deploy the same definition again, with the present values of its secrets."""
    with connect() as client:
        service_id = find_service(client, service)
        deployment = client.services.redeploy(service_id)
        service_now = client.services.get(service_id)
        _finish(client, service_now, output, timeout if wait else None, deployment["id"])


@app.command()
def rollback(
    service: ServiceArgument,
    to: Annotated[
        str | None,
        typer.Option("--to", help="Id of a deployment that was ready once; the one before if absent."),
    ] = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = WAIT_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Go back to an earlier version; what does not serve yet is given up."""
    with connect() as client:
        service_now = client.services.roll_back(find_service(client, service), to)
        _finish(client, service_now, output, timeout if wait else None, service_now["latest_deployment_id"])


@app.command()
def scale(
    service: ServiceArgument,
    minimum: Annotated[int, typer.Option("--min", min=0, help="Replicas kept without requests.")],
    maximum: Annotated[int, typer.Option("--max", min=1, help="Replicas at most.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Move between other bounds, until the next definition."""
    with connect() as client:
        show_one(client.services.scale(find_service(client, service), minimum, maximum), output)


@app.command()
def delete(service: ServiceArgument, output: OutputOption = Format.TABLE) -> None:
    """Delete a service and all that runs for it."""
    with connect() as client:
        deleted = client.services.delete(find_service(client, service))
    show_done(deleted, f"Deletion of {deleted['id']} has begun.", output)


def _finish(
    client: Rempart,
    service: dict[str, Any],
    output: Format,
    wait_seconds: int | None,
    deployment_id: str | None = None,
) -> None:
    """Show the service as it stands, or as it stands once it is up."""
    if wait_seconds is not None:
        with progress(f"waiting for {service['name']}") as tell:
            service = client.wait_for_service(
                service["id"],
                timeout_seconds=wait_seconds,
                deployment_id=deployment_id or service["latest_deployment_id"],
                on_change=lambda deployment: tell(f"{deployment['id']} is {deployment['status']}"),
            )
    show_one(service, output)


def _ensure_app(client: Rempart, name: str) -> str:
    if name.startswith("app_"):
        return name
    found = next((item for item in client.apps.list(name=name) if item["name"] == name), None)
    return str((found or client.apps.create({"name": name}))["id"])
