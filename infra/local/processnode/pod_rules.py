"""Turn a pod's spec into a plan for a local process, or refuse it with a reason. Pure: no clock, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from controlplane.catalogue.env_rules import PLATFORM_ENV, find_env_refusal
from infra.local.processnode.domain import (
    ContainerPort,
    EnvEntry,
    EnvSource,
    PodPlan,
    PodRefused,
    Probe,
    RestartPolicy,
)

Manifest = Mapping[str, Any]

IMAGE_REPOSITORY = "rempart.eu/local/"
SYSTEM_NAMESPACE = "rempart-system"
ANY_COMMAND_IMAGE = "process"

IMAGE_MODULES = {
    "llama-cpp": "infra.local.engine",
    "acceptance": "infra.local.processnode.acceptance",
}
"""Images that are Python modules of the local stack; docs/contracts.md, "Local images"."""

DEFAULT_GRACE_SECONDS = 30
"""Kubernetes' default for `terminationGracePeriodSeconds`."""

_IMAGE = re.compile(rf"{re.escape(IMAGE_REPOSITORY)}(?P<name>[a-z-]+):(?P<version>[A-Za-z0-9._-]{{1,128}})")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_TOKEN_VOLUME = re.compile(r"kube-api-access-.*")

_QUANTITY_SUFFIXES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
}


def decide_plan(pod: Manifest, python: str) -> PodPlan:
    """Read a pod's spec and plan the process that runs it.

    Shapes: `pod` is a Pod as the API server defaulted it; `python` is the interpreter for the local images.
    Errors: PodRefused: what a process without a container cannot honour is refused, never left out silently.
    """
    spec, metadata = pod["spec"], pod["metadata"]
    container = _only_container(spec)
    command = _decide_command(container, metadata["namespace"], python)
    engine = None if metadata["namespace"] == SYSTEM_NAMESPACE else _image_name(container)
    ports = tuple(
        ContainerPort(name=port.get("name", ""), number=port["containerPort"])
        for port in container.get("ports", ())
    )
    resources = container.get("resources", {})
    limit = resources.get("limits", {}).get("memory")
    return PodPlan(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        container=container["name"],
        command=command,
        env=tuple(_read_env(entry, engine) for entry in container.get("env", ())),
        env_secrets=tuple(_read_env_source(entry) for entry in container.get("envFrom", ())),
        engine=engine,
        ports=ports,
        restart_policy=RestartPolicy(spec.get("restartPolicy", "Always")),
        grace_seconds=spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS),
        deadline_seconds=spec.get("activeDeadlineSeconds"),
        cpu_request_milli=parse_milli(resources.get("requests", {}).get("cpu", "0")),
        memory_limit_mib=None if limit is None else parse_mib(limit),
        readiness=_read_probe(container.get("readinessProbe"), ports),
        liveness=_read_probe(container.get("livenessProbe"), ports),
        startup=_read_probe(container.get("startupProbe"), ports),
    )


def parse_milli(quantity: str) -> int:
    """Convert a Kubernetes CPU quantity to thousandths of a core, rounded up. Errors: PodRefused."""
    return int((_parse_quantity(quantity) * 1000).to_integral_value(ROUND_CEILING))


def parse_mib(quantity: str) -> int:
    """Convert a Kubernetes memory quantity to MiB, rounded up. Errors: PodRefused."""
    return int((_parse_quantity(quantity) / 2**20).to_integral_value(ROUND_CEILING))


def expand_references(text: str, environ: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by the variable's value, as Kubernetes does.

    `$$` is a dollar sign, and a name that is not defined stays as it is written.
    """

    def replace(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        return environ.get(match.group(1), match.group())

    return _REFERENCE.sub(replace, text)


def read_field(pod: Manifest, path: str, host_address: str) -> str:
    """Return the pod field that `fieldRef` names. Errors: PodRefused for a field this node does not offer."""
    metadata, spec = pod["metadata"], pod["spec"]
    match = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
    if match:
        return str(metadata.get(match.group(1), {}).get(match.group(2), ""))
    fields = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": host_address,
        "status.podIP": host_address,
    }
    if path not in fields:
        raise _config_error(f"the field {path} is not offered by a process node")
    return str(fields[path])


def _only_container(spec: Manifest) -> Manifest:
    containers = spec.get("containers", ())
    if len(containers) != 1 or spec.get("initContainers"):
        raise _config_error("a process node runs pods with exactly one container and no init container")
    for volume in spec.get("volumes", ()):
        # The token volume is added to every pod by admission; a local process gets no API credentials.
        if not _TOKEN_VOLUME.fullmatch(volume["name"]):
            raise _config_error(f"a process node mounts no volumes (volume {volume['name']!r})")
    container: Manifest = containers[0]
    if container.get("lifecycle"):
        raise _config_error("a process node runs no lifecycle hooks: SIGTERM is the hook")
    return container


def _image_name(container: Manifest) -> str:
    """Name of a local image; empty for an image that no process node has."""
    match = _IMAGE.fullmatch(container.get("image", ""))
    return match["name"] if match else ""


def _decide_command(container: Manifest, namespace: str, python: str) -> tuple[str, ...]:
    image = container.get("image", "")
    name = _image_name(container)
    if name != ANY_COMMAND_IMAGE and name not in IMAGE_MODULES:
        known = ", ".join(IMAGE_REPOSITORY + each for each in (*IMAGE_MODULES, ANY_COMMAND_IMAGE))
        raise PodRefused(
            "ErrImagePull", f"image {image!r} does not exist on a process node; it knows {known}"
        )
    command, args = tuple(container.get("command", ())), tuple(container.get("args", ()))
    if name in IMAGE_MODULES:
        if command:
            raise _config_error(f"image {image} starts its own program: command must be empty")
        return (python, "-m", IMAGE_MODULES[name], *args)
    if namespace != SYSTEM_NAMESPACE:
        raise PodRefused(
            "ErrImagePull", f"image {image} runs any command, so only in namespace {SYSTEM_NAMESPACE}"
        )
    if not command:
        raise _config_error(f"image {image} has no program of its own: command is required")
    return (*command, *args)


def _read_env(entry: Manifest, engine: str | None) -> EnvEntry:
    name = entry["name"]
    if not _ENV_NAME.fullmatch(name):
        raise _config_error(f"environment name {name!r} is not letters, digits and underscores")
    require_env_allowed(name, engine)
    source = entry.get("valueFrom")
    if not source:
        return EnvEntry(name, EnvSource.LITERAL, entry.get("value", ""))
    kinds = (("secretKeyRef", EnvSource.SECRET), ("configMapKeyRef", EnvSource.CONFIG_MAP))
    for field, kind in kinds:
        if field in source:
            reference = source[field]
            return EnvEntry(name, kind, reference["name"], reference["key"], reference.get("optional", False))
    if "fieldRef" in source:
        return EnvEntry(name, EnvSource.FIELD, source["fieldRef"]["fieldPath"])
    raise _config_error(f"the source of environment variable {name} is not offered by a process node")


def _read_env_source(entry: Manifest) -> str:
    """Name of the Secret that brings variables."""
    source = entry.get("secretRef")
    if not source or entry.get("prefix") or source.get("optional"):
        raise _config_error("a process node takes envFrom with a secretRef alone, which must exist")
    return str(source["name"])


def require_env_allowed(name: str, engine: str | None) -> None:
    """Hold a tenant's variable to the rule that the API holds it to; `engine` None: a pod of the platform's own.

    Errors: PodRefused.
    """
    if engine is None or name in PLATFORM_ENV:
        return
    refusal = find_env_refusal(engine, name)
    if refusal is not None:
        raise _config_error(f"environment name {refusal}")


def _read_probe(probe: Manifest | None, ports: tuple[ContainerPort, ...]) -> Probe | None:
    if not probe:
        return None
    action = probe.get("httpGet") or probe.get("tcpSocket")
    if not action or probe.get("httpGet", {}).get("scheme", "HTTP") != "HTTP":
        raise _config_error("a process node probes by plain HTTP or by TCP")
    return Probe(
        path=action.get("path", "/") if "httpGet" in probe else "",
        port=_find_port(action["port"], ports),
        initial_delay=probe.get("initialDelaySeconds", 0),
        period=probe.get("periodSeconds", 10),
        timeout=probe.get("timeoutSeconds", 1),
        success_threshold=probe.get("successThreshold", 1),
        failure_threshold=probe.get("failureThreshold", 3),
    )


def _find_port(wanted: int | str, ports: tuple[ContainerPort, ...]) -> int:
    for port in ports:
        if wanted in (port.number, port.name, str(port.number)):
            return port.number
    raise _config_error(f"a probe asks port {wanted}, which the container does not declare")


def _parse_quantity(quantity: str) -> Decimal:
    match = re.fullmatch(r"([0-9.]+(?:[eE][0-9]+)?)([A-Za-z]*)", str(quantity))
    try:
        if match:
            return Decimal(match.group(1)) * _QUANTITY_SUFFIXES[match.group(2)]
    except (InvalidOperation, KeyError):
        pass
    raise _config_error(f"the quantity {quantity!r} cannot be read")


def _config_error(message: str) -> PodRefused:
    return PodRefused("CreateContainerConfigError", message)
