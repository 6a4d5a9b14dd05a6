"""A placement's explanation, put in the order in which a person asks: where, why there, and why not elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Assessment = Mapping[str, Any]
# Enough of a SHA-256 to tell requirements apart by eye.
HASH_SHOWN = 16


@dataclass(frozen=True, slots=True)
class Places:
    """`chosen` first of `admitted`; `excluded` are refused by law or ownership, `unfit` for any other reason."""

    summary: Mapping[str, str]
    is_placed: bool
    decided_at: str
    policy_hash: str
    admitted: tuple[Assessment, ...]
    excluded: tuple[Assessment, ...]
    unfit: tuple[Assessment, ...]


def sort_assessments(found: Mapping[str, Any]) -> Places:
    """Read what `GET /v1/services/{id}/explanation` answers."""
    explanation = found["explanation"]
    chosen = explanation["chosen_datacenter"]
    admitted, excluded, unfit = [], [], []
    for assessment in explanation["assessments"]:
        if assessment["is_admitted"]:
            admitted.append({**assessment, "is_chosen": assessment["datacenter"] == chosen})
        elif any(rejection["code"] == "sovereignty" for rejection in assessment["rejections"]):
            excluded.append(assessment)
        else:
            unfit.append(assessment)
    return Places(
        summary=explanation["summary"],
        is_placed=bool(found["is_placed"]),
        decided_at=found["decided_at"],
        policy_hash=explanation["policy_hash"],
        admitted=tuple(admitted),
        excluded=tuple(excluded),
        unfit=tuple(unfit),
    )


def read_residency(header: str) -> dict[str, str]:
    """Read the gateway's `x-rempart-residency`: the `place` in words, and the `policy` it was judged by."""
    facts = dict(part.strip().partition("=")[::2] for part in header.split(";") if "=" in part)
    site, country, operator = (facts.get(name, "") for name in ("datacenter", "country", "operator"))
    place = " · ".join(filter(None, (f"{site} ({country})" if site else "", operator)))
    return {"place": place or "–", "policy": facts.get("policy", "")[:HASH_SHOWN] or "–"}
