"""A service's definition from plain arguments: the document that `rempart services deploy -f` reads too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi


def inference(
    model: str,
    *,
    instance_types: Sequence[str] = (),
    replicas_min: int = 0,
    replicas_max: int = 1,
    idle_seconds: int | None = None,
    concurrent_requests: int | None = None,
    env: Mapping[str, pulumi.Input[str]] | None = None,
    secret_env: Mapping[str, pulumi.Input[str]] | None = None,
    regions: Sequence[str] = (),
    countries: Sequence[str] = (),
    is_non_eu_control_denied: bool = False,
    licence_colours: Sequence[str] = (),
    pue_below_milli: int | None = None,
    is_simulated_allowed: bool = False,
) -> dict[str, Any]:
    """Return the definition of a service that serves a model of the catalogue.

    `env` holds plain values, `secret_env` names of secrets of the same project: give `Secret.name`, so that the
    secret is made before the service and outlives it. `countries` are ISO 3166-1 alpha-2 codes.
    """
    scaling: dict[str, Any] = {"min": replicas_min, "max": replicas_max}
    targets: list[dict[str, Any]] = []
    if idle_seconds is not None:
        targets.append({"sleep_idle_delay": {"deep_sleep_value": idle_seconds}})
    if concurrent_requests is not None:
        targets.append({"concurrent_requests": {"value": concurrent_requests}})
    if targets:
        scaling["targets"] = targets
    served: dict[str, Any] = {"model": model}
    if is_simulated_allowed:
        served["is_simulated_allowed"] = True
    law: dict[str, Any] = {}
    if countries:
        law["countries"] = list(countries)
    if is_non_eu_control_denied:
        law["is_non_eu_control_denied"] = True
    if licence_colours:
        law["licence_colours"] = list(licence_colours)
    if pue_below_milli is not None:
        law["pue_below_milli"] = pue_below_milli
    variables = [{"key": key, "value": value} for key, value in (env or {}).items()]
    variables += [{"key": key, "secret": name} for key, name in (secret_env or {}).items()]
    said: dict[str, Any] = {
        "instance_types": [{"type": name} for name in instance_types],
        "env": variables,
        "regions": list(regions),
        "sovereignty": law,
    }
    return {
        "inference": served,
        "scalings": [scaling],
        **{name: value for name, value in said.items() if value},
    }
