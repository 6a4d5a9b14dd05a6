"""REST of signing up: the one operation that needs no key, and the operator's own way to the same end."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import Field

from controlplane.identity import service
from controlplane.identity.api import key_maker
from controlplane.identity.domain import Action, Resource
from controlplane.identity.schemas import ApiKeyCreatedShape
from controlplane.kernel.errors import FieldProblem, Forbidden, InvalidInput
from controlplane.plumbing.settings import Settings
from controlplane.plumbing.web import EdgeDep, Problem, WireModel
from controlplane.tenancy.schemas import (
    OrganizationCreate,
    OrganizationShape,
    ProjectShape,
    Slug,
)

public_router = APIRouter(prefix="/v1", tags=["sign-up"])
admin_router = APIRouter(prefix="/v1/admin/organizations", tags=["admin: organizations"])


class FirstProject(WireModel):
    name: Slug = Field(default="default", description="Name of the first project.", examples=["default"])


class SignupRequest(WireModel):
    organization: OrganizationCreate = Field(description="The organization and its billing party.")
    project: FirstProject = Field(default=FirstProject(), description="Its first project.")


class OwnSignupRequest(SignupRequest):
    accepted_terms: str | None = Field(
        default=None,
        max_length=40,
        description="Version of the terms of service that you have read and accept, as `GET /v1/terms` names it.",
        examples=["2026-11"],
    )


class TermsShape(WireModel):
    version: str = Field(description="The version in force.", examples=["2026-11"])
    url: str | None = Field(description="Where it is read.", examples=["https://cloud.example/terms"])


class TermsAnswer(WireModel):
    terms: TermsShape = Field(description="What a new customer accepts.")


class SignupAnswer(WireModel):
    organization: OrganizationShape = Field(description="The new organization.")
    project: ProjectShape = Field(description="Its first and default project.")
    api_key: ApiKeyCreatedShape = Field(description="Its owner's key; copy the secret now.")

    @classmethod
    def of(cls, signed_up: service.SignedUp) -> SignupAnswer:
        return cls(
            organization=OrganizationShape.of(signed_up.tenant),
            project=ProjectShape.of(signed_up.project),
            api_key=ApiKeyCreatedShape.of_issued(signed_up.key, signed_up.tenant.created_at),
        )

    def redacted(self) -> SignupAnswer:
        return self.model_copy(update={"api_key": self.api_key.model_copy(update={"secret": None})})


@public_router.get(
    "/terms", operation_id="get_terms", summary="Show which terms of service a new customer accepts",
    responses={429: {"model": Problem}},
)  # fmt: skip
def get_terms(edge: EdgeDep) -> TermsAnswer:
    settings = edge.settings
    return TermsAnswer(terms=TermsShape(version=settings.terms_version, url=settings.terms_url or None))


@public_router.post(
    "/signup", operation_id="sign_up", summary="Create an organization, a project and an owner's key",
    status_code=201, response_model=SignupAnswer,
    responses={status: {"model": Problem} for status in (403, 409, 422, 429)},
)  # fmt: skip
def sign_up(body: OwnSignupRequest, edge: EdgeDep) -> Response:
    """It waits for the operator's approval under small limits, unless this installation approves by itself.

    The answer is the same whether or not the name or the company is known here already.
    """
    settings = edge.settings
    if not settings.is_signup_open:
        raise Forbidden("Signing up is closed on this platform; ask its operator for an organization.")
    check_terms(settings, body.accepted_terms)
    pending_max = settings.pending_signups_max if settings.is_approval_needed else None
    return _create(body, edge, "signup", terms=body.accepted_terms, pending_max=pending_max)


def check_terms(settings: Settings, accepted: str | None) -> None:
    """Raise InvalidInput unless the version in force was accepted; the sentence says which one that is."""
    if accepted == settings.terms_version:
        return
    where = f" ({settings.terms_url})" if settings.terms_url else ""
    problem = FieldProblem(
        "accepted_terms",
        f"Read the terms of service{where} and send the version that you accept: '{settings.terms_version}'.",
        "terms_not_accepted",
    )
    raise InvalidInput("The terms of service in force were not accepted.", fields=(problem,))


@admin_router.post(
    "", operation_id="admin_create_organization", summary="Create an organization for somebody",
    status_code=201, response_model=SignupAnswer,
)  # fmt: skip
def create_organization(body: SignupRequest, edge: EdgeDep) -> Response:
    service.require_platform(edge.principal)
    service.require(edge.principal, Resource.ORGANIZATION, Action.CREATE)
    return _create(body, edge, edge.principal.actor)


def _create(
    body: SignupRequest,
    edge: EdgeDep,
    actor: str,
    *,
    terms: str | None = None,
    pending_max: int | None = None,
) -> Response:
    maker = key_maker(edge.settings)
    return edge.write(
        lambda uow: SignupAnswer.of(
            service.sign_up(
                uow,
                body.organization.name,
                body.organization.to_party(),
                body.project.name,
                maker,
                actor=actor,
                terms=terms,
                pending_max=pending_max,
            )
        ),
        status=201,
        redact=SignupAnswer.redacted,
    )
