"""`rempart projects`."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.config import connect
from controlplane.cli.find import find_project
from controlplane.cli.names import ProjectArgument
from controlplane.cli.output import Format, OutputOption, YesOption, ask_first, show_done, show_list, show_one

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
COLUMNS = (("name", "name"), ("id", "id"), ("default", "is_default"), ("created", "created_at"))


@app.command("list")
def list_projects(output: OutputOption = Format.TABLE) -> None:
    """List your projects."""
    with connect() as client:
        show_list(client.projects.list(), COLUMNS, output)


@app.command()
def get(project: ProjectArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a project."""
    with connect() as client:
        show_one(client.projects.get(find_project(client, project)), output)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name, unique in your organization.")],
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """Create a project."""
    with connect() as client:
        show_one(client.projects.create({"name": name, "description": description}), output)


@app.command()
def delete(project: ProjectArgument, yes: YesOption = False, output: OutputOption = Format.TABLE) -> None:
    """Delete an empty project, and the keys that are bound to it."""
    ask_first(f"Delete {project}.", yes)
    with connect() as client:
        project_id = find_project(client, project)
        client.projects.delete(project_id)
    show_done({"id": project_id, "is_deleted": True}, f"Deleted {project_id}.", output)
