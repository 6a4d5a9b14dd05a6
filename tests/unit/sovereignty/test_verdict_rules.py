"""Verdicts: every rule's edge, every reason told, and the calendar."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.kernel.ids import LegalEntityId
from controlplane.kernel.jurisdiction import Country
from controlplane.sovereignty.domain import (
    CertificationRequirement,
    FactSet,
    ReasonCode,
    Requirement,
    SiteFacts,
    Verdict,
)
from controlplane.sovereignty.verdict_rules import compare_versions, judge_sites
from tests.unit.sovereignty.facts import NOW, Register, mini_case
from tests.unit.sovereignty.graphs import registers


def home_register() -> Register:
    register = Register()
    register.company("Essonne Calcul", "FR")
    register.people("founders")
    register.hold("founders", "Essonne Calcul", 10_000)
    return register


def judge(
    register: Register, requirement: Requirement, site: SiteFacts | None = None, at: datetime = NOW
) -> Verdict:
    judged = site or register.site("Essonne Calcul")
    return judge_sites([judged], requirement, register.facts, at)[judged.code]


def codes(verdict: Verdict) -> list[ReasonCode]:
    return [reason.code for reason in verdict.reasons]


class TestJudgeSites:
    def test_nothing_asked_admits(self) -> None:
        verdict = judge(home_register(), Requirement())
        assert verdict.is_admissible
        assert verdict.expires_at is None
        assert verdict.facts_read == ()

    def test_every_failing_rule_is_told(self) -> None:
        register = home_register()
        register.company("parent", "US")
        site = replace(register.site("parent", country="IE"), pue_milli=1_300)
        requirement = Requirement(
            countries=frozenset({Country("FR"), Country("SE")}),
            is_non_eu_control_denied=True,
            is_secnumcloud_ownership_required=True,
            certifications=(CertificationRequirement("HDS"),),
            pue_below_milli=1_300,
            gco2_per_kwh_max_milli=100_000,
        )
        assert codes(judge(register, requirement, site)) == [
            ReasonCode.COUNTRY_NOT_ALLOWED,
            ReasonCode.NON_EU_CONTROL,
            ReasonCode.OWNERSHIP_LIMITS,
            ReasonCode.CERTIFICATION_MISSING,
            ReasonCode.PUE_TOO_HIGH,
            ReasonCode.CARBON_TOO_HIGH,
        ]

    def test_the_worked_case_gives_two_verdicts_from_one_graph(self) -> None:
        register = mini_case()
        site = register.site("OpCo")
        assert judge(register, Requirement(is_non_eu_control_denied=True), site).is_admissible
        refused = judge(register, Requirement(is_secnumcloud_ownership_required=True), site)
        assert codes(refused) == [ReasonCode.OWNERSHIP_LIMITS, ReasonCode.OWNERSHIP_LIMITS]
        assert refused.reasons[0].observed == "31.50 %"
        assert refused.reasons[1].observed == "51.50 %"

    def test_why_path_is_readable_in_both_languages(self) -> None:
        register = Register()
        for name, seat in (("Meridian Inc", "US"), ("Meridian Europe", "IE"), ("Dublin Hosting", "IE")):
            register.company(name, seat)
        register.people("families", "IE")
        register.hold("Meridian Inc", "Meridian Europe", 8_000)
        register.hold("families", "Meridian Europe", 2_000)
        last = register.hold("Meridian Europe", "Dublin Hosting", 10_000)
        site = register.site("Dublin Hosting", country="IE")
        (reason,) = judge(register, Requirement(is_non_eu_control_denied=True), site).reasons
        assert reason.text.en == (
            "The operator and owner, Dublin Hosting (seat IE), is controlled from outside the European Union by"
            " Meridian Inc (seat US)."
        )
        assert [step.text.fr for step in reason.why_path] == [
            "Meridian Inc : siège US, administration centrale US et établissement principal US.",
            (
                "Meridian Inc (siège US) détient 80,00 % du capital et 80,00 % des droits de vote dans Meridian Europe"
                " (siège IE)."
            ),
            (
                "Meridian Europe (siège IE) détient 100,00 % du capital et 100,00 % des droits de vote dans"
                " Dublin Hosting (siège IE)."
            ),
        ]
        assert reason.why_path[-1].fact_id == str(last.id)
        assert reason.why_path[-1].evidence == "share register of Dublin Hosting"

    def test_an_unstated_operator_is_refused(self) -> None:
        register = home_register()
        site = register.site(None, "Essonne Calcul")
        verdict = judge(register, Requirement(is_non_eu_control_denied=True), site)
        assert codes(verdict) == [ReasonCode.ENTITY_UNKNOWN]

    def test_owner_is_judged_as_the_operator_is(self) -> None:
        register = home_register()
        register.company("landlord", "US")
        site = register.site("Essonne Calcul", "landlord")
        verdict = judge(register, Requirement(is_non_eu_control_denied=True), site)
        assert codes(verdict) == [ReasonCode.NON_EU_CONTROL]
        assert "The owner" in verdict.reasons[0].text.en

    @pytest.mark.parametrize(("pue", "is_admitted"), [(1_299, True), (1_300, False), (None, False)])
    def test_pue_must_lie_below_the_bound(self, pue: int | None, is_admitted: bool) -> None:
        register = home_register()
        site = replace(register.site("Essonne Calcul"), pue_milli=pue)
        assert judge(register, Requirement(pue_below_milli=1_300), site).is_admissible == is_admitted

    @pytest.mark.parametrize(
        ("stated", "limit", "is_admitted"),
        [(None, 56_039, True), (None, 56_038, False), (30_000, 30_000, True), (30_001, 30_000, False)],
    )
    def test_carbon_may_reach_the_limit(self, stated: int | None, limit: int, is_admitted: bool) -> None:
        register = home_register()
        site = replace(register.site("Essonne Calcul"), gco2_per_kwh_milli=stated)
        assert judge(register, Requirement(gco2_per_kwh_max_milli=limit), site).is_admissible == is_admitted

    def test_a_country_without_a_carbon_factor_is_unknown(self) -> None:
        register = home_register()
        site = replace(register.site("Essonne Calcul"), country=Country("JP"))
        verdict = judge(register, Requirement(gco2_per_kwh_max_milli=2_000_000), site)
        assert codes(verdict) == [ReasonCode.CARBON_UNKNOWN]

    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(registers(), st.randoms(use_true_random=False))
    def test_order_of_facts_does_not_matter(self, register: Register, random: object) -> None:
        requirement = Requirement(is_non_eu_control_denied=True, is_secnumcloud_ownership_required=True)
        site = register.site("e0")
        entities, holdings = list(register.facts.entities), list(register.facts.holdings)
        random.shuffle(entities)  # type: ignore[attr-defined]
        random.shuffle(holdings)  # type: ignore[attr-defined]
        shuffled = FactSet(tuple(entities), tuple(holdings), ())
        assert judge_sites([site], requirement, register.facts, NOW) == judge_sites(
            [site], requirement, shuffled, NOW
        )

    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(registers())
    def test_unknown_facts_never_admit(self, register: Register) -> None:
        """Take any admitted site; without what is known of its operator it is refused."""
        requirement = Requirement(is_non_eu_control_denied=True)
        site = register.site("e0")
        facts = register.facts
        if judge_sites([site], requirement, facts, NOW)[site.code].is_admissible:
            silent = replace(facts, holdings=tuple(h for h in facts.holdings if h.held_id != register["e0"]))
            assert not judge_sites([site], requirement, silent, NOW)[site.code].is_admissible
            nameless = replace(facts, entities=tuple(e for e in facts.entities if e.id != register["e0"]))
            assert not judge_sites([site], requirement, nameless, NOW)[site.code].is_admissible


class TestWatched:
    def test_a_verdict_watches_everyone_above_the_operator_and_nobody_else(self) -> None:
        register = mini_case()
        register.company("bystander", "US")
        register.hold("HoldCo", "bystander", 100)
        verdict = judge(register, Requirement(is_non_eu_control_denied=True), register.site("OpCo"))
        names = ("OpCo", "HoldCo", "FundUS", "FundUAE", "Employees")
        assert set(verdict.watched) == {"site:essonne-1", *(str(register[name]) for name in names)}
        assert str(register["bystander"]) not in verdict.facts_read

    def test_the_end_of_a_fact_that_was_read_ends_the_verdict(self) -> None:
        register = home_register()
        end = NOW + timedelta(days=3)
        register.holdings[0] = replace(register.holdings[0], valid_to=end)
        assert judge(register, Requirement(is_non_eu_control_denied=True)).expires_at == end


class TestCertificates:
    LAST_DAY = date(2026, 12, 1)
    END = datetime(2026, 12, 2, tzinfo=UTC)

    def certified(self, *, entity: str | None = None, site: str | None = None) -> Register:
        register = home_register()
        register.certify("HDS", "2.0", self.LAST_DAY, entity=entity, site=site)
        return register

    @pytest.mark.parametrize(
        ("at", "code"),
        [
            (datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC), ReasonCode.CERTIFICATION_MISSING),
            (datetime(2025, 1, 1, tzinfo=UTC), None),
            (END - timedelta(microseconds=1), None),
            (END, ReasonCode.CERTIFICATION_EXPIRED),
        ],
    )
    def test_a_certificate_holds_from_its_first_to_its_last_day(
        self, at: datetime, code: ReasonCode | None
    ) -> None:
        verdict = judge(
            self.certified(site="essonne-1"),
            Requirement(certifications=(CertificationRequirement("HDS"),)),
            at=at,
        )
        assert codes(verdict) == ([] if code is None else [code])

    def test_the_verdict_ends_with_the_certificate(self) -> None:
        verdict = judge(
            self.certified(site="essonne-1"), Requirement(certifications=(CertificationRequirement("HDS"),))
        )
        assert verdict.expires_at == self.END

    def test_days_left_end_the_verdict_sooner(self) -> None:
        wanted = Requirement(certifications=(CertificationRequirement("HDS", days_left_min=5),))
        verdict = judge(self.certified(site="essonne-1"), wanted)
        assert verdict.expires_at == self.END - timedelta(days=5)
        late = judge(self.certified(site="essonne-1"), wanted, at=self.END - timedelta(days=5))
        assert codes(late) == [ReasonCode.CERTIFICATION_ENDS_SOON]

    def test_a_later_certificate_carries_the_verdict(self) -> None:
        register = self.certified(site="essonne-1")
        register.certify("HDS", "2.0", date(2027, 12, 1), site="essonne-1")
        verdict = judge(register, Requirement(certifications=(CertificationRequirement("HDS"),)))
        assert verdict.expires_at == datetime(2027, 12, 2, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("scope", "is_covered"),
        [
            ({"site": "essonne-1"}, True),
            ({"site": "borlange-1"}, False),
            ({"entity": "Essonne Calcul"}, True),
            ({"entity": "founders"}, False),
            ({"entity": "Essonne Calcul", "site": "essonne-1"}, True),
            ({"entity": "Essonne Calcul", "site": "borlange-1"}, False),
        ],
    )
    def test_scope_must_cover_operator_and_site(self, scope: dict[str, str], is_covered: bool) -> None:
        verdict = judge(
            self.certified(**scope), Requirement(certifications=(CertificationRequirement("HDS"),))
        )
        assert verdict.is_admissible == is_covered

    def test_an_old_version_does_not_do(self) -> None:
        wanted = Requirement(certifications=(CertificationRequirement("HDS", version_min="2.1"),))
        assert codes(judge(self.certified(site="essonne-1"), wanted)) == [ReasonCode.CERTIFICATION_TOO_OLD]

    def test_simulated_certificate_never_meets_a_real_requirement(self) -> None:
        register = home_register()
        register.certify("SECNUMCLOUD-LIKE", "3.2", self.LAST_DAY, site="essonne-1")
        real = Requirement(certifications=(CertificationRequirement("SECNUMCLOUD"),))
        assert codes(judge(register, real)) == [ReasonCode.CERTIFICATION_MISSING]
        simulated = Requirement(certifications=(CertificationRequirement("SECNUMCLOUD-LIKE"),))
        assert judge(register, simulated).is_admissible


class TestCompareVersions:
    @pytest.mark.parametrize(
        ("have", "wanted", "expected"),
        [
            ("3.2", "3.2", True),
            ("3.10", "3.2", True),
            ("3.1", "3.2", False),
            ("2022", "2013", True),
            ("3", "3.0", True),
            ("C5", "C5", True),
            ("C5", "3", None),
        ],
    )
    def test_numbers_are_compared_part_by_part(self, have: str, wanted: str, expected: bool | None) -> None:
        assert compare_versions(have, wanted) is expected


def test_an_entity_unknown_to_the_facts_is_refused_by_id() -> None:
    site = replace(home_register().site("Essonne Calcul"), operator_entity_id=LegalEntityId.new())
    verdict = judge(home_register(), Requirement(is_non_eu_control_denied=True), site)
    assert codes(verdict) == [ReasonCode.NON_EU_CONTROL_UNKNOWN]
