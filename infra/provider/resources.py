"""What a program declares: the five kinds of things that a tenant has, and waiting for a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Input, Output
from pulumi import ResourceOptions as Options
from pulumi.dynamic import Resource

from infra.provider.providers import ApiKeyProvider, AppProvider, ProjectProvider, Provider, SecretProvider
from infra.provider.service_provider import ServiceProvider, ServiceReadyProvider


def _declare(kind: str, name: str, options: Options | None) -> Input[str]:
    """What tells this resource from every other one of its stack: part of the key under which it is made once."""
    parent = None if options is None else options.parent
    suffix = f"{kind}::{name}"
    return suffix if parent is None else Output.concat(parent.urn, "::", suffix)


class _Thing(Resource, module="rempart", name="Thing"):
    organization_id: Output[str]

    def __init__(
        self,
        provider: Provider,
        name: str,
        props: dict[str, Any],
        options: Options | None,
        *,
        secret_outputs: Sequence[str] = (),
        is_old_deleted_first: bool = True,
    ) -> None:
        own = Options(
            additional_secret_outputs=list(secret_outputs), delete_before_replace=is_old_deleted_first
        )
        declared = {**props, "declared_as": _declare(provider.noun, name, options)}
        super().__init__(provider, name, declared, Options.merge(own, options))


class Project(_Thing, module="rempart", name="Project"):
    """A project of your organization. Renaming it keeps it; deleting it needs it to be empty.

    `adopt`: id of a project that exists, to be managed (and one day deleted) by this stack.
    """

    name: Output[str]
    description: Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        name: Input[str] | None = None,
        description: Input[str] = "",
        adopt: str | None = None,
        opts: Options | None = None,
    ) -> None:
        props = {"name": resource_name if name is None else name, "description": description, "adopt": adopt}
        super().__init__(ProjectProvider(), resource_name, {**props, "organization_id": None}, opts)


class App(_Thing, module="rempart", name="App"):
    """A name under which services stand together. A service without one gets its own."""

    name: Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        name: Input[str] | None = None,
        project_id: Input[str] | None = None,
        adopt: str | None = None,
        opts: Options | None = None,
    ) -> None:
        props = {"name": resource_name if name is None else name, "project_id": project_id, "adopt": adopt}
        super().__init__(AppProvider(), resource_name, {**props, "organization_id": None}, opts)


class Secret(_Thing, module="rempart", name="Secret"):
    """A value that only engines see. It is encrypted in the state, whatever you give.

    `version` counts its values: give it to a service's `triggers`, and a new value is deployed.
    """

    name: Output[str]
    value: Output[str]
    version: Output[int]

    def __init__(
        self,
        resource_name: str,
        *,
        value: Input[str],
        name: Input[str] | None = None,
        project_id: Input[str] | None = None,
        adopt: str | None = None,
        opts: Options | None = None,
    ) -> None:
        props = {
            "name": resource_name if name is None else name,
            "project_id": project_id,
            "value": Output.secret(value),
            "adopt": adopt,
            "version": None,
            "organization_id": None,
        }
        super().__init__(SecretProvider(), resource_name, props, opts, secret_outputs=("value",))


class ApiKey(_Thing, module="rempart", name="ApiKey"):
    """A key. Every change, also of `rotation` (any text), makes a new one before the old one is revoked.

    `secret` is the key itself: a Pulumi secret, encrypted in the state, never shown.
    """

    secret: Output[str]
    last_four: Output[str]
    expires_at: Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        role: Input[str],
        name: Input[str] | None = None,
        kind: Input[str] = "svc",
        project_id: Input[str] | None = None,
        scopes: Sequence[Input[str]] | None = None,
        expires_in_days: Input[int] = 90,
        rotation: Input[str] | None = None,
        opts: Options | None = None,
    ) -> None:
        props = {
            "name": resource_name if name is None else name,
            "role": role,
            "kind": kind,
            "project_id": project_id,
            "scopes": None if scopes is None else list(scopes),
            "expires_in_days": expires_in_days,
            "rotation": rotation,
            "secret": None,
            "last_four": None,
            "expires_at": None,
            "organization_id": None,
        }
        super().__init__(
            ApiKeyProvider(),
            resource_name,
            props,
            opts,
            secret_outputs=("secret",),
            is_old_deleted_first=False,
        )


class Service(_Thing, module="rempart", name="Service"):
    """A model that is served. A changed definition is deployed in place, make-before-break.

    `definition`: as `infra.provider.inference(…)` builds it, or as the REST API takes it, without its name.
    `triggers`: values that deploy the same definition again when they change.
    `wait_seconds`: wait for each deployment, at most so long, until it is healthy or asleep; `ready` is that wait, for
    what depends on it. Without it, `up` ends when the service is asked for.
    """

    name: Output[str]
    host: Output[str]
    deployment_id: Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        definition: Input[Mapping[str, Any]],
        name: Input[str] | None = None,
        project_id: Input[str] | None = None,
        app_id: Input[str] | None = None,
        triggers: Sequence[Input[Any]] | None = None,
        wait_seconds: int | None = None,
        adopt: str | None = None,
        opts: Options | None = None,
    ) -> None:
        props = {
            "name": resource_name if name is None else name,
            "definition": definition,
            "project_id": project_id,
            "app_id": app_id,
            "triggers": None if triggers is None else list(triggers),
            "adopt": adopt,
            "host": None,
            "deployment_id": None,
            "document": None,
            "organization_id": None,
        }
        # What the server made of a definition repeats its plain variables, which may come from a secret.
        super().__init__(ServiceProvider(), resource_name, props, opts, secret_outputs=("document",))
        self.ready: ServiceReady | None = None
        if wait_seconds is not None:
            self.ready = ServiceReady(
                f"{resource_name}-ready",
                service_id=self.id,
                deployment_id=self.deployment_id,
                wait_seconds=wait_seconds,
                opts=Options(parent=self),
            )


class ServiceReady(Resource, module="rempart", name="ServiceReady"):
    """Waits until a deployment is healthy or asleep; fails, with the reason, when it cannot be."""

    host: Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        service_id: Input[str],
        deployment_id: Input[str],
        wait_seconds: Input[int],
        opts: Options | None = None,
    ) -> None:
        props = {
            "service_id": service_id,
            "deployment_id": deployment_id,
            "wait_seconds": wait_seconds,
            "host": None,
        }
        super().__init__(ServiceReadyProvider(), resource_name, props, opts)
