"""Every constant of the platform that a page can show has its words in both languages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import controlplane
from controlplane.capacity.domain import PoolState
from controlplane.deployments.lifecycle import InstanceStatus, RouteState, RunStatus, ServiceStatus
from controlplane.einvoicing.domain import EInvoiceState, LifeCycle
from controlplane.identity.domain import KeyState
from controlplane.identity.schemas import TenantRole
from controlplane.invoicing.domain import InvoiceKind, InvoiceState, VatCategory
from controlplane.metering.domain import UNITS, Meter
from controlplane.payments.domain import SettlementState
from controlplane.portal import labels
from controlplane.portal.i18n import translations
from controlplane.portal.render import Renderer
from controlplane.portal.sentence_rules import FORMS, plain, tell
from controlplane.rating.domain import StepKind
from controlplane.sovereignty.domain import LicenceColour
from controlplane.tenancy.domain import QuotaName, TenantStatus

SOURCE = Path(controlplane.__file__).parent
SHOUTED = re.compile(r"\b[A-Z]{2,}(_[A-Z]+)+\b")


def values(*enums: type[StrEnum]) -> list[str]:
    return [str(member.value) for each in enums for member in each]


def calls(name: str) -> Iterable[ast.Call]:
    for path in SOURCE.glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and (getattr(node.func, "attr", "") or getattr(node.func, "id", "")) == name
            ):
                yield node


def texts(node: ast.AST) -> Iterable[str]:
    return (n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str))


def acts() -> set[str]:
    """Every `noun.past` of the audit chain, as the rooms' sources write it."""
    found = set()
    for name in ("record", "_record", "_audit"):
        for call in calls(name):
            found |= {text for text in texts(call) if re.fullmatch(r"[a-z_]+\.[a-z_]+", text)}
    return found


def told_events() -> set[str]:
    return {
        text for call in calls("narrate") for text in texts(call) if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", text)
    }


TABLE: dict[str, list[str]] = {
    "status": values(
        ServiceStatus, RunStatus, InstanceStatus, RouteState, PoolState, TenantStatus, KeyState, InvoiceState,
        SettlementState,
    ),
    "invoice_kind": values(InvoiceKind),
    "role": [*values(TenantRole), "platform"],
    "meter": values(Meter),
    "unit": sorted(set(UNITS.values())),
    "event": sorted(told_events()),
    "licence": values(LicenceColour),
    "quota": values(QuotaName),
    "e_invoice_state": values(EInvoiceState),
    "e_invoice_status": [str(int(each)) for each in LifeCycle],
    "vat_category": values(VatCategory),
    "step": values(StepKind),
    "audit_noun": sorted({act.partition(".")[0] for act in acts()}),
    "audit_verb": sorted({act.partition(".")[2] for act in acts()}),
}  # fmt: skip


@pytest.mark.case("W2")
@pytest.mark.case("W3")
@pytest.mark.case("M48")
@pytest.mark.parametrize("kind", TABLE)
def test_every_constant_has_its_words_in_both_languages(kind: str) -> None:
    assert TABLE[kind]
    missing = [code for code in TABLE[kind] if code not in labels.KINDS[kind]]
    assert missing == []
    for code in TABLE[kind]:
        words = labels.KINDS[kind][code]
        assert not SHOUTED.search(words)
        assert translations("fr").gettext(words), f"{kind} {code} has no French"


@pytest.mark.case("W3")
def test_the_sources_were_read() -> None:
    assert len(acts()) > 30
    assert len(told_events()) > 10


@pytest.mark.case("W3")
@given(st.sampled_from(sorted(labels.KINDS)), st.from_regex(r"[A-Z]{2,9}(_[A-Z]{2,9}){0,3}", fullmatch=True))
def test_a_constant_of_a_later_version_is_not_shouted(kind: str, code: str) -> None:
    if code not in labels.KINDS[kind]:
        assert not re.search(r"[A-Z]{2}|_", labels.words_of(kind, code))


SENTENCES = """
The service is HEALTHY. | État du service : opérationnel.|
Deployment 3 is CANCELED. | État du déploiement 3 : annulé.|
Calls go to essonne-1 (FR). | Les appels vont à essonne-1 (FR).
Placed in essonne-1 (FR). | Placé à essonne-1 (FR).
There is no place yet. | Il n'existe encore aucun lieu.
The part in essonne-1 stops: Its traffic has moved and its calls have ended. | La partie à essonne-1 s'arrête
The service now runs 0 to 3 replicas. | Le service compte désormais de 0 à 3 répliques.
"""


@pytest.mark.case("W3")
@pytest.mark.case("W38")
@pytest.mark.parametrize("line", SENTENCES.strip().splitlines())
def test_the_apis_sentences_are_told_in_french(line: str) -> None:
    sentence, _, expected = line.partition(" | ")
    told, is_own = tell(sentence, translations("fr").gettext)
    assert is_own
    assert "HEALTHY" not in told
    assert "CANCELED" not in told
    if not expected.endswith("|"):
        assert told.replace("\u00a0", " ").startswith(expected)


@pytest.mark.case("W3")
def test_every_form_has_its_french() -> None:
    for _, text in FORMS:
        assert translations("fr").gettext(text) != text


@pytest.mark.case("W3")
@given(st.text(max_size=80))
def test_no_sentence_keeps_a_bare_constant(text: str) -> None:
    for sentence in (text, f"{text} NOT_TRANSMITTED {text}", "It is UNHEALTHY and DRAFT_FAILED."):
        assert not re.search(r"\b(NOT_TRANSMITTED|UNHEALTHY|DRAFT_FAILED)\b", plain(sentence))


@pytest.mark.case("W2")
def test_a_plan_is_shown_by_its_title() -> None:
    plan = {"code": "pro", "title_fr": "Atelier", "title_en": "Workshop", "fee_sku": None}
    source = "{{ title_of(plan) }}"
    for language, title in (("fr", "Atelier"), ("en", "Workshop")):
        environment = Renderer()._environments[language]
        assert environment.from_string(source).render(plan=plan) == title
