"""`rempart`: commands by noun. Exit codes stand in `controlplane.cli.errors` and docs/reference/cli.md."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.main import get_command

from controlplane.cli import (
    account,
    admin,
    apps,
    audit,
    catalog,
    config,
    context,
    costs,
    deployments,
    invoices,
    keys,
    organization,
    payments,
    projects,
    secrets,
    security_events,
    services,
    story,
)
from controlplane.cli.errors import DONE, EXPECTED, INTERRUPTED, report

# Plain help: the same text on a terminal, in a pipe and under NO_COLOR.
app = typer.Typer(
    name="rempart",
    help="Deploy models where the law you chose applies. Every command takes -o table, json, yaml or name.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _read_version() -> str:
    """The installed package's version; in a checkout the one that `pyproject.toml` says."""
    try:
        return version("rempart")
    except PackageNotFoundError:
        project = Path(__file__).parents[2] / "pyproject.toml"
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"rempart {_read_version()}")
        raise typer.Exit


@app.callback()
def root(
    profile: Annotated[
        str | None, typer.Option(envvar="REMPART_PROFILE", help="Stored context to use for this command.")
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Tell each request on standard error; never a key or a body.")
    ] = False,
    is_version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and stop."),
    ] = False,
) -> None:
    """Deploy models where the law you chose applies. Every command takes -o table, json, yaml or name."""
    del is_version
    config.configure(profile, is_debug=debug)


app.command()(account.login)
app.command()(account.logout)
app.command()(account.whoami)
app.command()(account.terms)
app.command()(account.signup)
app.command("secrets-check")(account.secrets_check)
app.add_typer(context.app, name="context", help="Stored addresses and keys, by name.")
app.add_typer(organization.app, name="organization", help="Who you are, and who is billed.")
app.command()(organization.quotas)
app.add_typer(projects.app, name="projects", help="Parts of your organization.")
app.add_typer(apps.app, name="apps", help="Groups of services.")
app.add_typer(services.app, name="services", help="What you want to run.")
app.add_typer(deployments.deployments, name="deployments", help="Immutable versions of a service.")
app.add_typer(deployments.instances, name="instances", help="Replicas as they run.")
app.command()(story.logs)
app.command()(story.events)
app.add_typer(secrets.app, name="secrets", help="Values that only your services see.")
app.add_typer(keys.app, name="keys", help="API keys of your organization.")
app.add_typer(catalog.app, name="catalog", help="Models, sizes and sites to choose from.")
app.command()(catalog.prices)
app.command()(costs.usage)
app.add_typer(costs.costs, name="costs", help="What the running month costs.")
app.add_typer(costs.budgets, name="budgets", help="What a month may cost.")
app.add_typer(invoices.app, name="invoices", help="What was billed.")
app.add_typer(payments.app, name="payments", help="What was paid.")
app.add_typer(
    audit.make_app(lambda client: client.audit_events),
    name="audit",
    help="Who did what, and the proof that nothing was changed.",
)
app.add_typer(
    security_events.make_app(lambda client: client.security_events),
    name="security-events",
    help="What was refused to your keys.",
)
app.add_typer(admin.app, name="admin", help="For the platform operator.")


@cache
def _command() -> Callable[..., Any]:
    """The whole tree of commands: reading it out of 130 signatures costs more than most commands do."""
    return get_command(app)


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; what went wrong is on standard error."""
    try:
        code = _command()(list(arguments), standalone_mode=False, prog_name="rempart")
        sys.stdout.flush()
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        return _stop_writing()
    except SystemExit as error:
        # typer and rich turn a closed pipe into an exit of their own.
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return _stop_writing()
    except EXPECTED as error:
        return report(error, arguments)
    return code if isinstance(code, int) else DONE


def _stop_writing() -> int:
    """Whoever read has seen enough; Python's own last flush must not complain about it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return DONE


def main() -> NoReturn:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
