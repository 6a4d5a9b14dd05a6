"""Requirements as canonical data: the same wish always has the same bytes, hence the same policy hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from controlplane.kernel.events import JsonValue
from controlplane.kernel.jurisdiction import Country
from controlplane.sovereignty.domain import (
    Attribution,
    CertificationRequirement,
    LicenceColour,
    Reason,
    ReasonCode,
    Requirement,
    Text,
)

# Part of what is hashed: a change of meaning gets a new number, so an old hash never names a new rule.
POLICY_FORMAT = 1


def dump_requirement(requirement: Requirement) -> dict[str, JsonValue]:
    """Return the canonical document: sorted, every field present, integers only."""
    certifications: list[JsonValue] = [
        {"framework": c.framework, "version_min": c.version_min, "days_left_min": c.days_left_min}
        for c in sorted(
            set(requirement.certifications), key=lambda c: (c.framework, c.version_min or "", c.days_left_min)
        )
    ]
    return {
        "format": POLICY_FORMAT,
        "countries": [country.code for country in sorted(requirement.countries)],
        "is_non_eu_control_denied": requirement.is_non_eu_control_denied,
        "is_secnumcloud_ownership_required": requirement.is_secnumcloud_ownership_required,
        "attribution": str(requirement.attribution),
        "certifications": certifications,
        "pue_below_milli": requirement.pue_below_milli,
        "gco2_per_kwh_max_milli": requirement.gco2_per_kwh_max_milli,
        "licence_colours": [str(colour) for colour in sorted(requirement.licence_colours)],
    }


def load_requirement(document: Mapping[str, JsonValue]) -> Requirement:
    """Read what `dump_requirement` wrote; ValueError on anything else."""
    certifications = []
    for item in _list(document["certifications"]):
        if not isinstance(item, dict):
            raise ValueError("a required certification is an object")
        version = item["version_min"]
        certifications.append(
            CertificationRequirement(
                framework=str(item["framework"]),
                version_min=None if version is None else str(version),
                days_left_min=_int(item["days_left_min"]) or 0,
            )
        )
    if document["format"] != POLICY_FORMAT:
        raise ValueError(f"policy format {document['format']!r} is not known")
    return Requirement(
        countries=frozenset(Country(str(code)) for code in _list(document["countries"])),
        is_non_eu_control_denied=document["is_non_eu_control_denied"] is True,
        is_secnumcloud_ownership_required=document["is_secnumcloud_ownership_required"] is True,
        attribution=Attribution(str(document["attribution"])),
        certifications=tuple(certifications),
        pue_below_milli=_int(document["pue_below_milli"]),
        gco2_per_kwh_max_milli=_int(document["gco2_per_kwh_max_milli"]),
        licence_colours=frozenset(
            LicenceColour(str(colour)) for colour in _list(document["licence_colours"])
        ),
    )


def hash_requirement(requirement: Requirement) -> str:
    """Return the policy hash: SHA-256 of the canonical document, 64 hexadecimal characters."""
    canonical = json.dumps(dump_requirement(requirement), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def find_licence_refusal(requirement: Requirement, model: str, colour: LicenceColour) -> Reason | None:
    """Judge a model's licence colour; None when it is allowed or not asked about."""
    if not requirement.licence_colours or colour in requirement.licence_colours:
        return None
    allowed = ", ".join(str(c) for c in sorted(requirement.licence_colours))
    return Reason(
        code=ReasonCode.LICENCE_NOT_ALLOWED,
        required=allowed,
        observed=str(colour),
        text=Text(
            en=f"The licence of {model} is {colour}; the requirement allows {allowed}.",
            fr=f"La licence de {model} est classée {colour} ; l'exigence n'admet que {allowed}.",
        ),
    )


def _list(value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list):
        raise ValueError("expected a list")
    return value


def _int(value: JsonValue) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise ValueError("expected an integer")
    return value
