"""A small program of a tenant, and its life from nothing to nothing: what the demo and the tenant's page run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from infra.provider import ApiKey, Project, Secret, Service, inference
from infra.provider.workspace import Program, Say, open_stack

PROJECT = "rempart-example"
STACK = "demo"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the example declares.

    `definition` is a service's whole one; without it a model on `instance_type` that sleeps when idle.
    `token`: with one, a secret that the engine sees as APP_TOKEN. `key_role`: with one, an API key of the project.
    """

    project: str = "as-code"
    service: str = "assistant-as-code"
    model: str = "smollm2-135m-instruct"
    instance_type: str | None = None
    countries: tuple[str, ...] = ("FR",)
    wait_seconds: int | None = None
    definition: Mapping[str, Any] | None = None
    token: str | None = None
    key_role: str | None = None


def program(wish: Wish) -> Program:
    """The Pulumi program: a project, a service in it, and what the wish adds."""

    def declare() -> None:
        project = Project("project", name=wish.project, description="Declared by a Pulumi program.")
        secret_env: dict[str, pulumi.Input[str]] = {}
        if wish.token is not None:
            secret = Secret("token", name="token", project_id=project.id, value=wish.token)
            secret_env["APP_TOKEN"] = secret.name
        definition = wish.definition or inference(
            wish.model,
            instance_types=(wish.instance_type,) if wish.instance_type else (),
            replicas_min=0,
            replicas_max=1,
            idle_seconds=60,
            countries=wish.countries,
            secret_env=secret_env,
        )
        service = Service(
            "service",
            name=wish.service,
            project_id=project.id,
            definition=definition,
            wait_seconds=wish.wait_seconds,
        )
        if wish.key_role is not None:
            key = ApiKey("key", name="as-code", role=wish.key_role, project_id=project.id)
            pulumi.export("key", key.secret)
        pulumi.export("project_id", project.id)
        pulumi.export("service_id", service.id)
        pulumi.export("host", service.host)

    return declare


@dataclass(frozen=True, slots=True)
class Life:
    """What three runs did, by the engine's words (`create`, `same`, `delete`), and what the first one exported."""

    up: Mapping[str, int]
    up_again: Mapping[str, int]
    destroy: Mapping[str, int]
    outputs: Mapping[str, object]
    changes_of_up_again: int


def live(
    folder: Path,
    wish: Wish,
    *,
    api_url: str,
    api_key: str,
    passphrase: str,
    while_up: Callable[[Mapping[str, object]], None] = lambda _: None,
    say: Say = lambda _: None,
) -> Life:
    """Run `up`, `up` again and `destroy` with the real engine; `while_up` gets the outputs in between.

    Whatever goes wrong in between, what was made is deleted. Errors: RunFailed, EngineMissing.
    """
    stack = open_stack(
        program(wish),
        folder,
        project=PROJECT,
        stack=STACK,
        api_url=api_url,
        api_key=api_key,
        passphrase=passphrase,
        say=say,
    )
    try:
        first = stack.up()
        again = stack.up()
        while_up(first.outputs)
    finally:
        last = stack.destroy()
    return Life(first.counts, again.counts, last.counts, first.outputs, again.changes)
