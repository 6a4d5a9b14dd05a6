"""The sentences of explanations, in English and French."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.placement.domain import Assessment, Candidate, Demand
from controlplane.sovereignty.domain import Text

NARROW = "\u202f"
NO_BREAK = "\u00a0"
_MICRO_PER_CENT = 1_000_000


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
    size_en = f"{decimal(demand.cpu_milli, 3, '.')} vCPU, {demand.memory_mib} MiB"
    size_fr = f"{decimal(demand.cpu_milli, 3, ',')} vCPU, {demand.memory_mib} Mio"
    if demand.gpus:
        size_en = f"{size_en}, {count(demand.gpus, 'GPU', 'GPUs')}"
        size_fr = f"{size_fr}, {compte(demand.gpus, 'GPU', 'GPU')}"
    return Text(
        en=f"{candidate.pool_name} has room for {fit} of {count(demand.replicas, 'replica', 'replicas')} of {size_en}.",
        fr=f"{candidate.pool_name} peut accueillir {compte(fit, 'réplique', 'répliques')} sur {demand.replicas}"
        f" ({size_fr} chacune).",
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
        return _chosen(best, admitted, total, best.score.total)
    if nearest is None:
        return Text(en="There is no pool at all yet.", fr="Il n'existe encore aucun groupe de nœuds.")
    replicas_en = count(demand.replicas, "replica", "replicas")
    replicas_fr = compte(demand.replicas, "réplique", "répliques")
    none_en = f"None of {total} pools" if total > 1 else "The only pool there is cannot take {}"
    none_fr = f"Aucun des {total} groupes" if total > 1 else "Le seul groupe existant ne peut accueillir {}"
    if total > 1:
        none_en, none_fr = none_en + " can take {}", none_fr + " ne peut accueillir {}"
    return Text(
        en=f"{none_en.format(replicas_en)}. Nearest: {nearest.pool_name} in {nearest.datacenter}:"
        f" {' '.join(r.text.en for r in nearest.rejections)}",
        fr=f"{none_fr.format(replicas_fr)}. Le plus proche : {nearest.pool_name} à {nearest.datacenter} :"
        f" {' '.join(r.text.fr for r in nearest.rejections)}",
    )


def _chosen(best: Assessment, admitted: int, total: int, micro: int) -> Text:
    place_en = f"{best.pool_name} in {best.datacenter} ({best.country})"
    place_fr = f"{best.pool_name} à {best.datacenter} ({best.country})"
    if admitted == 1:
        among_en = f"the only admissible one of {count(total, 'pool', 'pools')}"
        among_fr = f"le seul admissible sur {compte(total, 'groupe', 'groupes')}"
    else:
        among_en = f"the cheapest of {admitted} admissible out of {total} pools"
        among_fr = f"le moins coûteux des {admitted} admissibles sur {total} groupes"
    return Text(
        en=f"Chosen: {place_en}, {among_en}, at {euros_en(micro)} an hour with carbon and scarcity counted.",
        fr=f"Choix : {place_fr}, {among_fr}, à {euros_fr(micro)} par heure, carbone et rareté compris.",
    )


def count(number: int, one: str, many: str) -> str:
    """A number with its noun in English: everything but one is plural."""
    return f"{number} {one if number == 1 else many}"


def compte(number: int, one: str, many: str) -> str:
    """A number with its noun in French: from two on it is plural, and zero is singular (CLDR, plural rules of fr)."""
    return f"{number} {one if abs(number) < 2 else many}"


def euros_en(micro: int) -> str:
    """Millionths of a cent as an amount; what is above zero is never shown as zero."""
    return "less than €0.01" if 0 < micro < _MICRO_PER_CENT else f"€{_cents(micro, '.', ',')}"


def euros_fr(micro: int) -> str:
    return (
        f"moins de 0,01{NO_BREAK}€"
        if 0 < micro < _MICRO_PER_CENT
        else f"{_cents(micro, ',', NARROW)}{NO_BREAK}€"
    )


def decimal(milli: int, digits: int, point: str) -> str:
    """An integer of thousandths (or other powers of ten) without idle zeros."""
    whole, part = divmod(milli, 10**digits)
    fraction = f"{part:0{digits}d}".rstrip("0")
    return f"{whole}{point}{fraction}" if fraction else str(whole)


def _cents(micro: int, point: str, thousands: str) -> str:
    whole, part = divmod((micro + _MICRO_PER_CENT // 2) // _MICRO_PER_CENT, 100)
    return f"{f'{whole:,}'.replace(',', thousands)}{point}{part:02d}"
