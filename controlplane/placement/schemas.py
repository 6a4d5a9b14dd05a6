"""Wire shape of an explanation: every pool with its score or every reason against it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from controlplane.placement.domain import Assessment, Explanation, Rejection
from controlplane.plumbing.amounts import CURRENCY, micro_text
from controlplane.plumbing.web import WireModel
from controlplane.sovereignty.schemas import TextOut, WhyStepOut, from_text, from_why_step


def _read_stored(value: object) -> object:
    # Decisions that were stored as whole millionths of a cent.
    return micro_text(value) if type(value) is int else value


HourlyCost = Annotated[str, BeforeValidator(_read_stored)]


class ScoreOut(WireModel):
    """The cost of one hour; lower is better."""

    price: HourlyCost = Field(description="The price of all replicas.", examples=["5.00"])
    carbon: HourlyCost = Field(
        description="Emitted CO2e at the shadow price, from nominal watts, grid and PUE.", examples=["0.012"]
    )
    scarcity: HourlyCost = Field(
        description="Charge for the part of the pool's room that is taken.", examples=["0.50"]
    )
    total: HourlyCost = Field(description="The sum; the lowest is chosen.", examples=["5.512"])
    currency: str = Field(default=CURRENCY, description="ISO 4217, of every amount here.", examples=["EUR"])


class RejectionOut(WireModel):
    """One reason against a pool."""

    code: str = Field(description="Stable code.", examples=["sovereignty"])
    detail: str = Field(description="The finer code.", examples=["non_eu_control"])
    text: TextOut = Field(description="The reason as a sentence.")
    why_path: list[WhyStepOut] = Field(description="The facts that prove it, in order.")


class AssessmentOut(WireModel):
    """What was found about one pool."""

    pool_id: str = Field(description="Id of the pool.")
    pool_name: str = Field(description="Name of the pool.")
    datacenter: str = Field(description="Code of its datacenter.")
    country: str = Field(description="Its country.")
    cell: str = Field(description="Its cell.")
    is_simulated: bool = Field(description="Whether its nodes are simulated.")
    is_admitted: bool = Field(description="Whether it could take the demand.")
    replicas_fit: int = Field(description="How many replicas there is room for.")
    score: ScoreOut | None = Field(description="Its score; null when it was refused.")
    rejections: list[RejectionOut] = Field(description="Every reason against it; empty when admitted.")


class ExplanationOut(WireModel):
    """Why a demand was placed where it was, or nowhere."""

    demand_id: str = Field(description="What asked for a place.")
    policy_hash: str = Field(description="SHA-256 of the canonical requirement.")
    decided_at: datetime = Field(description="The instant of the snapshot.")
    chosen_pool_id: str | None = Field(description="The pool chosen; null when there was none.")
    nearest_miss_pool_id: str | None = Field(
        description="The refused pool that came nearest; null when one was chosen."
    )
    summary: TextOut = Field(description="The outcome in a sentence.")
    assessments: list[AssessmentOut] = Field(description="Every pool, admitted ones first by score.")


class SiteAssessmentOut(WireModel):
    """What was found about one place."""

    datacenter: str = Field(description="Code of the datacenter.")
    country: str = Field(description="Its country.")
    is_simulated: bool = Field(description="Whether the machines that came nearest are simulated.")
    is_admitted: bool = Field(description="Whether it could take the demand.")
    rejections: list[RejectionOut] = Field(description="Every reason against it; empty when admitted.")


class SiteExplanationOut(WireModel):
    """Why a demand was placed where it was, or nowhere, as a tenant reads it: by places, not by pools."""

    demand_id: str = Field(description="What asked for a place.")
    policy_hash: str = Field(description="SHA-256 of the canonical requirement.")
    decided_at: datetime = Field(description="The instant of the snapshot.")
    chosen_datacenter: str | None = Field(description="The place chosen; null when there was none.")
    nearest_miss_datacenter: str | None = Field(
        description="The refused place that came nearest; null when one was chosen."
    )
    summary: TextOut = Field(description="The outcome in a sentence.")
    assessments: list[SiteAssessmentOut] = Field(description="Every place once.")


def from_explanation(explanation: Explanation) -> ExplanationOut:
    return ExplanationOut(
        demand_id=explanation.demand_id,
        policy_hash=explanation.policy_hash,
        decided_at=explanation.decided_at,
        chosen_pool_id=explanation.chosen_pool_id,
        nearest_miss_pool_id=explanation.nearest_miss_pool_id,
        summary=from_text(explanation.summary),
        assessments=[from_assessment(assessment) for assessment in explanation.assessments],
    )


def from_assessment(assessment: Assessment) -> AssessmentOut:
    score = assessment.score
    return AssessmentOut(
        pool_id=assessment.pool_id,
        pool_name=assessment.pool_name,
        datacenter=assessment.datacenter,
        country=assessment.country,
        cell=assessment.cell,
        is_simulated=assessment.is_simulated,
        is_admitted=assessment.is_admitted,
        replicas_fit=assessment.replicas_fit,
        score=None
        if score is None
        else ScoreOut(
            price=micro_text(score.price),
            carbon=micro_text(score.carbon),
            scarcity=micro_text(score.scarcity),
            total=micro_text(score.total),
        ),
        rejections=[_from_rejection(rejection) for rejection in assessment.rejections],
    )


def _from_rejection(rejection: Rejection) -> RejectionOut:
    return RejectionOut(
        code=str(rejection.code),
        detail=rejection.detail,
        text=from_text(rejection.text),
        why_path=[from_why_step(step) for step in rejection.why_path],
    )
