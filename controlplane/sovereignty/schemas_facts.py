"""Wire shapes of legal facts. Shares are basis points: 2400 is 24 %."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from controlplane.plumbing.web import WireModel
from controlplane.sovereignty.domain import BASIS_POINTS, Certification, Fact, Holding, LegalEntity
from controlplane.sovereignty.schemas import FRAMEWORK, VERSION, CountryCode

Instant = Annotated[AwareDatetime, AfterValidator(lambda instant: instant.astimezone(UTC))]
Sha256 = Annotated[
    str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the evidence document, in hexadecimal.")
]
BasisPoints = Annotated[int, Field(ge=0, le=BASIS_POINTS)]
Evidence = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2_000,
        description="Where this is known from: document, register, date.",
        examples=["Kbis extract of 2026-10-02"],
    ),
]
EntityId = Annotated[str, Field(max_length=40, examples=["ent_01kexamp1e0000000000000000"])]
SITE_CODE = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"


class FactIn(WireModel):
    """What every stated fact carries."""

    evidence: Evidence
    evidence_sha256: Sha256 | None = Field(
        default=None, description="SHA-256 of the evidence document, in hexadecimal.", examples=["0" * 64]
    )
    valid_from: Instant | None = Field(
        default=None, description="Since when this is so; absent: from now on."
    )


class FactOut(WireModel):
    """What every recorded fact carries."""

    id: str = Field(description="Id of the fact.")
    evidence: str = Field(description="Where this is known from.")
    evidence_sha256: str | None = Field(description="SHA-256 of the evidence document.")
    valid_from: datetime = Field(description="Since when this is so.")
    valid_to: datetime | None = Field(description="Until when (exclusive); null while it holds.")
    recorded_at: datetime = Field(description="When it was recorded here.")
    ended_at: datetime | None = Field(description="When its end was recorded here.")
    version: int = Field(description="1, and 2 once it has been ended.", examples=[1])


class FactEnd(WireModel):
    """How a fact ends."""

    valid_to: Instant | None = Field(default=None, description="When it stopped or will stop; absent: now.")


class LegalEntityIn(FactIn):
    """A company, a group of natural persons, a state or a dispersed float."""

    name: str = Field(
        min_length=1, max_length=200, description="Registered name.", examples=["Essonne Calcul SAS"]
    )
    kind: Literal["company", "natural_persons", "state", "free_float"] = Field(
        default="company",
        description="Only a company needs holders: what nobody is stated to hold of it counts as unknown.",
    )
    seat: CountryCode | None = Field(
        default=None,
        description="Country of the statutory seat, of the persons or of the state; absent: unknown.",
    )
    central_administration: CountryCode | None = Field(
        default=None, description="Country of a company's central administration; absent: unknown."
    )
    principal_establishment: CountryCode | None = Field(
        default=None, description="Country of a company's principal establishment; absent: unknown."
    )
    siren: str | None = Field(default=None, pattern=r"^\d{9}$", description="French register number.")
    lei: str | None = Field(default=None, pattern=r"^[A-Z0-9]{20}$", description="Legal entity identifier.")


class LegalEntityOut(FactOut):
    """A legal entity as recorded."""

    name: str = Field(description="Registered name.")
    kind: str = Field(description="company, natural_persons, state or free_float.")
    seat: str | None = Field(description="Country of the statutory seat; null when unknown.")
    central_administration: str | None = Field(description="Country of the central administration.")
    principal_establishment: str | None = Field(description="Country of the principal establishment.")
    siren: str | None = Field(description="French register number.")
    lei: str | None = Field(description="Legal entity identifier.")


class HoldingIn(FactIn):
    """Who holds what share of whom. An absent share is unknown, which is not zero."""

    holder_id: EntityId = Field(description="Who holds.")
    held_id: EntityId = Field(description="Who is held.")
    capital_bp: BasisPoints | None = Field(
        default=None, description="Share of the capital in basis points; absent: unknown.", examples=[5500]
    )
    votes_bp: BasisPoints | None = Field(
        default=None, description="Share of the votes in basis points; absent: unknown.", examples=[5500]
    )
    has_veto: bool = Field(default=False, description="Whether the holder can block decisions of the held.")
    appoints_board_majority: bool = Field(
        default=False, description="Whether the holder appoints most of the governing body."
    )
    has_dominance: bool = Field(
        default=False, description="Whether a contract lets the holder direct the held."
    )


class HoldingOut(FactOut):
    """A holding as recorded."""

    holder_id: str = Field(description="Who holds.")
    held_id: str = Field(description="Who is held.")
    capital_bp: int | None = Field(description="Share of the capital in basis points; null when unknown.")
    votes_bp: int | None = Field(description="Share of the votes in basis points; null when unknown.")
    has_veto: bool = Field(description="Whether the holder can block decisions of the held.")
    appoints_board_majority: bool = Field(description="Whether it appoints most of the governing body.")
    has_dominance: bool = Field(description="Whether a contract lets it direct the held.")


class CertificationIn(FactIn):
    """A certificate of an entity, of a site, or of an entity at a site."""

    framework: str = Field(
        pattern=FRAMEWORK,
        max_length=40,
        description="Framework in upper case. A simulated certificate must end in -LIKE, such as SECNUMCLOUD-LIKE.",
        examples=["HDS"],
    )
    framework_version: str = Field(
        pattern=VERSION, max_length=20, description="Version of the framework.", examples=["2.0"]
    )
    level: str | None = Field(
        default=None, min_length=1, max_length=40, description="Assurance level, if any."
    )
    entity_id: EntityId | None = Field(default=None, description="The entity that it covers.")
    site_code: str | None = Field(
        default=None, pattern=SITE_CODE, description="The datacenter that it covers."
    )
    issued_on: date = Field(description="First day on which it holds.")
    expires_on: date = Field(description="Last day on which it holds.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.entity_id is None and self.site_code is None:
            raise ValueError("A certificate covers an entity, a site, or both: give entity_id or site_code.")
        if self.expires_on < self.issued_on:
            raise ValueError("expires_on lies before issued_on.")
        return self


class CertificationOut(FactOut):
    """A certificate as recorded."""

    framework: str = Field(description="Framework.")
    framework_version: str = Field(description="Version of the framework.")
    level: str | None = Field(description="Assurance level.")
    entity_id: str | None = Field(description="The entity that it covers.")
    site_code: str | None = Field(description="The datacenter that it covers.")
    issued_on: date = Field(description="First day on which it holds.")
    expires_on: date = Field(description="Last day on which it holds.")
    is_simulated: bool = Field(description="True when the framework's name ends in -LIKE.")


class FactPage(WireModel):
    """What every list of facts says about its page."""

    limit: int = Field(description="How many items a page holds.", examples=[50])
    has_next: bool = Field(description="Whether more follow.", examples=[False])
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last one.")


class LegalEntityReply(WireModel):
    """One legal entity."""

    legal_entity: LegalEntityOut


class LegalEntityList(FactPage):
    """A page of legal entities, newest first."""

    legal_entities: list[LegalEntityOut]


class HoldingReply(WireModel):
    """One holding."""

    holding: HoldingOut


class HoldingList(FactPage):
    """A page of holdings, newest first."""

    holdings: list[HoldingOut]


class CertificationReply(WireModel):
    """One certificate."""

    certification: CertificationOut


class CertificationList(FactPage):
    """A page of certificates, newest first."""

    certifications: list[CertificationOut]


def from_legal_entity(fact: Fact[LegalEntity]) -> LegalEntityOut:
    entity = fact.value
    places = (entity.seat, entity.central_administration, entity.principal_establishment)
    seat, administration, establishment = (None if place is None else place.code for place in places)
    return LegalEntityOut(
        id=str(entity.id),
        name=entity.name,
        kind=str(entity.kind),
        seat=seat,
        central_administration=administration,
        principal_establishment=establishment,
        siren=entity.siren,
        lei=entity.lei,
        evidence=entity.evidence,
        evidence_sha256=entity.evidence_sha256,
        valid_from=entity.valid_from,
        valid_to=entity.valid_to,
        recorded_at=entity.recorded_at,
        ended_at=fact.ended_at,
        version=fact.version,
    )


def from_holding(fact: Fact[Holding]) -> HoldingOut:
    holding = fact.value
    return HoldingOut(
        id=str(holding.id),
        holder_id=str(holding.holder_id),
        held_id=str(holding.held_id),
        capital_bp=holding.capital_bp,
        votes_bp=holding.votes_bp,
        has_veto=holding.has_veto,
        appoints_board_majority=holding.appoints_board_majority,
        has_dominance=holding.has_dominance,
        evidence=holding.evidence,
        evidence_sha256=holding.evidence_sha256,
        valid_from=holding.valid_from,
        valid_to=holding.valid_to,
        recorded_at=holding.recorded_at,
        ended_at=fact.ended_at,
        version=fact.version,
    )


def from_certification(fact: Fact[Certification]) -> CertificationOut:
    certification = fact.value
    return CertificationOut(
        id=str(certification.id),
        framework=certification.framework,
        framework_version=certification.version,
        level=certification.level,
        entity_id=None if certification.entity_id is None else str(certification.entity_id),
        site_code=certification.site_code,
        issued_on=certification.issued_on,
        expires_on=certification.expires_on,
        is_simulated=certification.is_simulated,
        evidence=certification.evidence,
        evidence_sha256=certification.evidence_sha256,
        valid_from=certification.valid_from,
        valid_to=certification.valid_to,
        recorded_at=certification.recorded_at,
        ended_at=fact.ended_at,
        version=fact.version,
    )
