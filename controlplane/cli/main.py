"""`rempart`: commands by noun. Exit codes: 0 done, 1 failed or refused, 2 wrong use, 3 not logged in,
4 not found, 5 a wait timed out, 6 a deployment failed, 7 the server cannot be reached."""

from __future__ import annotations

import json
import sys
from typing import Annotated, NoReturn

import click
import typer

from controlplane.cli import admin, apps, audit, keys, secrets, services
from controlplane.cli.config import NotLoggedIn, Profile, connect, forget_profile, load_profile, save_profile
from controlplane.cli.output import Format, OutputOption, say, show_one
from controlplane.sdk import ApiError, ConnectionLost, DeploymentFailed, Rempart, WaitTimedOut

EXIT_CODES: dict[type[Exception], int] = {
    NotLoggedIn: 3,
    WaitTimedOut: 5,
    DeploymentFailed: 6,
    ConnectionLost: 7,
}

app = typer.Typer(
    name="rempart",
    help="Deploy models where the law you chose applies. Every command takes -o json.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(apps.app, name="apps", help="Groups of services.")
app.add_typer(services.app, name="services", help="What you want to run.")
app.add_typer(services.deployments, name="deployments", help="Immutable versions of a service.")
app.add_typer(services.instances, name="instances", help="Replicas as they run.")
app.add_typer(secrets.app, name="secrets", help="Values that only your services see.")
app.add_typer(keys.app, name="keys", help="API keys of your organisation.")
app.add_typer(audit.app, name="audit", help="Who did what, and the proof that nothing was changed.")
app.add_typer(admin.app, name="admin", help="For the platform operator.")
app.command("logs")(services.logs)
app.command("events")(services.events)


@app.command()
def login(
    key: Annotated[str, typer.Option(prompt="API key", hide_input=True, help="A key that starts with rmp_.")],
    url: Annotated[str, typer.Option(help="Address of the REST door.")] = "http://127.0.0.1:8080",
) -> None:
    """Check a key and remember it for this user."""
    with Rempart(key, url) as client:
        client.request("GET", "/v1/organization")
    say(f"Logged in to {url}; the key is stored in {save_profile(Profile(url, key))}.")


@app.command()
def logout() -> None:
    """Forget the stored key."""
    say("The stored key is gone." if forget_profile() else "There was no stored key.")


@app.command()
def whoami(output: OutputOption = Format.TABLE) -> None:
    """Show the organisation that the key belongs to."""
    with connect() as client:
        organization = client.request("GET", "/v1/organization").json()["organization"]
    show_one({**organization, "api": load_profile().base_url}, output)


def main() -> NoReturn:
    """Run a command; errors go to standard error, as JSON when the output was asked as JSON."""
    try:
        code = app(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as err:
        err.show()
        sys.exit(err.exit_code)
    except ApiError as err:
        _report(err.message, err.code, err.request_id, err.fields)
        sys.exit(4 if err.status == 404 else 3 if err.status == 401 else 1)
    except tuple(EXIT_CODES) as err:
        _report(str(err), type(err).__name__, "", [])
        sys.exit(EXIT_CODES[type(err)])
    sys.exit(code if isinstance(code, int) else 0)


def _report(message: str, code: str, request_id: str, fields: list[dict[str, str]]) -> None:
    arguments = sys.argv[1:]
    if any(a in ("json", "-ojson", "--output=json") for a in arguments):
        problem = {"error": {"code": code, "message": message, "request_id": request_id, "fields": fields}}
        print(json.dumps(problem, ensure_ascii=False), file=sys.stderr)
        return
    print(f"Error: {message}", file=sys.stderr)
    for problem_field in fields:
        print(f"  {problem_field.get('field')}: {problem_field.get('message')}", file=sys.stderr)
    if request_id:
        print(f"  (request {request_id})", file=sys.stderr)


if __name__ == "__main__":
    main()
