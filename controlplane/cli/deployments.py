"""`rempart deployments` and `rempart instances`: what services became."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.completion import SERVICES, offer
from controlplane.cli.config import connect
from controlplane.cli.find import find_service, project_or_none
from controlplane.cli.names import DeploymentArgument, InstanceArgument, ServiceArgument, WithinOption
from controlplane.cli.output import Format, OutputOption, show_list, show_one

deployments = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
instances = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

DEPLOYMENT_COLUMNS = (
    ("no", "version"),
    ("id", "id"),
    ("status", "status"),
    ("created", "created_at"),
)
REGION_COLUMNS = (
    ("datacenter", "datacenter"),
    ("country", "country"),
    ("status", "status"),
    ("route", "route"),
    ("ready", "replicas_ready"),
    ("id", "id"),
)
INSTANCE_COLUMNS = (
    ("id", "id"),
    ("status", "status"),
    ("datacenter", "datacenter"),
    ("node", "node"),
    ("replica", "replica_index"),
)


@deployments.command("list")
def list_deployments(
    service: ServiceArgument, project: WithinOption = None, output: OutputOption = Format.TABLE
) -> None:
    """List a service's deployments, newest first."""
    with connect() as client:
        found = client.deployments.list(service_id=find_service(client, service, project))
        show_list(found, DEPLOYMENT_COLUMNS, output)


@deployments.command("get")
def get_deployment(deployment: DeploymentArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a deployment."""
    with connect() as client:
        show_one(client.deployments.get(deployment), output)


@deployments.command("cancel")
def cancel_deployment(deployment: DeploymentArgument, output: OutputOption = Format.TABLE) -> None:
    """Give up a deployment that does not serve yet."""
    with connect() as client:
        show_one(client.deployments.cancel(deployment), output)


@deployments.command("regions")
def list_regions(
    service: ServiceArgument, project: WithinOption = None, output: OutputOption = Format.TABLE
) -> None:
    """List where a service runs or ran: its part in each datacenter, with the verdict."""
    with connect() as client:
        found = client.regional_deployments.list(service_id=find_service(client, service, project))
        show_list(found, REGION_COLUMNS, output)


@instances.command("list")
def list_instances(
    service: Annotated[
        str | None,
        typer.Option(help="Only those of this service, by id or name.", autocompletion=offer(SERVICES)),
    ] = None,
    project: WithinOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List replicas."""
    with connect() as client:
        service_id = None if service is None else find_service(client, service, project)
        found = client.instances.list(service_id=service_id)
        if project is not None and service is None:
            # A replica names its app, and an app stands in one project.
            apps = {app["id"] for app in client.apps.list(project_id=project_or_none(client, project))}
            found = (replica for replica in found if replica["app_id"] in apps)
        show_list(found, INSTANCE_COLUMNS, output)


@instances.command("get")
def get_instance(instance: InstanceArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a replica."""
    with connect() as client:
        show_one(client.instances.get(instance), output)
