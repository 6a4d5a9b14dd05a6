"""Judge places against a requirement: every failing rule is a reason, and what is unknown fails."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controlplane.kernel.ids import LegalEntityId
from controlplane.sovereignty import wording_rules as wording
from controlplane.sovereignty.carbon_rules import FACTORS_YEAR, find_grid_gco2_per_kwh_milli
from controlplane.sovereignty.control_rules import ControlFinding, find_non_eu_control
from controlplane.sovereignty.domain import (
    Certification,
    CertificationRequirement,
    FactSet,
    Reason,
    ReasonCode,
    Requirement,
    SiteFacts,
    Ternary,
    Text,
    Verdict,
    WhyStep,
)
from controlplane.sovereignty.graph_rules import OwnershipGraph, build_graph, upstream
from controlplane.sovereignty.ownership_rules import judge_secnumcloud_ownership
from controlplane.sovereignty.requirement_rules import hash_requirement
from controlplane.sovereignty.wording_control import reason_of_control

OPERATOR = Text("the operator", "l'exploitant")
OWNER = Text("the owner", "le propriétaire")
OPERATOR_AND_OWNER = Text("the operator and owner", "l'exploitant et propriétaire")


@dataclass(slots=True)
class _Reading:
    """What judging one site has used so far."""

    facts: set[str] = field(default_factory=set)
    watched: set[str] = field(default_factory=set)
    ends: list[datetime] = field(default_factory=list)
    proof: dict[str, WhyStep] = field(default_factory=dict)
    owners: set[str] = field(default_factory=set)


_Memo = dict[tuple[LegalEntityId, Text], tuple[tuple[Reason, ...], ControlFinding | None]]


def judge_sites(
    sites: Sequence[SiteFacts], requirement: Requirement, facts: FactSet, at: datetime
) -> dict[str, Verdict]:
    """Return a verdict for each site by its code. `facts` are those that hold at `at`."""
    graph = build_graph(facts)
    policy_hash = hash_requirement(requirement)
    # Sites often share an operator: its structure is judged once.
    memo: _Memo = {}
    return {site.code: _judge_site(site, requirement, facts, graph, at, policy_hash, memo) for site in sites}


def site_key(site_code: str) -> str:
    """The watch key of a site, beside the wire ids of entities."""
    return f"site:{site_code}"


def compare_versions(have: str, wanted: str) -> bool | None:
    """Whether `have` is at least `wanted`, number by number; None when they cannot be ordered."""
    left, right = (re.split(r"[.:-]", text) for text in (have, wanted))
    if not all(part.isdigit() for part in left + right):
        return True if have == wanted else None
    width = max(len(left), len(right))
    return [int(p) for p in left] + [0] * (width - len(left)) >= [int(p) for p in right] + [0] * (
        width - len(right)
    )


def _judge_site(
    site: SiteFacts,
    requirement: Requirement,
    facts: FactSet,
    graph: OwnershipGraph,
    at: datetime,
    policy_hash: str,
    memo: _Memo,
) -> Verdict:
    reading = _Reading(watched={site_key(site.code)}, ends=[change.at for change in site.changes])
    site = site.as_of(at)
    reasons = [
        *_judge_country(site, requirement),
        *_judge_entities(site, requirement, graph, reading, memo),
        *_judge_certifications(site, requirement, facts.certifications, at, reading),
        *_judge_pue(site, requirement),
        *_judge_carbon(site, requirement),
    ]
    ends = [end for end in reading.ends if end > at]
    return Verdict(
        site_code=site.code,
        is_admissible=not reasons,
        reasons=tuple(reasons),
        facts_read=tuple(sorted(reading.facts)),
        watched=tuple(sorted(reading.watched)),
        decided_at=at,
        expires_at=min(ends, default=None),
        policy_hash=policy_hash,
        proof=tuple(reading.proof.values())[: wording.WHY_STEPS_MAX],
        owners=tuple(sorted(reading.owners)),
    )


def _judge_country(site: SiteFacts, requirement: Requirement) -> Iterable[Reason]:
    if not requirement.countries or site.country in requirement.countries:
        return
    allowed = ", ".join(country.code for country in sorted(requirement.countries))
    yield Reason(
        ReasonCode.COUNTRY_NOT_ALLOWED,
        allowed,
        site.country.code,
        Text(
            en=f"{site.code} stands in {site.country}; the requirement allows {allowed}.",
            fr=f"{site.code} se trouve en {site.country} ; l'exigence n'admet que {allowed}.",
        ),
    )


def _judge_entities(
    site: SiteFacts,
    requirement: Requirement,
    graph: OwnershipGraph,
    reading: _Reading,
    memo: _Memo,
) -> Iterable[Reason]:
    if not (requirement.is_non_eu_control_denied or requirement.is_secnumcloud_ownership_required):
        return
    roles = [(site.operator_entity_id, OPERATOR), (site.owner_entity_id, OWNER)]
    if site.operator_entity_id is not None and site.operator_entity_id == site.owner_entity_id:
        roles = [(site.operator_entity_id, OPERATOR_AND_OWNER)]
    for entity_id, role in roles:
        if entity_id is None:
            yield Reason(
                ReasonCode.ENTITY_UNKNOWN,
                "a stated operator and owner",
                "unknown",
                Text(
                    en=f"Nobody has stated who {role.en} of {site.code} is.",
                    fr=f"Personne n'a déclaré qui est {role.fr} de {site.code}.",
                ),
            )
            continue
        _note_structure(graph, entity_id, reading)
        reading.facts.update(site.fact_ids)
        if (entity_id, role) not in memo:
            memo[(entity_id, role)] = _judge_entity(entity_id, role, requirement, graph)
        reasons, control = memo[(entity_id, role)]
        yield from reasons
        if control is not None and control.outcome is Ternary.PASS:
            reading.owners.update(str(owner) for owner in control.owners)
            # A why-path is read by people: the nearest holdings are shown, all ids are in `facts_read`.
            for holding in control.proof[: wording.WHY_STEPS_MAX]:
                reading.proof[str(holding.id)] = wording.step_of_holding(graph, holding)


def _note_structure(graph: OwnershipGraph, entity_id: LegalEntityId, reading: _Reading) -> None:
    for above in upstream(graph, entity_id):
        reading.watched.add(str(above))
        entity = graph.entities.get(above)
        read = {str(holding.id): holding.valid_to for holding in graph.holders_of.get(above, ())}
        if entity is not None:
            read[str(entity.id)] = entity.valid_to
        reading.facts.update(read)
        reading.ends += [end for end in read.values() if end is not None]


def _judge_entity(
    entity_id: LegalEntityId, role: Text, requirement: Requirement, graph: OwnershipGraph
) -> tuple[tuple[Reason, ...], ControlFinding | None]:
    """Return what speaks against an entity, and the finding on control where that was asked."""
    reasons: list[Reason] = []
    control = None
    if requirement.is_non_eu_control_denied:
        control = find_non_eu_control(graph, entity_id)
        if control.outcome is not Ternary.PASS:
            reasons.append(reason_of_control(graph, entity_id, role, control))
    if requirement.is_secnumcloud_ownership_required:
        reasons += [
            wording.reason_of_ownership(graph, entity_id, role, requirement.attribution, finding)
            for finding in judge_secnumcloud_ownership(graph, entity_id, requirement.attribution)
        ]
    return tuple(reasons), control


def _judge_certifications(
    site: SiteFacts,
    requirement: Requirement,
    certifications: tuple[Certification, ...],
    at: datetime,
    reading: _Reading,
) -> Iterable[Reason]:
    if requirement.certifications and site.operator_entity_id is not None:
        reading.watched.add(str(site.operator_entity_id))
    for wanted in requirement.certifications:
        covering = [c for c in certifications if c.framework == wanted.framework and _covers(c, site)]
        reading.facts.update(str(c.id) for c in covering)
        reading.ends += [c.valid_to for c in covering if c.valid_to is not None]
        checked = [(_check_certification(c, wanted, at), c) for c in covering]
        held = [c for problem, c in checked if problem is None]
        if held:
            reading.ends.append(max(_holds_until(c, wanted) for c in held))
            reading.proof.update({str(c.id): wording.step_of_certification(c) for c in held})
            continue
        reading.ends += [c.starts_at for c in covering]
        # The nearest miss is told: the problem that comes last in the order of the checks.
        problem, nearest = max(
            ((problem, c) for problem, c in checked if problem is not None),
            key=lambda pair: (_PROBLEM_ORDER.index(pair[0]), pair[1].ends_at, pair[1].id),
            default=(ReasonCode.CERTIFICATION_MISSING, None),
        )
        yield _word_certification(site, wanted, problem, nearest)


_PROBLEM_ORDER = (
    ReasonCode.CERTIFICATION_MISSING,
    ReasonCode.CERTIFICATION_TOO_OLD,
    ReasonCode.CERTIFICATION_EXPIRED,
    ReasonCode.CERTIFICATION_ENDS_SOON,
)


def _covers(certification: Certification, site: SiteFacts) -> bool:
    """A scope with an entity binds the operator, one with a site binds the site, one with both binds both."""
    if certification.entity_id is not None and certification.entity_id != site.operator_entity_id:
        return False
    return certification.site_code is None or certification.site_code == site.code


def _holds_until(certification: Certification, wanted: CertificationRequirement) -> datetime:
    return certification.ends_at - timedelta(days=wanted.days_left_min)


def _check_certification(
    certification: Certification, wanted: CertificationRequirement, at: datetime
) -> ReasonCode | None:
    if certification.starts_at > at:
        return ReasonCode.CERTIFICATION_MISSING
    if wanted.version_min is not None and not compare_versions(certification.version, wanted.version_min):
        return ReasonCode.CERTIFICATION_TOO_OLD
    if certification.ends_at <= at:
        return ReasonCode.CERTIFICATION_EXPIRED
    if _holds_until(certification, wanted) <= at:
        return ReasonCode.CERTIFICATION_ENDS_SOON
    return None


def _word_certification(
    site: SiteFacts, wanted: CertificationRequirement, problem: ReasonCode, nearest: Certification | None
) -> Reason:
    label = wanted.framework if wanted.version_min is None else f"{wanted.framework} >= {wanted.version_min}"
    required = label if not wanted.days_left_min else f"{label}, {wanted.days_left_min} days left"
    if nearest is None:
        return Reason(
            problem,
            required,
            "none",
            Text(
                en=f"No {wanted.framework} certificate covers {site.code}.",
                fr=f"Aucun certificat {wanted.framework} ne couvre {site.code}.",
            ),
        )
    texts = {
        ReasonCode.CERTIFICATION_MISSING: Text(
            f"is not valid before {nearest.issued_on}", f"n'est pas valable avant le {nearest.issued_on}"
        ),
        ReasonCode.CERTIFICATION_TOO_OLD: Text(
            f"has version {nearest.version}, asked is {wanted.version_min}",
            f"est en version {nearest.version}, il faut {wanted.version_min}",
        ),
        ReasonCode.CERTIFICATION_EXPIRED: Text(
            f"expired after {nearest.expires_on}", f"a expiré après le {nearest.expires_on}"
        ),
        ReasonCode.CERTIFICATION_ENDS_SOON: Text(
            f"ends on {nearest.expires_on}, sooner than the {wanted.days_left_min} days asked",
            f"prend fin le {nearest.expires_on}, avant les {wanted.days_left_min} jours demandés",
        ),
    }
    return Reason(
        problem,
        required,
        f"{nearest.framework} {nearest.version} through {nearest.expires_on}",
        Text(
            en=f"The {wanted.framework} certificate of {site.code} {texts[problem].en}.",
            fr=f"Le certificat {wanted.framework} de {site.code} {texts[problem].fr}.",
        ),
        (wording.step_of_certification(nearest),),
    )


def _judge_pue(site: SiteFacts, requirement: Requirement) -> Iterable[Reason]:
    below = requirement.pue_below_milli
    if below is not None and site.pue_milli is None:
        yield Reason(
            ReasonCode.PUE_UNKNOWN,
            f"PUE < {_milli(below)}",
            "unknown",
            Text(f"The PUE of {site.code} is not known.", f"Le PUE de {site.code} n'est pas connu."),
        )
    elif below is not None and site.pue_milli is not None and site.pue_milli >= below:
        yield Reason(
            ReasonCode.PUE_TOO_HIGH,
            f"PUE < {_milli(below)}",
            _milli(site.pue_milli),
            Text(
                en=f"The PUE of {site.code} is {_milli(site.pue_milli)}; it must be below {_milli(below)}.",
                fr=f"Le PUE de {site.code} est de {_milli(site.pue_milli)} ; il doit être inférieur à {_milli(below)}.",
            ),
        )


def _judge_carbon(site: SiteFacts, requirement: Requirement) -> Iterable[Reason]:
    limit = requirement.gco2_per_kwh_max_milli
    if limit is None:
        return
    stated = site.gco2_per_kwh_milli
    grams = find_grid_gco2_per_kwh_milli(site.country) if stated is None else stated
    source_en = f" ({site.country} mean of {FACTORS_YEAR})" if stated is None else ""
    source_fr = f" (moyenne {FACTORS_YEAR} de {site.country})" if stated is None else ""
    if grams is None:
        yield Reason(
            ReasonCode.CARBON_UNKNOWN,
            f"<= {_milli(limit)} g/kWh",
            "unknown",
            Text(
                en=f"The carbon intensity of the electricity of {site.code} is not known.",
                fr=f"L'intensité carbone de l'électricité de {site.code} n'est pas connue.",
            ),
        )
    elif grams > limit:
        yield Reason(
            ReasonCode.CARBON_TOO_HIGH,
            f"<= {_milli(limit)} g/kWh",
            f"{_milli(grams)} g/kWh",
            Text(
                en=f"The electricity of {site.code} emits {_milli(grams)} g CO2e/kWh{source_en}; at most"
                f" {_milli(limit)} is allowed.",
                fr=f"L'électricité de {site.code} émet {_milli(grams)} g CO2e/kWh{source_fr} ; le maximum admis est"
                f" {_milli(limit)}.",
            ),
        )


def _milli(value: int) -> str:
    return f"{value // 1000}.{value % 1000:03d}".rstrip("0").rstrip(".")
