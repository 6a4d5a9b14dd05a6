"""Wire shapes of requirements and verdicts; `SovereigntyBlock` is the `sovereignty` part of a definition."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from controlplane.kernel.jurisdiction import Country
from controlplane.plumbing.web import WireModel
from controlplane.sovereignty.domain import (
    Attribution,
    CertificationRequirement,
    LicenceColour,
    Reason,
    Requirement,
    Text,
    Verdict,
    WhyStep,
)

FRAMEWORK = r"^[A-Z0-9]+(-[A-Z0-9]+)*$"
VERSION = r"^[0-9A-Za-z]+([.:-][0-9A-Za-z]+)*$"


def _known_country(code: str) -> str:
    Country(code)
    return code


CountryCode = Annotated[
    str,
    Field(min_length=2, max_length=2, description="ISO 3166-1 alpha-2 code in upper case.", examples=["FR"]),
    AfterValidator(_known_country),
]


class RequiredCertification(WireModel):
    """A certificate that must cover the place."""

    framework: str = Field(
        pattern=FRAMEWORK,
        max_length=40,
        description="Framework, such as SECNUMCLOUD, HDS or ISO27001. A simulated certificate ends in -LIKE and"
        " meets only a requirement that names it so.",
        examples=["SECNUMCLOUD"],
    )
    version_min: str | None = Field(
        default=None, pattern=VERSION, max_length=20, description="Oldest accepted version.", examples=["3.2"]
    )
    days_left_min: int = Field(
        default=0, ge=0, le=3650, description="Days that the certificate must still be valid.", examples=[30]
    )


class SovereigntyBlock(WireModel):
    """What every place that runs this service must meet; an absent field asks nothing."""

    countries: list[CountryCode] = Field(
        default=[], max_length=60, description="Countries allowed; empty means any.", examples=[["FR", "SE"]]
    )
    is_non_eu_control_denied: bool = Field(
        default=False,
        description="Refuse places whose operator or owner is controlled from outside the European Union, or whose"
        " control is not known.",
    )
    is_secnumcloud_ownership_required: bool = Field(
        default=False,
        description="Apply the ownership test of SecNumCloud 3.2 §19.6: seats in the Union, non-EU holders at most"
        " 24 % each and 39 % together of capital and of votes, no veto.",
    )
    attribution: Literal["conservative", "proportional"] = Field(
        default="conservative",
        description="How indirect holdings count in that test: whole once the holder is controlled, or multiplied.",
    )
    certifications: list[RequiredCertification] = Field(
        default=[], max_length=20, description="Certificates that must cover the place."
    )
    pue_below_milli: int | None = Field(
        default=None,
        ge=1001,
        le=10_000,
        description="The place's PUE must be below this, in thousandths.",
        examples=[1300],
    )
    gco2_per_kwh_max_milli: int | None = Field(
        default=None,
        ge=0,
        le=2_000_000,
        description="Most CO2e per kWh of its electricity, in thousandths of a gram.",
        examples=[80_000],
    )
    licence_colours: list[Literal["green", "yellow", "blue"]] = Field(
        default=[],
        max_length=3,
        description="Licence colours of models allowed; empty means any.",
        examples=[["green"]],
    )

    def to_requirement(self) -> Requirement:
        return Requirement(
            countries=frozenset(Country(code) for code in self.countries),
            is_non_eu_control_denied=self.is_non_eu_control_denied,
            is_secnumcloud_ownership_required=self.is_secnumcloud_ownership_required,
            attribution=Attribution(self.attribution),
            certifications=tuple(
                CertificationRequirement(c.framework, c.version_min, c.days_left_min)
                for c in self.certifications
            ),
            pue_below_milli=self.pue_below_milli,
            gco2_per_kwh_max_milli=self.gco2_per_kwh_max_milli,
            licence_colours=frozenset(LicenceColour(colour) for colour in self.licence_colours),
        )


class TextOut(WireModel):
    """One sentence in English and in French."""

    en: str = Field(description="The sentence in English.")
    fr: str = Field(description="The sentence in French.")


class WhyStepOut(WireModel):
    """One edge of a why-path."""

    fact_id: str = Field(description="The fact behind this step.")
    text: TextOut = Field(description="The step as a sentence.")
    evidence: str = Field(description="Where the fact is known from.")
    evidence_sha256: str | None = Field(description="SHA-256 of the evidence document.")


class ReasonOut(WireModel):
    """One failing rule."""

    code: str = Field(description="Stable code of the rule.", examples=["non_eu_control"])
    required: str = Field(description="What was required.")
    observed: str = Field(description="What was observed.")
    text: TextOut = Field(description="The reason as a sentence.")
    why_path: list[WhyStepOut] = Field(description="The facts that prove it, in order.")


class ForeseenOut(WireModel):
    """An end of admissibility that stated facts announce."""

    at: datetime = Field(description="From when on the place is no longer admissible.")
    reasons: list[ReasonOut] = Field(description="The rules that will fail then.")


class VerdictOut(WireModel):
    """Whether a place meets a requirement, and every reason why not."""

    site_code: str = Field(description="The datacenter.")
    is_admissible: bool = Field(description="Whether it may run the service.")
    reasons: list[ReasonOut] = Field(description="Every failing rule; empty when admissible.")
    facts_read: list[str] = Field(description="Ids of the facts that were read.")
    decided_at: datetime = Field(description="The instant that was judged.")
    expires_at: datetime | None = Field(description="When time alone changes it; null when it does not.")
    policy_hash: str = Field(description="SHA-256 of the canonical requirement.")
    owners: list[str] = Field(
        description="Persons and States on whom control is shown to end; empty when control was not asked about."
    )
    proof: list[WhyStepOut] = Field(
        description="Holdings and certificates that an answer in favour rests on, each with its evidence."
    )
    foreseen: ForeseenOut | None = Field(
        description="What is already stated to end this; null when nothing is, within a year."
    )


def from_text(text: Text) -> TextOut:
    return TextOut(en=text.en, fr=text.fr)


def from_why_step(step: WhyStep) -> WhyStepOut:
    return WhyStepOut(
        fact_id=step.fact_id,
        text=from_text(step.text),
        evidence=step.evidence,
        evidence_sha256=step.evidence_sha256,
    )


def from_reason(reason: Reason) -> ReasonOut:
    return ReasonOut(
        code=str(reason.code),
        required=reason.required,
        observed=reason.observed,
        text=from_text(reason.text),
        why_path=[from_why_step(step) for step in reason.why_path],
    )


def from_verdict(verdict: Verdict, foreseen: Verdict | None = None) -> VerdictOut:
    return VerdictOut(
        site_code=verdict.site_code,
        is_admissible=verdict.is_admissible,
        reasons=[from_reason(reason) for reason in verdict.reasons],
        facts_read=list(verdict.facts_read),
        decided_at=verdict.decided_at,
        expires_at=verdict.expires_at,
        policy_hash=verdict.policy_hash,
        owners=list(verdict.owners),
        proof=[from_why_step(step) for step in verdict.proof],
        foreseen=None
        if foreseen is None
        else ForeseenOut(at=foreseen.decided_at, reasons=[from_reason(each) for each in foreseen.reasons]),
    )
