"""Wire shapes of organizations, projects and quotas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator

from controlplane.kernel.text_rules import tidy
from controlplane.plumbing.web import WireModel
from controlplane.tenancy.domain import (
    Address,
    BillingParty,
    Project,
    Quota,
    QuotaName,
    Tenant,
    TenantStatus,
)
from controlplane.tenancy.party_rules import normalize_number

# Names stand in host names and paths: what a DNS label allows, and never an id by mistake (no underscore).
Slug = Annotated[
    str, StringConstraints(min_length=2, max_length=40, pattern=r"^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$")
]
CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


def _compact(value: object) -> object:
    """People write numbers with spaces and dots; the number itself has none."""
    return normalize_number(value, "FR") if isinstance(value, str) else value


def _tidy(value: object) -> object:
    return tidy(value) if isinstance(value, str) else value


class AddressShape(WireModel):
    """A postal address (EN 16931 BG-5, BG-8)."""

    line1: str = Field(
        min_length=1, max_length=200, description="Street and number.", examples=["1 rue du Test"]
    )
    line2: str = Field(
        default="", max_length=200, description="What the street does not say.", examples=["Bât. B"]
    )
    postal_code: str = Field(min_length=1, max_length=20, description="Postal code.", examples=["91120"])
    city: str = Field(min_length=1, max_length=100, description="Town.", examples=["Palaiseau"])
    country: CountryCode = Field(description="ISO 3166-1 alpha-2 code.", examples=["FR"])

    _texts = field_validator("line1", "line2", "postal_code", "city", mode="before")(_tidy)

    def to_domain(self) -> Address:
        return Address(self.line1, self.line2, self.postal_code, self.city, self.country)


class OrganizationCreate(WireModel):
    """A new organization and the company that pays for it."""

    name: Slug = Field(description="Short name; others may have the same one.", examples=["acme"])
    legal_name: str = Field(
        min_length=1, max_length=200, description="Registered name.", examples=["Acme SAS"]
    )
    country: CountryCode = Field(description="Where the company is registered.", examples=["FR"])
    siren: str | None = Field(
        default=None, max_length=20, description="SIREN; required in France only.", examples=["732829320"]
    )
    vat_id: str | None = Field(
        default=None,
        max_length=40,
        description=(
            "VAT number with its country prefix; outside the Union the business number in its national form. "
            "Outside France it is required."
        ),
        examples=["FR44732829320"],
    )
    address: AddressShape = Field(description="Address that invoices name.")

    _numbers = field_validator("siren", mode="before")(_compact)
    _texts = field_validator("legal_name", mode="before")(_tidy)

    def to_party(self) -> BillingParty:
        vat_id = None if self.vat_id is None else normalize_number(self.vat_id, self.country)
        return BillingParty(self.legal_name, self.country, self.siren, vat_id, self.address.to_domain())


class OrganizationUpdate(WireModel):
    """What changes of the billing party; a field that is left out stays, `null` clears a number."""

    legal_name: str | None = Field(
        default=None, min_length=1, max_length=200, description="Registered name.", examples=["Acme SA"]
    )
    country: CountryCode | None = Field(default=None, description="Where it is registered.", examples=["FR"])
    siren: str | None = Field(default=None, max_length=20, description="SIREN.", examples=["732829320"])
    vat_id: str | None = Field(
        default=None, max_length=40, description="VAT or business number.", examples=["FR44732829320"]
    )
    address: AddressShape | None = Field(default=None, description="Address that invoices name.")

    _numbers = field_validator("siren", mode="before")(_compact)
    _texts = field_validator("legal_name", mode="before")(_tidy)

    def apply(self, party: BillingParty) -> BillingParty:
        given = self.model_fields_set
        country = self.country or party.country
        vat_id = self.vat_id if "vat_id" in given else party.vat_id
        return BillingParty(
            legal_name=self.legal_name or party.legal_name,
            country=country,
            siren=self.siren if "siren" in given else party.siren,
            vat_id=None if vat_id is None else normalize_number(vat_id, country),
            address=party.address if self.address is None else self.address.to_domain(),
        )


class OrganizationShape(WireModel):
    id: str = Field(description="Id of the organization.", examples=["org_01jd00000000000000000000a0"])
    name: str = Field(description="Short name; others may have the same one.", examples=["acme"])
    status: TenantStatus = Field(
        description=(
            "PENDING: it waits for the operator's approval under small limits; ACTIVE; SUSPENDED or REFUSED: it can "
            "read and change nothing."
        ),
        examples=["ACTIVE"],
    )
    suspension_reason: str | None = Field(description="Why it is suspended or was refused.", examples=[None])
    legal_name: str = Field(description="Registered name.", examples=["Acme SAS"])
    country: str = Field(description="Where the company is registered.", examples=["FR"])
    siren: str | None = Field(description="SIREN.", examples=["732829320"])
    vat_id: str | None = Field(description="VAT number.", examples=["FR44732829320"])
    address: AddressShape = Field(description="Address that invoices name.")
    accepted_terms: str | None = Field(
        description="Version of the terms of service that it accepted last.", examples=["2026-11"]
    )
    terms_accepted_at: datetime | None = Field(
        description="When it accepted them.", examples=["2026-11-21T09:00:00Z"]
    )
    version: int = Field(description="Counts changes; the ETag.", examples=[1])
    created_at: datetime = Field(description="When it signed up.", examples=["2026-11-21T09:00:00Z"])
    updated_at: datetime = Field(description="When it was changed last.", examples=["2026-11-21T09:00:00Z"])

    @classmethod
    def of(cls, tenant: Tenant) -> OrganizationShape:
        party = tenant.billing_party
        place = party.address
        return cls(
            id=str(tenant.id),
            name=tenant.name,
            status=tenant.status,
            suspension_reason=tenant.suspension_reason,
            legal_name=party.legal_name,
            country=party.country,
            siren=party.siren,
            vat_id=party.vat_id,
            address=AddressShape(
                line1=place.line1,
                line2=place.line2,
                postal_code=place.postal_code,
                city=place.city,
                country=place.country,
            ),
            accepted_terms=tenant.terms,
            terms_accepted_at=tenant.terms_accepted_at,
            version=tenant.version,
            created_at=tenant.created_at,
            updated_at=tenant.updated_at,
        )


class OrganizationAnswer(WireModel):
    organization: OrganizationShape = Field(description="The organization.")

    @classmethod
    def of(cls, tenant: Tenant) -> OrganizationAnswer:
        return cls(organization=OrganizationShape.of(tenant))


class PageShape(WireModel):
    """What every list says about its page."""

    limit: int = Field(description="How many items a page holds.", examples=[50])
    has_next: bool = Field(description="Whether more follow.", examples=[False])
    next_cursor: str | None = Field(description="Cursor of the next page.", examples=[None])


class OrganizationList(PageShape):
    organizations: list[OrganizationShape] = Field(description="Newest first.")


class TaxZoneApproval(WireModel):
    reason: str = Field(
        min_length=1,
        max_length=500,
        description="By what proof.",
        examples=["SIRET 73282932000082, Cayenne."],
    )


class OrganizationApproval(WireModel):
    version: int = Field(
        ge=1, le=2_147_483_647, description="The `version` that you looked at: another one is not approved.",
        examples=[1],
    )  # fmt: skip


class RefuseRequest(WireModel):
    reason: str = Field(
        min_length=1, max_length=500, description="Shown to the organization.",
        examples=["The company's register names nobody of your name."],
    )  # fmt: skip


class AlikeList(WireModel):
    organizations: list[OrganizationShape] = Field(
        description="Others of the same name, registered name, SIREN or VAT number, newest first; at most 50."
    )


class SuspendRequest(WireModel):
    reason: str = Field(
        min_length=1, max_length=500, description="Shown to the organization.", examples=["Unpaid invoice."]
    )


class ProjectCreate(WireModel):
    name: Slug = Field(description="Unique name in the organization.", examples=["chat"])
    description: str = Field(
        default="", max_length=500, description="What it is for.", examples=["Chat service"]
    )


class ProjectUpdate(WireModel):
    name: Slug | None = Field(default=None, description="New name.", examples=["assistant"])
    description: str | None = Field(
        default=None, max_length=500, description="New description.", examples=["Assistant"]
    )


class ProjectShape(WireModel):
    id: str = Field(description="Id of the project.", examples=["prj_01jd00000000000000000000a0"])
    name: str = Field(description="Unique name in the organization.", examples=["chat"])
    description: str = Field(description="What it is for.", examples=["Chat service"])
    is_default: bool = Field(
        description="API keys that are bound to no project call models in this one.", examples=[True]
    )
    version: int = Field(description="Counts changes; the ETag.", examples=[1])
    created_at: datetime = Field(description="When it was created.", examples=["2026-11-21T09:00:00Z"])
    updated_at: datetime = Field(description="When it was changed last.", examples=["2026-11-21T09:00:00Z"])

    @classmethod
    def of(cls, project: Project) -> ProjectShape:
        return cls(
            id=str(project.id),
            name=project.name,
            description=project.description,
            is_default=project.is_default,
            version=project.version,
            created_at=project.created_at,
            updated_at=project.updated_at,
        )


class ProjectAnswer(WireModel):
    project: ProjectShape = Field(description="The project.")

    @classmethod
    def of(cls, project: Project) -> ProjectAnswer:
        return cls(project=ProjectShape.of(project))


class ProjectList(PageShape):
    projects: list[ProjectShape] = Field(description="Newest first.")


class QuotaShape(WireModel):
    name: QuotaName = Field(description="What is limited.", examples=["gpus"])
    limit: int = Field(description="How many the organization may have.", examples=[64])
    is_default: bool = Field(
        description="False where the operator set it for this organization.", examples=[True]
    )

    @classmethod
    def of(cls, quota: Quota) -> QuotaShape:
        return cls(name=quota.name, limit=quota.limit, is_default=quota.is_default)


class QuotaAnswer(WireModel):
    quota: QuotaShape = Field(description="The limit.")


class QuotaList(WireModel):
    quotas: list[QuotaShape] = Field(description="Every limit that binds the organization.")


class QuotaSet(WireModel):
    limit: int = Field(ge=0, le=1_000_000, description="How many the organization may have.", examples=[128])


def page_fields(limit: int, next_cursor: str | None) -> Mapping[str, Any]:
    return {"limit": limit, "has_next": next_cursor is not None, "next_cursor": next_cursor}
