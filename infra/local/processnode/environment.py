"""The environment of a container: the pod's entries resolved, and what the node adds."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from infra.local.processnode.api_client import ApiClient, ApiError
from infra.local.processnode.domain import EnvEntry, EnvSource, PodPlan, PodRefused
from infra.local.processnode.leftovers import POD_UID_VARIABLE
from infra.local.processnode.pod_rules import expand_references, read_field, require_env_allowed
from infra.local.processnode.status_rules import HOST_ADDRESS

MAIN_PORT_NAME = "http"

DRAIN_MARGIN_SECONDS = 1
"""A program that drains is told one second less than its grace, so that it ends before it is killed."""


async def resolve_environment(
    client: ApiClient,
    pod: Mapping[str, Any],
    plan: PodPlan,
    ports: Mapping[int, int],
    base: Mapping[str, str],
) -> dict[str, str]:
    """Return every variable the container gets.

    Shapes: `ports` maps declared port numbers to assigned ones; `base` is what the node gives each pod.
            Later entries may refer to earlier ones as `$(NAME)`.
    Errors: PodRefused (not final) when a Secret or ConfigMap or its key is missing. Values are never logged.
    """
    environ = {**base, **_port_variables(plan, ports)}
    environ["REMPART_DRAIN_SECONDS"] = str(max(plan.grace_seconds - DRAIN_MARGIN_SECONDS, 1))
    for name in plan.env_secrets:
        for key, sealed in sorted((await _read_object(client, pod, "secret", name)).items()):
            require_env_allowed(key, plan.engine)
            environ[key] = base64.b64decode(sealed).decode()
    for entry in plan.env:
        value = await _resolve(client, pod, entry)
        if value is not None:
            environ[entry.name] = (
                expand_references(value, environ) if entry.source is EnvSource.LITERAL else value
            )
    # Last, so that no entry can disown its process: this is how leftovers are found.
    environ[POD_UID_VARIABLE] = plan.uid
    return environ


def _port_variables(plan: PodPlan, ports: Mapping[int, int]) -> dict[str, str]:
    if not plan.ports:
        return {}
    main = next((port for port in plan.ports if port.name == MAIN_PORT_NAME), plan.ports[0])
    named = {
        f"PORT_{port.name.upper().replace('-', '_')}": str(ports[port.number])
        for port in plan.ports
        if port.name
    }
    return {"PORT": str(ports[main.number]), **named}


async def _resolve(client: ApiClient, pod: Mapping[str, Any], entry: EnvEntry) -> str | None:
    if entry.source is EnvSource.LITERAL:
        return entry.value
    if entry.source is EnvSource.FIELD:
        return read_field(pod, entry.value, HOST_ADDRESS)
    is_secret = entry.source is EnvSource.SECRET
    kind = "secret" if is_secret else "configmap"
    data = await _read_object(client, pod, kind, entry.value, is_optional=entry.is_optional)
    if entry.key not in data:
        if entry.is_optional:
            return None
        message = f'key "{entry.key}" is not in {kind} "{entry.value}"'
        raise PodRefused("CreateContainerConfigError", message, is_final=False)
    return base64.b64decode(data[entry.key]).decode() if is_secret else str(data[entry.key])


async def _read_object(
    client: ApiClient, pod: Mapping[str, Any], kind: str, name: str, *, is_optional: bool = False
) -> Mapping[str, str]:
    """The data of a Secret or ConfigMap of the pod's namespace. Errors: PodRefused, not final."""
    try:
        found = await client.get(f"/api/v1/namespaces/{pod['metadata']['namespace']}/{kind}s/{name}")
    except ApiError as error:
        if error.status == 404 and is_optional:
            return {}
        message = "not found" if error.status == 404 else f"could not be read ({error.status})"
        raise PodRefused(
            "CreateContainerConfigError", f'{kind} "{name}" {message}', is_final=False
        ) from error
    return found.get("data") or {}
