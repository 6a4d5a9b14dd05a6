"""`rempart apps`."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.output import Format, OutputOption, say, show_list, show_one
from controlplane.sdk import Rempart

app = typer.Typer(no_args_is_help=True)
COLUMNS = (("name", "name"), ("id", "id"), ("project", "project_id"), ("created", "created_at"))


@app.command("list")
def list_apps(output: OutputOption = Format.TABLE) -> None:
    """List your apps."""
    with connect() as client:
        show_list(client.apps.list(), COLUMNS, output)


@app.command()
def create(
    name: str,
    project: Annotated[str | None, typer.Option(help="Project id; needed only if you have several.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Create an app."""
    with connect() as client:
        show_one(client.apps.create({"name": name, "project_id": project or only_project(client)}), output)


@app.command()
def delete(app_id: str) -> None:
    """Delete an app that has no services."""
    with connect() as client:
        client.apps.delete(app_id)
    say("Deleted.")


def only_project(client: Rempart) -> str:
    """The caller's project when there is just one."""
    projects = list(client.projects.list())
    if len(projects) != 1:
        raise typer.BadParameter(f"you have {len(projects)} projects: name one with --project")
    return str(projects[0]["id"])


def find_app(client: Rempart, name_or_id: str) -> str:
    """Resolve an app by id or by name."""
    if name_or_id.startswith("app_"):
        return name_or_id
    for item in client.apps.list():
        if item["name"] == name_or_id:
            return str(item["id"])
    raise typer.BadParameter(f"there is no app '{name_or_id}'")
