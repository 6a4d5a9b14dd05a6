"""Ownership graphs in a few words, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from uuid import UUID

from controlplane.kernel.ids import CertificationId, HoldingId, LegalEntityId
from controlplane.kernel.jurisdiction import Country
from controlplane.sovereignty.domain import (
    Certification,
    EntityKind,
    FactSet,
    Holding,
    LegalEntity,
    SiteFacts,
)
from controlplane.sovereignty.graph_rules import OwnershipGraph, build_graph

BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class Register:
    """States facts by short names and builds the fact set."""

    entities: dict[str, LegalEntity] = field(default_factory=dict)
    holdings: list[Holding] = field(default_factory=list)
    certifications: list[Certification] = field(default_factory=list)

    def company(self, name: str, seat: str | None, administration: str | None = None) -> LegalEntityId:
        return self._entity(name, EntityKind.COMPANY, seat, administration or seat)

    def people(self, name: str, country: str | None = "FR") -> LegalEntityId:
        return self._entity(name, EntityKind.NATURAL_PERSONS, country, None)

    def free_float(self, name: str, country: str | None = None) -> LegalEntityId:
        return self._entity(name, EntityKind.FREE_FLOAT, country, None)

    def _entity(
        self, name: str, kind: EntityKind, seat: str | None, administration: str | None
    ) -> LegalEntityId:
        entity = LegalEntity(
            id=LegalEntityId(UUID(int=len(self.entities) + 1)),
            name=name,
            kind=kind,
            seat=None if seat is None else Country(seat),
            central_administration=None if administration is None else Country(administration),
            principal_establishment=None if seat is None else Country(seat),
            siren=None,
            lei=None,
            evidence=f"register entry of {name}",
            evidence_sha256=None,
            valid_from=BEGINNING,
            valid_to=None,
            recorded_at=BEGINNING,
        )
        self.entities[name] = entity
        return entity.id

    def hold(
        self,
        holder: str,
        held: str,
        capital_bp: int | None,
        votes_bp: int | None = -1,
        *,
        veto: bool = False,
        board: bool = False,
        dominance: bool = False,
        valid_to: datetime | None = None,
    ) -> Holding:
        """State a holding; votes are like capital unless given."""
        holding = Holding(
            id=HoldingId(UUID(int=1_000 + len(self.holdings))),
            holder_id=self[holder],
            held_id=self[held],
            capital_bp=capital_bp,
            votes_bp=capital_bp if votes_bp == -1 else votes_bp,
            has_veto=veto,
            appoints_board_majority=board,
            has_dominance=dominance,
            evidence=f"share register of {held}",
            evidence_sha256=None,
            valid_from=BEGINNING,
            valid_to=valid_to,
            recorded_at=BEGINNING,
        )
        self.holdings.append(holding)
        return holding

    def certify(
        self,
        framework: str,
        version: str,
        expires_on: date,
        *,
        entity: str | None = None,
        site: str | None = None,
        issued_on: date = date(2025, 1, 1),
    ) -> Certification:
        certification = Certification(
            id=CertificationId(UUID(int=2_000 + len(self.certifications))),
            framework=framework,
            version=version,
            level=None,
            entity_id=None if entity is None else self[entity],
            site_code=site,
            issued_on=issued_on,
            expires_on=expires_on,
            evidence="certificate",
            evidence_sha256=None,
            valid_from=BEGINNING,
            valid_to=None,
            recorded_at=BEGINNING,
        )
        self.certifications.append(certification)
        return certification

    def __getitem__(self, name: str) -> LegalEntityId:
        return self.entities[name].id

    @property
    def facts(self) -> FactSet:
        return FactSet(tuple(self.entities.values()), tuple(self.holdings), tuple(self.certifications))

    @property
    def graph(self) -> OwnershipGraph:
        return build_graph(self.facts)

    def site(self, operator: str | None, owner: str | None = "", country: str = "FR") -> SiteFacts:
        owner = operator if owner == "" else owner
        return SiteFacts(
            code="essonne-1",
            country=Country(country),
            operator_entity_id=None if operator is None else self[operator],
            owner_entity_id=None if owner is None else self[owner],
            pue_milli=1_200,
        )


def mini_case(*, has_budget_veto: bool = False) -> Register:
    """The worked case of the sovereignty sheet, §3.5b."""
    register = Register()
    register.company("OpCo", "FR")
    register.company("HoldCo", "FR")
    register.company("FundUS", "US")
    register.company("FundUAE", "AE")
    register.people("Employees")
    register.hold("HoldCo", "OpCo", 5_500)
    register.hold("FundUS", "HoldCo", 3_000)
    register.hold("Employees", "HoldCo", 7_000)
    register.hold("FundUS", "OpCo", 1_500, veto=has_budget_veto)
    register.hold("FundUAE", "OpCo", 2_000)
    register.hold("Employees", "OpCo", 1_000)
    return register
