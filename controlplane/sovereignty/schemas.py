"""Wire shapes of the sovereignty room. `SovereigntyBlock` is also the `sovereignty` part of a service definition."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from controlplane.kernel.jurisdiction import Country
from controlplane.plumbing.web import WireModel
from controlplane.sovereignty.domain import (
    Attribution,
    CertificationRequirement,
    LicenceColour,
    Requirement,
)

_FRAMEWORK = r"^[A-Z0-9]+(-[A-Z0-9]+)*$"
_VERSION = r"^[0-9A-Za-z]+([.:-][0-9A-Za-z]+)*$"
_SITE = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"


def _known_country(code: str) -> str:
    Country(code)
    return code


CountryCode = Annotated[
    str,
    Field(min_length=2, max_length=2, description="ISO 3166-1 alpha-2 code in upper case.", examples=["FR"]),
    AfterValidator(_known_country),
]
Sha256 = Annotated[
    str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the evidence document, in hexadecimal.")
]


class RequiredCertification(WireModel):
    """A certificate that must cover the place."""

    framework: str = Field(
        pattern=_FRAMEWORK,
        max_length=40,
        description="Framework, such as SECNUMCLOUD, HDS or ISO27001. A simulated certificate ends in -LIKE and"
        " meets only a requirement that names it so.",
        examples=["SECNUMCLOUD"],
    )
    version_min: str | None = Field(
        default=None, pattern=_VERSION, max_length=20, description="Oldest accepted version.", examples=["3.2"]
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
        default=[], max_length=3, description="Licence colours of models allowed; empty means any.", examples=[["green"]]
    )

    def to_requirement(self) -> Requirement:
        return Requirement(
            countries=frozenset(Country(code) for code in self.countries),
            is_non_eu_control_denied=self.is_non_eu_control_denied,
            is_secnumcloud_ownership_required=self.is_secnumcloud_ownership_required,
            attribution=Attribution(self.attribution),
            certifications=tuple(
                CertificationRequirement(c.framework, c.version_min, c.days_left_min) for c in self.certifications
            ),
            pue_below_milli=self.pue_below_milli,
            gco2_per_kwh_max_milli=self.gco2_per_kwh_max_milli,
            licence_colours=frozenset(LicenceColour(colour) for colour in self.licence_colours),
        )
