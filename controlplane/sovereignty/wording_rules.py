"""The sentences of verdicts, in English and French, from the values that decided them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from controlplane.kernel.ids import LegalEntityId
from controlplane.sovereignty.domain import (
    Attribution,
    Certification,
    EntityKind,
    Holding,
    LegalEntity,
    Reason,
    ReasonCode,
    Ternary,
    Text,
    WhyStep,
)
from controlplane.sovereignty.graph_rules import OwnershipGraph, is_eu
from controlplane.sovereignty.ownership_rules import Ground, OwnershipFinding

# A why-path longer than this is cut: it is read by people, and the whole graph is in the API.
WHY_STEPS_MAX = 40

_PLACES_EN = ("seat", "central administration", "principal establishment")
_PLACES_FR = ("siège", "administration centrale", "établissement principal")


def percent(share: Fraction) -> Text:
    """Write a share with two decimals, or with four cut towards zero when two would not be exact."""
    places = 2 if (share * 10_000).denominator == 1 else 4
    whole, rest = divmod(int(share * 100 * 10**places), 10**places)
    return Text(en=f"{whole}.{rest:0{places}d} %", fr=f"{whole},{rest:0{places}d} %")


def name_entity(graph: OwnershipGraph, entity_id: LegalEntityId) -> Text:
    """Name an entity with its country, or say that the facts do not know it."""
    entity = graph.entities.get(entity_id)
    if entity is None:
        return Text(en=f"the undescribed entity {entity_id}", fr=f"l'entité non décrite {entity_id}")
    if entity.seat is None:
        return Text(en=f"{entity.name} (seat unknown)", fr=f"{entity.name} (siège inconnu)")
    if entity.kind is EntityKind.COMPANY:
        return Text(en=f"{entity.name} (seat {entity.seat})", fr=f"{entity.name} (siège {entity.seat})")
    return Text(en=f"{entity.name} ({entity.seat})", fr=f"{entity.name} ({entity.seat})")


def step_of_holding(graph: OwnershipGraph, holding: Holding) -> WhyStep:
    """Say one holding in a sentence."""
    holder, held = name_entity(graph, holding.holder_id), name_entity(graph, holding.held_id)
    en, fr = [], []
    for bp, noun_en, noun_fr in (
        (holding.capital_bp, "capital", "du capital"),
        (holding.votes_bp, "votes", "des droits de vote"),
    ):
        if bp is None:
            en.append(f"an unknown share of the {noun_en}")
            fr.append(f"une part inconnue {noun_fr}")
        elif bp:
            shown = percent(Fraction(bp, 10_000))
            en.append(f"{shown.en} of the {noun_en}")
            fr.append(f"{shown.fr} {noun_fr}")
    for is_set, text_en, text_fr in (
        (
            holding.appoints_board_majority,
            "the right to appoint most of the board",
            "la nomination de la majorité du conseil",
        ),
        (holding.has_dominance, "dominance by contract", "une domination par contrat"),
        (holding.has_veto, "a veto", "un droit de veto"),
    ):
        if is_set:
            en.append(text_en)
            fr.append(text_fr)
    return WhyStep(
        fact_id=str(holding.id),
        text=Text(
            en=f"{holder.en} holds {join_words(en, 'and') or 'no share'} in {held.en}.",
            fr=f"{holder.fr} détient {join_words(fr, 'et') or 'aucune part'} dans {held.fr}.",
        ),
        evidence=holding.evidence,
        evidence_sha256=holding.evidence_sha256,
    )


def step_of_places(entity: LegalEntity) -> WhyStep:
    """Say where an entity has its seat, its central administration and its principal establishment."""
    en = [f"{noun} {place or 'unknown'}" for noun, place in zip(_PLACES_EN, entity.places, strict=False)]
    fr = [f"{noun} {place or 'inconnu'}" for noun, place in zip(_PLACES_FR, entity.places, strict=False)]
    return WhyStep(
        fact_id=str(entity.id),
        text=Text(
            en=f"{entity.name} has its {join_words(en, 'and')}.",
            fr=f"{entity.name} : {join_words(fr, 'et')}.",
        ),
        evidence=entity.evidence,
        evidence_sha256=entity.evidence_sha256,
    )


def step_of_certification(certification: Certification) -> WhyStep:
    """Say what a certificate is and until when it holds."""
    mark_en, mark_fr = (" (simulated)", " (simulé)") if certification.is_simulated else ("", "")
    label = f"{certification.framework} {certification.version}"
    return WhyStep(
        fact_id=str(certification.id),
        text=Text(
            en=f"{label}{mark_en} was issued on {certification.issued_on} and holds through"
            f" {certification.expires_on}.",
            fr=f"{label}{mark_fr} délivré le {certification.issued_on}, valable jusqu'au"
            f" {certification.expires_on} inclus.",
        ),
        evidence=certification.evidence,
        evidence_sha256=certification.evidence_sha256,
    )


def steps_of_entities(graph: OwnershipGraph, entity_ids: Iterable[LegalEntityId]) -> tuple[WhyStep, ...]:
    known = (graph.entities.get(entity_id) for entity_id in entity_ids)
    return tuple(step_of_places(entity) for entity in known if entity is not None)[:WHY_STEPS_MAX]


def reason_of_ownership(
    graph: OwnershipGraph,
    target: LegalEntityId,
    role: Text,
    attribution: Attribution,
    finding: OwnershipFinding,
) -> Reason:
    """Word one ground of the SecNumCloud ownership test that is not met."""
    is_unknown = finding.outcome is Ternary.UNKNOWN
    code = ReasonCode.OWNERSHIP_LIMITS_UNKNOWN if is_unknown else ReasonCode.OWNERSHIP_LIMITS
    required, observed, text = _word_ground(graph, target, role, finding)
    if finding.ground in (Ground.INDIVIDUAL, Ground.COLLECTIVE):
        text = Text(
            en=f"{text.en} Indirect holdings are counted in the {attribution} way.",
            fr=f"{text.fr} Les détentions indirectes sont comptées de façon {_ATTRIBUTION_FR[attribution]}.",
        )
    steps = [step_of_holding(graph, holding) for holding in finding.proof]
    if finding.ground is Ground.PLACES:
        steps += steps_of_entities(graph, [target])
    return Reason(code, required, observed, text, tuple(steps)[:WHY_STEPS_MAX])


_ATTRIBUTION_FR = {Attribution.CONSERVATIVE: "prudente", Attribution.PROPORTIONAL: "proportionnelle"}


def _word_ground(
    graph: OwnershipGraph, target: LegalEntityId, role: Text, finding: OwnershipFinding
) -> tuple[str, str, Text]:
    held = name_entity(graph, target)
    who = Text("holders that nobody has declared", "des détenteurs non déclarés")
    if finding.holder is not None:
        who = name_entity(graph, finding.holder)
    elif finding.ground is Ground.CONTROL:
        who = Text("Holders outside the Union together", "L'ensemble des détenteurs hors de l'Union")
    if finding.ground in (Ground.INDIVIDUAL, Ground.COLLECTIVE):
        return _word_shares(held, who, finding)
    is_unknown = finding.outcome is Ternary.UNKNOWN
    if finding.ground is Ground.PLACES:
        return _word_places(held, role, is_unknown)
    if finding.ground is Ground.VETO:
        doubt = (
            Text(", perhaps from outside the Union,", ", peut-être hors de l'Union,")
            if is_unknown
            else Text("", "")
        )
        return (
            "no veto from outside the EU",
            who.en,
            Text(
                en=f"{who.en}{doubt.en} has a veto over {held.en} or over a company that controls it (§19.6 b).",
                fr=f"{who.fr}{doubt.fr} dispose d'un droit de veto sur {held.fr} ou sur une société qui la"
                " contrôle (§19.6 b).",
            ),
        )
    if finding.ground is Ground.CONTROL and not is_unknown:
        return (
            "no control from outside the EU",
            who.en,
            Text(
                en=f"{who.en} {'controls' if finding.holder else 'control'} {held.en} (§19.6 b).",
                fr=f"{who.fr} contrôle {held.fr} (§19.6 b).",
            ),
        )
    return (
        "an ownership structure that can be judged",
        "unknown",
        Text(
            en=f"Control of {held.en} is not proven to lie inside the Union: facts are missing or contradict each"
            " other.",
            fr=f"Le contrôle de {held.fr} dans l'Union n'est pas établi : des faits manquent ou se contredisent.",
        ),
    )


def _word_places(held: Text, role: Text, is_unknown: bool) -> tuple[str, str, Text]:
    verb = Text("are not all", "ne sont pas tous")
    if is_unknown:
        verb = Text("are not all known to be", "ne sont pas tous connus comme étant")
    return (
        "seat, central administration and principal establishment in the EU",
        "unknown" if is_unknown else "outside the EU",
        Text(
            en=f"The seat, central administration and principal establishment of {role.en}, {held.en},"
            f" {verb.en} in the European Union (SecNumCloud 3.2 §19.6 a).",
            fr=f"Le siège, l'administration centrale et l'établissement principal de {role.fr}, {held.fr},"
            f" {verb.fr} dans l'Union européenne (SecNumCloud 3.2 §19.6 a).",
        ),
    )


def _word_shares(held: Text, who: Text, finding: OwnershipFinding) -> tuple[str, str, Text]:
    low, high = percent(finding.low or Fraction(0)), percent(finding.high or Fraction(0))
    is_one = finding.ground is Ground.INDIVIDUAL
    limit = Text("24.00 %", "24,00 %") if is_one else Text("39.00 %", "39,00 %")
    noun = (
        Text("capital", "du capital") if finding.share == "capital" else Text("votes", "des droits de vote")
    )
    subject = (
        who
        if is_one
        else Text("Holders outside the Union together", "Les détenteurs hors de l'Union, ensemble,")
    )
    if finding.outcome is Ternary.FAIL:
        amount = low
    else:
        amount = Text(f"between {low.en} and {high.en}", f"entre {low.fr} et {high.fr}")
    verb_en, verb_fr = (
        ("hold", "détiennent") if not is_one or finding.holder is None else ("holds", "détient")
    )
    return (
        f"<= {limit.en} {'each' if is_one else 'together'}",
        amount.en,
        Text(
            en=f"{capitalize(subject.en)} {verb_en} {amount.en} of the {noun.en} of {held.en}, directly and indirectly;"
            f" at most {limit.en} is allowed (§19.6 b).",
            fr=f"{capitalize(subject.fr)} {verb_fr} {amount.fr} {noun.fr} de {held.fr}, directement et indirectement ;"
            f" le maximum admis est {limit.fr} (§19.6 b).",
        ),
    )


def describe_is_eu(graph: OwnershipGraph, entity_id: LegalEntityId) -> str:
    """Return `inside`, `outside` or `unknown` for the wire."""
    return {True: "inside", False: "outside", None: "unknown"}[is_eu(graph, entity_id)]


def join_words(parts: list[str], word: str) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]
