"""`rempart services`: deploying and steering; `story` tells what became of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from controlplane.cli.completion import APPS, DEPLOYMENTS, INSTANCE_TYPES, MODELS, SERVICES, offer
from controlplane.cli.config import connect
from controlplane.cli.costs import split_pair
from controlplane.cli.definition import Wish, build_definition, read_definition
from controlplane.cli.errors import WrongUse
from controlplane.cli.find import find_app, find_service, project_or_none
from controlplane.cli.names import ProjectOption, ServiceArgument, WithinOption
from controlplane.cli.organization import read_country
from controlplane.cli.output import (
    Format,
    OutputOption,
    YesOption,
    ask_first,
    progress,
    show_done,
    show_list,
    show_one,
)
from controlplane.sdk import NotFound, Rempart, WaitTimedOut
from controlplane.sdk.client import POLL_SECONDS

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

WAIT_SECONDS = 300
PAUSED = frozenset({"PAUSED"})
SERVING = frozenset({"HEALTHY", "SLEEPING", "DEGRADED", "PAUSED"})
DELETED = frozenset({"DELETED"})
COLUMNS = (
    ("name", "name"), ("status", "status"), ("id", "id"), ("version", "version"), ("project", "project_id"),
)  # fmt: skip
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Wait until it is healthy or asleep: exit code 5 or 6 if it is not.")
]
StateWaitOption = Annotated[
    bool, typer.Option("--wait", help="Wait until it is done: exit code 5 if it is not.")
]
TimeoutOption = Annotated[int, typer.Option("--timeout", help="Seconds to wait at most.", min=0, max=86_400)]
EnvOption = Annotated[
    list[str] | None, typer.Option(help="Environment variable NAME=VALUE; repeat for several.")
]
SecretOption = Annotated[
    list[str] | None, typer.Option(help="Variable from a stored secret, NAME=SECRET; repeat for several.")
]
CertificationOption = Annotated[
    list[str] | None,
    typer.Option(help="Certificate that a site must hold, such as SECNUMCLOUD; repeat for several."),
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the definition that would be deployed, and deploy nothing."),
]
NameArgument = Annotated[
    str,
    typer.Argument(
        help="Name of the service: lower-case letters, digits and dashes.", autocompletion=offer(SERVICES)
    ),
]
AppOption = Annotated[
    str,
    typer.Option("--app", help="App by name or id; made if it does not exist.", autocompletion=offer(APPS)),
]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", exists=True, dir_okay=False, readable=True,
        help="Definition as YAML or JSON; the other options change it.",
    ),
]  # fmt: skip


@app.command("list")
def list_services(
    app_name: Annotated[
        str | None, typer.Option("--app", help="Only those of this app.", autocompletion=offer(APPS))
    ] = None,
    project: WithinOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List your services."""
    with connect() as client:
        app_id = None if app_name is None else find_app(client, app_name, project)
        show_list(
            client.services.list(app_id=app_id, project_id=project_or_none(client, project)), COLUMNS, output
        )


@app.command()
def get(service: ServiceArgument, project: WithinOption = None, output: OutputOption = Format.TABLE) -> None:
    """Show a service."""
    with connect() as client:
        show_one(client.services.get(find_service(client, service, project)), output)


@app.command()
def deploy(
    name: NameArgument,
    model: Annotated[
        str | None, typer.Option(help="Model of the catalogue.", autocompletion=offer(MODELS))
    ] = None,
    app_name: AppOption = "default",
    file: FileOption = None,
    instance_type: Annotated[
        str | None,
        typer.Option(help="Size of a replica; else the model's own.", autocompletion=offer(INSTANCE_TYPES)),
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
    env: EnvOption = None,
    secret: SecretOption = None,
    certification: CertificationOption = None,
    project: ProjectOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = WAIT_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Deploy a model, or a whole new definition of the service of that name."""
    wish = Wish(
        name, model, instance_type, minimum, maximum, idle,
        tuple(str(read_country(each)) for each in country or ()), tuple(licence or ()), pue_below,
        is_non_eu_control_denied=deny_non_eu_control, is_simulated_allowed=allow_simulated,
        env=tuple(split_pair(each) for each in env or ()), secrets=tuple(split_pair(each) for each in secret or ()),
        certifications=tuple(certification or ()),
    )  # fmt: skip
    definition = build_definition(read_definition(file), wish)
    if dry_run:
        show_one(definition, output, name="name")
        return
    with connect() as client:
        project_id = project_or_none(client, project)
        existing = _find_existing(client, name, project_id)
        if existing is None:
            body = {"app_id": _ensure_app(client, app_name, project_id), "definition": definition}
            service = client.services.create(body)
        else:
            service = client.services.replace(existing["id"], {"definition": definition})
        _finish(client, service, output, timeout if wait else None)


@app.command()
def pause(
    service: ServiceArgument,
    project: WithinOption = None,
    wait: StateWaitOption = False,
    timeout: TimeoutOption = WAIT_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Stop a service, give its capacity back and keep its definition."""
    with connect() as client:
        paused = client.services.pause(find_service(client, service, project))
        show_one(_settle(client, paused, PAUSED, timeout if wait else None), output)


@app.command()
def resume(
    service: ServiceArgument,
    project: WithinOption = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = WAIT_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Look for a place again for a paused service."""
    with connect() as client:
        resumed = client.services.resume(find_service(client, service, project))
        _finish(client, resumed, output, timeout if wait else None)


@app.command()
def redeploy(
    service: ServiceArgument,
    project: WithinOption = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = WAIT_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Deploy the same definition again, with the present values of its secrets."""
    with connect() as client:
        service_id = find_service(client, service, project)
        deployment = client.services.redeploy(service_id)
        service_now = client.services.get(service_id)
        _finish(client, service_now, output, timeout if wait else None, deployment["id"])


@app.command()
def rollback(
    service: ServiceArgument,
    project: WithinOption = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="Id of a deployment that was ready once; the one before if absent.",
            autocompletion=offer(DEPLOYMENTS),
        ),
    ] = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = WAIT_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Go back to an earlier version; what does not serve yet is given up."""
    with connect() as client:
        service_now = client.services.roll_back(find_service(client, service, project), to)
        _finish(client, service_now, output, timeout if wait else None, service_now["latest_deployment_id"])


@app.command()
def scale(
    service: ServiceArgument,
    minimum: Annotated[int, typer.Option("--min", min=0, help="Replicas kept without requests.")],
    maximum: Annotated[int, typer.Option("--max", min=1, help="Replicas at most.")],
    project: WithinOption = None,
    wait: StateWaitOption = False,
    timeout: TimeoutOption = WAIT_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Change the scaling limits, until the next definition."""
    with connect() as client:
        scaled = client.services.scale(find_service(client, service, project), minimum, maximum)
        show_one(_settle(client, scaled, SERVING, timeout if wait else None), output)


@app.command()
def delete(
    service: ServiceArgument,
    project: WithinOption = None,
    yes: YesOption = False,
    wait: StateWaitOption = False,
    timeout: TimeoutOption = WAIT_SECONDS,
    output: OutputOption = Format.TABLE,
) -> None:
    """Delete a service and all that runs for it."""
    ask_first(f"Delete {service} and all that runs for it.", yes)
    with connect() as client:
        deleted = client.services.delete(find_service(client, service, project))
        sentence = f"Deletion of {deleted['id']} has begun."
        if wait:
            deleted = _settle(client, deleted, DELETED, timeout)
            sentence = f"Deleted {deleted['id']}."
    show_done(deleted, sentence, output)


def _settle(
    client: Rempart, service: dict[str, Any], wanted: frozenset[str], wait_seconds: int | None
) -> dict[str, Any]:
    """Return the service as it is, or as it is once it has one of these statuses; WaitTimedOut otherwise."""
    if wait_seconds is None:
        return service
    deadline = time.monotonic() + wait_seconds
    with progress(f"waiting for {service['name']}") as tell:
        while service["status"] not in wanted:
            tell(f"{service['id']} is {service['status']}")
            if time.monotonic() >= deadline:
                raise WaitTimedOut(f"after {wait_seconds} s the service is still {service['status']}")
            time.sleep(min(POLL_SECONDS, max(deadline - time.monotonic(), 0)))
            try:
                service = client.services.get(service["id"])
            except NotFound:
                if wanted is DELETED:
                    return {**service, "status": "DELETED"}
                raise
    return service


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


def _find_existing(client: Rempart, name: str, project_id: str | None) -> dict[str, Any] | None:
    """The service of this name. Errors: WrongUse when several projects have one and none was named."""
    found = [each for each in client.services.list(name=name, project_id=project_id) if each["name"] == name]
    if len(found) > 1:
        raise WrongUse(f"{len(found)} projects have a service called '{name}': name one with --project.")
    return found[0] if found else None


def _ensure_app(client: Rempart, name: str, project_id: str | None) -> str:
    if name.startswith("app_"):
        return name
    found = [each for each in client.apps.list(name=name, project_id=project_id) if each["name"] == name]
    if len(found) > 1:
        raise WrongUse(f"{len(found)} projects have an app called '{name}': name one with --project.")
    made = {"name": name} if project_id is None else {"name": name, "project_id": project_id}
    return str((found[0] if found else client.apps.create(made))["id"])
