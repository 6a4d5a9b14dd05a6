"""Building a service's definition from a file and options. Pure but for reading the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controlplane.cli.errors import WrongUse

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the options of `services deploy` say; None where nothing was said."""

    name: str
    model: str | None = None
    instance_type: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    idle_seconds: int | None = None
    countries: tuple[str, ...] = ()
    licence_colours: tuple[str, ...] = ()
    pue_below_milli: int | None = None
    is_non_eu_control_denied: bool = False
    is_simulated_allowed: bool = False
    env: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    certifications: tuple[str, ...] = ()


def read_definition(file: Path | None) -> Json:
    """Read a definition as YAML or JSON; WrongUse when it is none."""
    if file is None:
        return {}
    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise WrongUse(f"{file} is neither YAML nor JSON: {err}") from err
    if not isinstance(loaded, dict):
        raise WrongUse(f"{file} does not hold a definition.")
    return loaded


def build_definition(read: Json, wish: Wish) -> Json:
    """Return the definition with what the options change."""
    definition = {"type": "INFERENCE", **read, "name": wish.name}
    inference = dict(definition.get("inference") or {})
    if wish.model is not None:
        inference["model"] = wish.model
    if wish.is_simulated_allowed:
        inference["is_simulated_allowed"] = True
    if "model" not in inference:
        raise WrongUse("Name a model with --model, or in the file under inference.model.")
    definition["inference"] = inference
    if wish.env or wish.secrets:
        named = {name for name, _ in (*wish.env, *wish.secrets)}
        kept = [each for each in definition.get("env") or [] if each.get("key") not in named]
        plain = [{"key": name, "value": value} for name, value in wish.env]
        definition["env"] = [
            *kept,
            *plain,
            *({"key": name, "secret": secret} for name, secret in wish.secrets),
        ]
    if wish.instance_type is not None:
        definition["instance_types"] = [{"type": wish.instance_type}]
    scaling = _scaling(dict((definition.get("scalings") or [{}])[0]), wish)
    if scaling:
        definition["scalings"] = [scaling]
    sovereignty = _sovereignty(dict(definition.get("sovereignty") or {}), wish)
    if sovereignty:
        definition["sovereignty"] = sovereignty
    return definition


def _scaling(scaling: Json, wish: Wish) -> Json:
    if wish.minimum is not None:
        scaling["min"] = wish.minimum
        # Asking for three at least is no mistake when nothing was said of the most.
        if wish.maximum is None:
            scaling["max"] = max(wish.minimum, int(scaling.get("max", 1)))
    if wish.maximum is not None:
        scaling["max"] = wish.maximum
    if wish.idle_seconds is not None:
        kept = [target for target in scaling.get("targets", []) if "sleep_idle_delay" not in target]
        scaling["targets"] = [*kept, {"sleep_idle_delay": {"deep_sleep_value": wish.idle_seconds}}]
    return scaling


def _sovereignty(block: Json, wish: Wish) -> Json:
    if wish.countries:
        block["countries"] = list(wish.countries)
    if wish.licence_colours:
        block["licence_colours"] = list(wish.licence_colours)
    if wish.certifications:
        block["certifications"] = [{"framework": each.upper()} for each in wish.certifications]
    if wish.pue_below_milli is not None:
        block["pue_below_milli"] = wish.pue_below_milli
    if wish.is_non_eu_control_denied:
        block["is_non_eu_control_denied"] = True
    return block
