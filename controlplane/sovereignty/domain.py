"""Legal facts, what a tenant requires of them, and what was found: frozen values without I/O.

Shares are integers in basis points (10,000 = 100 %), PUE and grams of CO2e per kWh in thousandths, so that no
rule compares floats. A fact that is not known is None and is never read as harmless.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Generic, TypeVar

from controlplane.kernel.ids import CertificationId, HoldingId, LegalEntityId
from controlplane.kernel.jurisdiction import Country

BASIS_POINTS = 10_000
# A simulated certificate carries this ending in its framework's name and so never meets a real requirement.
SIMULATED_SUFFIX = "-LIKE"


class EntityKind(StrEnum):
    """What a holder is. Only a company needs holders of its own before its control is known."""

    COMPANY = "company"
    NATURAL_PERSONS = "natural_persons"
    STATE = "state"
    FREE_FLOAT = "free_float"


class Ternary(StrEnum):
    """The outcome of a test on facts that may be missing; UNKNOWN is refused like FAIL."""

    PASS = "pass"  # noqa: S105 - the outcome of a test
    FAIL = "fail"
    UNKNOWN = "unknown"


class Attribution(StrEnum):
    """How a holder's holders count: in proportion, or whole once they are controlled (the stricter reading)."""

    CONSERVATIVE = "conservative"
    PROPORTIONAL = "proportional"


class LicenceColour(StrEnum):
    """Green: OSI-approved; yellow: restricted use, size, geography or naming; blue: closed or no weights."""

    GREEN = "green"
    YELLOW = "yellow"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in the two languages that a reader of a verdict is owed."""

    en: str
    fr: str


@dataclass(frozen=True, slots=True)
class LegalEntity:
    """A person, company, state or dispersed float. `valid_to` is exclusive; None means still true."""

    id: LegalEntityId
    name: str
    kind: EntityKind
    seat: Country | None
    central_administration: Country | None
    principal_establishment: Country | None
    siren: str | None
    lei: str | None
    evidence: str
    evidence_sha256: str | None
    valid_from: datetime
    valid_to: datetime | None
    recorded_at: datetime

    @property
    def places(self) -> tuple[Country | None, ...]:
        """The three places of SecNumCloud 3.2 §19.6(a); persons, states and floats have one."""
        if self.kind is EntityKind.COMPANY:
            return (self.seat, self.central_administration, self.principal_establishment)
        return (self.seat,)

    @property
    def is_eu(self) -> bool | None:
        """Whether every place is in the Union; False as soon as one is outside, None while one is missing."""
        known = [place for place in self.places if place is not None]
        if any(not place.is_eu for place in known):
            return False
        return True if len(known) == len(self.places) else None


@dataclass(frozen=True, slots=True)
class Holding:
    """`holder_id` holds a share of `held_id`. None for a share that nobody has stated."""

    id: HoldingId
    holder_id: LegalEntityId
    held_id: LegalEntityId
    capital_bp: int | None
    votes_bp: int | None
    has_veto: bool
    appoints_board_majority: bool
    has_dominance: bool
    evidence: str
    evidence_sha256: str | None
    valid_from: datetime
    valid_to: datetime | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Certification:
    """A certificate for an entity, a site, or an entity at a site; valid through the whole day `expires_on`."""

    id: CertificationId
    framework: str
    version: str
    level: str | None
    entity_id: LegalEntityId | None
    site_code: str | None
    issued_on: date
    expires_on: date
    evidence: str
    evidence_sha256: str | None
    valid_from: datetime
    valid_to: datetime | None
    recorded_at: datetime

    @property
    def starts_at(self) -> datetime:
        return datetime.combine(self.issued_on, time(), UTC)

    @property
    def ends_at(self) -> datetime:
        """The first instant at which the certificate no longer holds by its own date."""
        return datetime.combine(self.expires_on + timedelta(days=1), time(), UTC)

    @property
    def is_simulated(self) -> bool:
        return self.framework.endswith(SIMULATED_SUFFIX)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """An end of admissibility that stated facts announce: from when on, and why in a sentence."""

    at: datetime
    text: str


T_co = TypeVar("T_co", LegalEntity, Holding, Certification, covariant=True)


@dataclass(frozen=True, slots=True)
class Fact(Generic[T_co]):
    """A fact with its administration: when its end was recorded, if it was, and its version."""

    value: T_co
    ended_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class FactSet:
    """The facts that held at one instant, for the entities upstream of those that are judged."""

    entities: tuple[LegalEntity, ...]
    holdings: tuple[Holding, ...]
    certifications: tuple[Certification, ...]


@dataclass(frozen=True, slots=True)
class CertificationRequirement:
    """Any version when `version_min` is None; still valid for at least `days_left_min` days."""

    framework: str
    version_min: str | None = None
    days_left_min: int = 0


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a tenant asks of every place that runs its service; what is not set is not asked.

    Units: `pue_below_milli` (exclusive) and `gco2_per_kwh_max_milli` (inclusive) in thousandths.
    """

    countries: frozenset[Country] = frozenset()
    is_non_eu_control_denied: bool = False
    is_secnumcloud_ownership_required: bool = False
    attribution: Attribution = Attribution.CONSERVATIVE
    certifications: tuple[CertificationRequirement, ...] = ()
    pue_below_milli: int | None = None
    gco2_per_kwh_max_milli: int | None = None
    licence_colours: frozenset[LicenceColour] = frozenset()


@dataclass(frozen=True, slots=True)
class SiteChange:
    """Who runs and owns a site from an instant on."""

    at: datetime
    operator_entity_id: LegalEntityId
    owner_entity_id: LegalEntityId


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What capacity states of a datacenter. `gco2_per_kwh_milli` None: the country's yearly mean is taken.

    `changes` are all stated changes of operator and owner, in the order of time; `fact_ids` are the wire ids of those
    statements.
    """

    code: str
    country: Country
    operator_entity_id: LegalEntityId | None
    owner_entity_id: LegalEntityId | None
    pue_milli: int | None
    gco2_per_kwh_milli: int | None = None
    changes: tuple[SiteChange, ...] = ()
    fact_ids: tuple[str, ...] = ()

    def as_of(self, at: datetime) -> SiteFacts:
        """The site with the operator and owner of an instant."""
        begun = [change for change in self.changes if change.at <= at]
        if not begun:
            return self
        return replace(
            self, operator_entity_id=begun[-1].operator_entity_id, owner_entity_id=begun[-1].owner_entity_id
        )


class ReasonCode(StrEnum):
    """Why a place or a model is refused; stable on the wire."""

    COUNTRY_NOT_ALLOWED = "country_not_allowed"
    ENTITY_UNKNOWN = "entity_unknown"
    NON_EU_CONTROL = "non_eu_control"
    NON_EU_CONTROL_UNKNOWN = "non_eu_control_unknown"
    OWNERSHIP_LIMITS = "ownership_limits"
    OWNERSHIP_LIMITS_UNKNOWN = "ownership_limits_unknown"
    CERTIFICATION_MISSING = "certification_missing"
    CERTIFICATION_EXPIRED = "certification_expired"
    CERTIFICATION_TOO_OLD = "certification_version"
    CERTIFICATION_ENDS_SOON = "certification_ends_soon"
    PUE_TOO_HIGH = "pue_too_high"
    PUE_UNKNOWN = "pue_unknown"
    CARBON_TOO_HIGH = "carbon_too_high"
    CARBON_UNKNOWN = "carbon_unknown"
    LICENCE_NOT_ALLOWED = "licence_not_allowed"


@dataclass(frozen=True, slots=True)
class WhyStep:
    """One edge of a why-path: a sentence, the wire id of the fact behind it, and its evidence."""

    fact_id: str
    text: Text
    evidence: str
    evidence_sha256: str | None


@dataclass(frozen=True, slots=True)
class Reason:
    """One failing rule: what was required, what was observed, and the edges that prove it."""

    code: ReasonCode
    required: str
    observed: str
    text: Text
    why_path: tuple[WhyStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a site meets a requirement at an instant; every failing rule is a reason.

    `facts_read` are wire ids of the facts used; `watched` are the keys (entity ids, `site:<code>`) whose change
    makes the verdict stale; `proof` are the holdings and certificates that an answer in favour rests on, `owners` the
    wire ids of the persons and States on whom control ends; `expires_at` is when it changes by the calendar alone, None
    if it does not.
    """

    site_code: str
    is_admissible: bool
    reasons: tuple[Reason, ...]
    facts_read: tuple[str, ...]
    watched: tuple[str, ...]
    decided_at: datetime
    expires_at: datetime | None
    policy_hash: str
    proof: tuple[WhyStep, ...] = ()
    owners: tuple[str, ...] = ()
