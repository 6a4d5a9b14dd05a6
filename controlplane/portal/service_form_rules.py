"""From the form of a new service to a definition, and from the API's refusal back to the form's fields. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from controlplane.portal.i18n import N_
from controlplane.portal.labels import FIELD_PROBLEMS
from controlplane.portal.request_rules import Form, first

NEW_APP = "new"
DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "app_id": (NEW_APP,),
    "app_name": ("",),
    "project_id": ("",),
    "name": ("",),
    "model": ("",),
    "instance_type": ("",),
    "min": ("0",),
    "max": ("1",),
    "idle_seconds": ("300",),
    "countries": (),
    "certifications": (),
    "licence_colours": (),
    "pue_below": ("",),
    "is_non_eu_control_denied": ("yes",),
    "is_secnumcloud_ownership_required": (),
    "is_simulated_allowed": (),
}
# Where the API says it is → the form's field; the first that fits.
_PLACES: tuple[tuple[str, str], ...] = (
    ("definition.name", "name"),
    ("definition.inference.model", "model"),
    ("definition.inference.is_simulated_allowed", "is_simulated_allowed"),
    ("definition.instance_types", "instance_type"),
    ("definition.scalings.0.min", "min"),
    ("definition.scalings.0.max", "max"),
    ("definition.scalings.0.targets", "idle_seconds"),
    ("definition.scalings", "max"),
    ("definition.sovereignty.countries", "countries"),
    ("definition.sovereignty.certifications", "certifications"),
    ("definition.sovereignty.licence_colours", "licence_colours"),
    ("definition.sovereignty.pue_below_milli", "pue_below"),
    ("app_id", "app_id"),
    ("project_id", "project_id"),
    ("definition", "name"),
)


@dataclass(slots=True)
class FormErrors:
    """What is wrong: sentences by field, and those about the whole form. Sentences are marked for the catalogue or
    the API's own; `codes` says which of them the API said."""

    fields: dict[str, str] = field(default_factory=dict)
    whole: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.fields or self.whole)

    def note(self, name: str, sentence: str) -> None:
        """Keep a field's first problem: the others are seen once it is mended."""
        self.fields.setdefault(name, sentence)


@dataclass(frozen=True, slots=True)
class ServiceForm:
    """The form as it was filled in; `definition` is complete only when `errors` is empty."""

    values: Mapping[str, tuple[str, ...]]
    definition: dict[str, Any]
    errors: FormErrors

    @property
    def makes_app(self) -> bool:
        return self.values["app_id"][:1] in ((), (NEW_APP,), ("",))


def read_service_form(form: Form) -> ServiceForm:
    """Read the new service's form: numbers are checked here, everything else by the API."""
    values = {
        name: tuple(value.strip() for value in form.get(name, ()) if value.strip() or len(form[name]) == 1)
        for name in DEFAULTS
    }
    errors = FormErrors()
    least, most = _whole(form, "min", errors), _whole(form, "max", errors)
    idle = _whole(form, "idle_seconds", errors) if first(form, "idle_seconds") else None
    for name in ("name", "model"):
        if not first(form, name):
            errors.note(name, N_("Fill in this field."))
    pue = _thousandths(form, "pue_below", errors)
    kind = first(form, "instance_type")
    targets = [] if idle is None else [{"sleep_idle_delay": {"deep_sleep_value": idle}}]
    sovereignty: dict[str, Any] = {
        "countries": list(values["countries"]),
        "is_non_eu_control_denied": bool(values["is_non_eu_control_denied"]),
        "is_secnumcloud_ownership_required": bool(values["is_secnumcloud_ownership_required"]),
        "certifications": [{"framework": each} for each in values["certifications"]],
        "licence_colours": list(values["licence_colours"]),
    }
    if pue is not None:
        sovereignty["pue_below_milli"] = pue
    definition = {
        "name": first(form, "name"),
        "instance_types": [{"type": kind}] if kind else [],
        "scalings": [{"min": least, "max": most, "targets": targets}],
        "inference": {
            "model": first(form, "model"),
            "is_simulated_allowed": bool(values["is_simulated_allowed"]),
        },
        "sovereignty": sovereignty,
    }
    return ServiceForm(values, definition, errors)


def place_errors(
    refused: Iterable[Mapping[str, str]], places: Iterable[tuple[str, str]] = _PLACES
) -> FormErrors:
    """Put each problem that the API names beside the form's field; what has none is about the whole form."""
    errors = FormErrors()
    known = tuple(places)
    for problem in refused:
        where = problem.get("field", "").removeprefix("body.")
        sentence = FIELD_PROBLEMS.get(problem.get("code", "")) or problem.get("message", "")
        name = next((name for prefix, name in known if where == prefix or where.startswith(prefix + ".")), "")
        if name:
            errors.note(name, sentence)
        else:
            errors.whole.append(sentence)
    return errors


def _whole(form: Form, name: str, errors: FormErrors) -> int | None:
    text = first(form, name)
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    errors.note(name, N_("Write a whole number."))
    return None


def _thousandths(form: Form, name: str, errors: FormErrors) -> int | None:
    text = first(form, name).replace(",", ".")
    if not text:
        return None
    try:
        exact = Decimal(text) * 1000
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite() or exact != exact.to_integral_value() or not 0 <= exact < 10**6:
        errors.note(name, N_("Write a number such as 1.3."))
        return None
    return int(exact)
