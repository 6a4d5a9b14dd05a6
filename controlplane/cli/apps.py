"""`rempart apps`."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.find import find_app, project_or_none
from controlplane.cli.names import AppArgument, ProjectOption, WithinOption
from controlplane.cli.output import Format, OutputOption, YesOption, ask_first, show_done, show_list, show_one

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
COLUMNS = (("name", "name"), ("id", "id"), ("project", "project_id"), ("created", "created_at"))
NameArgument = Annotated[str, typer.Argument(help="Lower-case letters, digits and dashes.")]


@app.command("list")
def list_apps(project: WithinOption = None, output: OutputOption = Format.TABLE) -> None:
    """List your apps."""
    with connect() as client:
        show_list(client.apps.list(project_id=project_or_none(client, project)), COLUMNS, output)


@app.command()
def get(app_name: AppArgument, project: WithinOption = None, output: OutputOption = Format.TABLE) -> None:
    """Show an app."""
    with connect() as client:
        show_one(client.apps.get(find_app(client, app_name, project)), output)


@app.command()
def create(
    name: NameArgument,
    project: ProjectOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Create an app."""
    with connect() as client:
        body = {"name": name, "project_id": project_or_none(client, project)}
        show_one(client.apps.create(body), output)


@app.command()
def rename(
    app_name: AppArgument,
    name: NameArgument,
    project: WithinOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Give an app another name."""
    with connect() as client:
        show_one(client.apps.update(find_app(client, app_name, project), {"name": name}), output)


@app.command()
def delete(
    app_name: AppArgument,
    project: WithinOption = None,
    yes: YesOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Delete an app that has no services."""
    ask_first(f"Delete {app_name}.", yes)
    with connect() as client:
        app_id = find_app(client, app_name, project)
        client.apps.delete(app_id)
    show_done({"id": app_id, "is_deleted": True}, f"Deleted {app_id}.", output)
