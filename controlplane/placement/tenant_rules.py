"""What a tenant learns of a placement: places, and the rule that each one fails. Pure.

Not told: names, number and kind of the operator's pools, how much room any of them has, and what a place costs that
was not chosen. The facts of ownership behind a refusal are the verdict's own proof and stay: they speak of a place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controlplane.placement.schemas import (
    AssessmentOut,
    ExplanationOut,
    RejectionOut,
    SiteAssessmentOut,
    SiteExplanationOut,
)
from controlplane.sovereignty.schemas import TextOut

# Reasons of machines, as a tenant reads them: which one of a place's pools has which of them is the operator's.
_NO_ROOM = frozenset({"capacity", "no_ready_node", "paused"})
_OTHER_KIND = frozenset({"instance_type", "accelerator"})


def for_tenant(found: ExplanationOut) -> SiteExplanationOut:
    """One assessment for each place: admitted when any of its pools is, else by the pool that came nearest."""
    by_site: dict[str, list[AssessmentOut]] = {}
    for each in found.assessments:
        by_site.setdefault(each.datacenter, []).append(each)
    sites = [_assess(pools) for pools in by_site.values()]
    chosen = _site_of(found.assessments, found.chosen_pool_id)
    nearest = _site_of(found.assessments, found.nearest_miss_pool_id)
    return SiteExplanationOut(
        demand_id=found.demand_id,
        policy_hash=found.policy_hash,
        decided_at=found.decided_at,
        chosen_datacenter=chosen,
        nearest_miss_datacenter=nearest,
        summary=_summarise(sites, chosen, nearest),
        assessments=sites,
    )


def _site_of(assessments: Iterable[AssessmentOut], pool_id: str | None) -> str | None:
    return next((each.datacenter for each in assessments if each.pool_id == pool_id), None)


def _assess(pools: Sequence[AssessmentOut]) -> SiteAssessmentOut:
    best = min(pools, key=lambda each: (not each.is_admitted, len(each.rejections)))
    rejections: dict[tuple[str, str], RejectionOut] = {}
    for rejection in best.rejections:
        told = _tell(rejection, best)
        rejections.setdefault((told.code, told.text.en), told)
    return SiteAssessmentOut(
        datacenter=best.datacenter,
        country=best.country,
        is_simulated=best.is_simulated,
        is_admitted=best.is_admitted,
        rejections=list(rejections.values()),
    )


def _tell(rejection: RejectionOut, pool: AssessmentOut) -> RejectionOut:
    site = pool.datacenter
    if rejection.code in _NO_ROOM:
        text = TextOut(
            en=f"{site} has no room for it just now.", fr=f"{site} n'a pas la place pour l'instant."
        )
        return RejectionOut(code="capacity", detail="capacity", text=text, why_path=[])
    if rejection.code == "datacenter_not_asked":
        text = TextOut(
            en=f"{site} is not among the datacenters that were asked for.",
            fr=f"{site} n'est pas parmi les centres de données demandés.",
        )
        return rejection.model_copy(update={"text": text})
    if rejection.code in _OTHER_KIND:
        text = TextOut(
            en=f"{site} has no machines of the kind that was asked for.",
            fr=f"{site} n'a pas de machines du type demandé.",
        )
        return RejectionOut(code=rejection.code, detail=rejection.code, text=text, why_path=[])
    text = TextOut(en=_without(rejection.text.en, pool), fr=_without(rejection.text.fr, pool))
    return rejection.model_copy(update={"text": text})


def _without(text: str, pool: AssessmentOut) -> str:
    """A sentence of the pool's with the place as its subject: each begins with the pool's name, or names none."""
    name = f"{pool.pool_name} "
    return f"{pool.datacenter} {text.removeprefix(name)}" if text.startswith(name) else text


def _summarise(sites: Sequence[SiteAssessmentOut], chosen: str | None, nearest: str | None) -> TextOut:
    if chosen is not None:
        country = next(site.country for site in sites if site.datacenter == chosen)
        return TextOut(en=f"Chosen: {chosen} ({country}).", fr=f"Choix : {chosen} ({country}).")
    near = next((site for site in sites if site.datacenter == nearest), None)
    if near is None:
        return TextOut(en="There is no place yet.", fr="Il n'existe encore aucun lieu.")
    return TextOut(
        en=f"No place can take it. Nearest: {nearest}: {' '.join(r.text.en for r in near.rejections)}",
        fr=f"Aucun lieu ne convient. Le plus proche : {nearest} : {' '.join(r.text.fr for r in near.rejections)}",
    )
