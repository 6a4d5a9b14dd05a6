"""The sentences of explanations, in English and French."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.placement.domain import Assessment, Candidate, Demand
from controlplane.sovereignty.domain import Text


def datacenter_not_asked(demand: Demand, candidate: Candidate) -> Text:
    asked = ", ".join(sorted(demand.datacenters))
    return Text(
        en=f"{candidate.pool_name} stands in {candidate.datacenter}; asked was {asked}.",
        fr=f"{candidate.pool_name} se trouve à {candidate.datacenter} ; la demande vise {asked}.",
    )


def instance_type(demand: Demand, candidate: Candidate) -> Text:
    return Text(
        en=f"{candidate.pool_name} offers {candidate.instance_type}; asked was {demand.instance_type}.",
        fr=f"{candidate.pool_name} propose {candidate.instance_type} ; la demande vise {demand.instance_type}.",
    )


def accelerator(demand: Demand, candidate: Candidate) -> Text:
    has_en, has_fr = candidate.gpu_sku or "no GPU", candidate.gpu_sku or "aucun GPU"
    asked_en, asked_fr = demand.gpu_sku or "no GPU", demand.gpu_sku or "aucun GPU"
    return Text(
        en=f"{candidate.pool_name} has {has_en}; asked was {asked_en}.",
        fr=f"{candidate.pool_name} dispose de : {has_fr} ; la demande vise : {asked_fr}.",
    )


def simulated(candidate: Candidate) -> Text:
    return Text(
        en=f"{candidate.pool_name} is simulated, and this service does not accept simulated nodes.",
        fr=f"{candidate.pool_name} est simulé, et ce service n'accepte pas de nœuds simulés.",
    )


def paused(candidate: Candidate) -> Text:
    return Text(
        en=f"{candidate.pool_name} is paused and takes nothing new.",
        fr=f"{candidate.pool_name} est en pause et ne prend rien de nouveau.",
    )


def no_ready_node(candidate: Candidate) -> Text:
    return Text(
        en=f"{candidate.pool_name} has no ready node.", fr=f"{candidate.pool_name} n'a aucun nœud prêt."
    )


def capacity(demand: Demand, candidate: Candidate, fit: int) -> Text:
    size_en = f"{demand.cpu_milli} mCPU, {demand.memory_mib} MiB"
    size_fr = f"{demand.cpu_milli} mCPU, {demand.memory_mib} Mio"
    if demand.gpus:
        size_en, size_fr = f"{size_en}, {demand.gpus} GPU", f"{size_fr}, {demand.gpus} GPU"
    return Text(
        en=f"{candidate.pool_name} has room for {fit} of {demand.replicas} replicas of {size_en}.",
        fr=f"{candidate.pool_name} peut accueillir {fit} réplique(s) sur {demand.replicas} de {size_fr}.",
    )


def verdict_missing(candidate: Candidate) -> Text:
    return Text(
        en=f"{candidate.datacenter} has not been judged against the requirement, so it is refused.",
        fr=f"{candidate.datacenter} n'a pas été jugé au regard de l'exigence : il est refusé.",
    )


def summarise(demand: Demand, assessments: Sequence[Assessment], nearest: Assessment | None) -> Text:
    """Say the outcome in a sentence: what was chosen and among how many, or what came nearest and why not."""
    total = len(assessments)
    admitted = sum(assessment.is_admitted for assessment in assessments)
    if admitted:
        best = assessments[0]
        assert best.score is not None
        return Text(
            en=f"Chosen: {best.pool_name} in {best.datacenter} ({best.country}), the cheapest of {admitted}"
            f" admissible out of {total} pools, at {_cents(best.score.total)} minor units an hour with carbon and"
            " scarcity counted.",
            fr=f"Choix : {best.pool_name} à {best.datacenter} ({best.country}), le moins coûteux des {admitted}"
            f" admissibles sur {total} groupes, à {_cents(best.score.total)} unités mineures par heure, carbone et"
            " rareté compris.",
        )
    if nearest is None:
        return Text(en="There is no pool at all yet.", fr="Il n'existe encore aucun groupe de nœuds.")
    return Text(
        en=f"None of {total} pools can take {demand.replicas} replicas. Nearest: {nearest.pool_name} in"
        f" {nearest.datacenter}: {' '.join(r.text.en for r in nearest.rejections)}",
        fr=f"Aucun des {total} groupes ne peut accueillir {demand.replicas} répliques. Le plus proche :"
        f" {nearest.pool_name} à {nearest.datacenter} : {' '.join(r.text.fr for r in nearest.rejections)}",
    )


def _cents(micro: int) -> str:
    return f"{micro // 1_000_000}.{micro // 10_000 % 100:02d}"
