"""What an installation is: the control plane once, and cells with their gateways. Values, checked when they are made.

A plan names Secrets and holds none: each `…_secret` is the name of a Kubernetes Secret that exists before.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from infra.components.residency_rules import require_eu

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
SECRET_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
DIGEST = r"^sha256:[0-9a-f]{64}$"


class PlanRefused(Exception):
    """A plan cannot be; the message names each place and the reason."""


def _no_value(text: str) -> str:
    if not text or not all(
        part and part.replace("-", "").isalnum() and part == part.lower() for part in text.split(".")
    ):
        # The text is not repeated: it may be the secret itself.
        raise ValueError("is the name of a Kubernetes Secret that exists before, never its value")
    return text


Name = Annotated[str, Field(pattern=NAME)]
SecretName = Annotated[str, Field(max_length=253), AfterValidator(_no_value)]
Country = Annotated[str, AfterValidator(require_eu)]
# The context of the kubeconfig in the environment; empty: its current one.
KubeContext = Annotated[str, Field(max_length=253)]


class Shape(BaseModel):
    """Frozen, and strict about what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Image(Shape):
    """An image in your own registry; a digest pins exactly what runs."""

    repository: Annotated[str, Field(min_length=1, max_length=255)]
    tag: str = ""
    digest: Annotated[str, Field(pattern=DIGEST)] | None = None
    pull_secrets: tuple[SecretName, ...] = ()

    @model_validator(mode="after")
    def _named(self) -> Image:
        if not self.tag and self.digest is None:
            raise ValueError("an image needs a digest or a tag")
        return self


class ControlPlanePlan(Shape):
    """The control plane. `country`: where the cluster it runs on stands."""

    country: Country
    gateway_domain: Annotated[str, Field(min_length=1, max_length=253)]
    image: Image
    owner_secret: SecretName
    runtime_secret: SecretName
    admin_key_secret: SecretName | None = None
    kubeconfig_secret: SecretName | None = None
    namespace: Name = "rempart"
    context: KubeContext = ""
    is_signup_open: bool = False
    api_replicas: Annotated[int, Field(ge=1, le=100)] = 2


class GatewayPlan(Shape):
    """A datacenter's gateway."""

    envoy_image: Image
    existing_secret: SecretName
    namespace: Name = "rempart"
    replicas: Annotated[int, Field(ge=1, le=100)] = 2
    # The control plane's gateway_domain, and further names that tenants call the gateway itself by.
    domain: Annotated[str, Field(max_length=253)] = ""
    names: tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] = ()


class CellPlan(Shape):
    """A cell: one Kubernetes cluster of a datacenter, with its operators, and the gateway if it is here."""

    cell: Name
    datacenter: Name
    country: Country
    image: Image
    redis_secret: SecretName
    context: KubeContext = ""
    gateway: GatewayPlan | None = None


class Plan(Shape):
    """A whole installation."""

    release: Name = "rempart"
    control_plane: ControlPlanePlan | None = None
    cells: tuple[CellPlan, ...] = ()
    # How long a chart may take until all it made is ready; 0: not waited for.
    wait_seconds: Annotated[int, Field(ge=0, le=3_600)] = 900

    @model_validator(mode="after")
    def _unique(self) -> Plan:
        names = [cell.cell for cell in self.cells]
        if len(set(names)) != len(names):
            raise ValueError("each cell can be named once")
        return self


def read_plan(path: Path) -> Plan:
    """Read a plan from YAML. Errors: PlanRefused; no message repeats a value."""
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PlanRefused(f"{path.name} cannot be read as YAML: {type(error).__name__}") from error
    try:
        return Plan.model_validate(document)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)
        ]
        raise PlanRefused("\n".join([f"{path.name} is no plan:", *lines])) from error
