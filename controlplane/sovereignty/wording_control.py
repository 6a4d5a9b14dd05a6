"""The sentences of findings on control, in English and French: what was found, and what would settle it."""

from __future__ import annotations

from controlplane.kernel.ids import LegalEntityId
from controlplane.sovereignty.control_rules import ControlFinding, ControlGround
from controlplane.sovereignty.domain import Holding, Reason, ReasonCode, Ternary, Text, WhyStep
from controlplane.sovereignty.graph_rules import OwnershipGraph, is_eu, share_bp
from controlplane.sovereignty.wording_rules import (
    WHY_STEPS_MAX,
    capitalize,
    join_words,
    name_entity,
    step_of_holding,
    steps_of_entities,
)

# A sentence names this many entities at most; the why-path has more.
NAMES_MAX = 5
REQUIRED = "control by known owners inside the EU"


def reason_of_control(
    graph: OwnershipGraph, target: LegalEntityId, role: Text, finding: ControlFinding
) -> Reason:
    """Word a finding on control that is not PASS; `role` says what the target is to the site."""
    held = name_entity(graph, target)
    subject = Text(f"{capitalize(role.en)}, {held.en},", f"{capitalize(role.fr)}, {held.fr},")
    is_certain = finding.outcome is Ternary.FAIL
    text = _word_fail(graph, subject, finding) if is_certain else _word_doubt(graph, subject, finding)
    named = [finding.controller] if finding.controller is not None else list(finding.open_entities)
    steps: list[WhyStep] = [*steps_of_entities(graph, named)]
    steps += [step_of_holding(graph, holding) for holding in finding.proof]
    return Reason(
        code=ReasonCode.NON_EU_CONTROL if is_certain else ReasonCode.NON_EU_CONTROL_UNKNOWN,
        required=REQUIRED,
        observed=_observe(graph, finding),
        text=text,
        why_path=tuple(steps)[:WHY_STEPS_MAX],
    )


def _observe(graph: OwnershipGraph, finding: ControlFinding) -> str:
    if finding.controller is not None:
        return name_entity(graph, finding.controller).en
    return "holders outside the EU together" if finding.outcome is Ternary.FAIL else "unknown"


def _word_fail(graph: OwnershipGraph, subject: Text, finding: ControlFinding) -> Text:
    if finding.ground is ControlGround.SEAT:
        return Text(
            en=f"{subject.en} is itself outside the European Union.",
            fr=f"{subject.fr} est lui-même hors de l'Union européenne.",
        )
    if finding.controller is not None:
        who = name_entity(graph, finding.controller)
        return Text(
            en=f"{subject.en} is controlled from outside the European Union by {who.en}.",
            fr=f"{subject.fr} est contrôlé hors de l'Union européenne par {who.fr}.",
        )
    outside = _names(graph, [h.holder_id for h in finding.proof if is_eu(graph, h.holder_id) is False])
    return Text(
        en=f"{subject.en} is controlled from outside the European Union: holders outside it decide together, by more"
        f" than half of the votes or half beside a single other holder ({outside.en}).",
        fr=f"{subject.fr} est contrôlé hors de l'Union européenne : des détenteurs hors de l'Union décident ensemble,"
        f" avec plus de la moitié des droits de vote ou la moitié face à un seul autre détenteur ({outside.fr}).",
    )


def _word_doubt(graph: OwnershipGraph, subject: Text, finding: ControlFinding) -> Text:
    who = _names(graph, finding.open_entities)
    if finding.ground is ControlGround.PRESUMED:
        holder = _names(graph, _strongest_outside(graph, finding.proof))
        return Text(
            en=f"{subject.en} is presumed to be controlled from outside the European Union by {holder.en}: more than"
            " 40 % of the votes, and no other holder has more (French commercial code, art. L233-3 II).",
            fr=f"{subject.fr} est présumé contrôlé hors de l'Union européenne par {holder.fr} : plus de 40 % des droits"
            " de vote, sans qu'un autre détenteur en ait davantage (code de commerce, art. L233-3 II).",
        )
    if finding.ground is ControlGround.NO_OWNER:
        return Text(
            en=f"Who controls {_lower(subject.en)} is not proven: the stated holdings lead to no owner, they only link"
            f" {who.en}. State the persons, States or companies that own them.",
            fr=f"Rien n'établit qui contrôle {_lower(subject.fr)} : les détentions déclarées ne mènent à aucun"
            f" propriétaire, elles relient seulement {who.fr}. Déclarez les personnes, États ou sociétés qui les"
            " possèdent.",
        )
    if finding.ground is ControlGround.NO_MAJORITY:
        return Text(
            en=f"No known holder inside the European Union is shown to control {_lower(subject.en)}: those inside have"
            " not more than half of the votes, nor more than 40 % as the strongest beside others without a majority.",
            fr=f"Aucun détenteur connu dans l'Union européenne n'est établi comme contrôlant {_lower(subject.fr)} :"
            " ceux de l'Union n'ont ni plus de la moitié des droits de vote, ni plus de 40 % en étant les premiers face"
            " à d'autres sans majorité.",
        )
    if finding.ground is ControlGround.STRUCTURE:
        return Text(
            en=f"Who controls {_lower(subject.en)} is not proven: more than 100 % of a company above it is stated, or"
            " the structure is too large to be judged.",
            fr=f"Rien n'établit qui contrôle {_lower(subject.fr)} : plus de 100 % d'une société en amont est"
            " déclaré, ou la structure est trop grande pour être jugée.",
        )
    return Text(
        en=f"Who controls {_lower(subject.en)} is not proven: ownership facts are missing for {who.en}.",
        fr=f"Rien n'établit qui contrôle {_lower(subject.fr)} : il manque des faits de détention pour {who.fr}.",
    )


def _strongest_outside(graph: OwnershipGraph, proof: tuple[Holding, ...]) -> list[LegalEntityId]:
    outside = [h for h in proof if is_eu(graph, h.holder_id) is False]
    return [max(outside, key=lambda h: (share_bp(h, "votes"), h.id)).holder_id] if outside else []


def _names(graph: OwnershipGraph, entity_ids: list[LegalEntityId] | tuple[LegalEntityId, ...]) -> Text:
    distinct = list(dict.fromkeys(entity_ids))
    names = [name_entity(graph, entity_id) for entity_id in distinct[:NAMES_MAX]]
    more = len(distinct) - len(names)
    en, fr = [n.en for n in names], [n.fr for n in names]
    if more:
        en.append(f"{more} more")
        fr.append(f"{more} autres")
    return Text(join_words(en, "and"), join_words(fr, "et"))


def _lower(subject: str) -> str:
    """A subject ends in a comma where a verb follows; here none does."""
    return subject[:1].lower() + subject[1:].rstrip(",")
