"""REST of apps and secrets."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from controlplane.deployments import service_apps, service_secrets
from controlplane.deployments.api_common import enter, page_fields, parse, reach
from controlplane.deployments.schemas import AppCreate, AppList, AppOut, AppReply, AppUpdate
from controlplane.deployments.schemas_secrets import (
    SecretCreate,
    SecretList,
    SecretOut,
    SecretReply,
    SecretUpdate,
)
from controlplane.kernel.access import Action, Resource
from controlplane.kernel.ids import AppId, ProjectId, SecretId
from controlplane.plumbing.web import EdgeDep, PagingDep

router = APIRouter(prefix="/v1")
AppPath = Annotated[str, Path(max_length=40, description="Id of the app.")]
SecretPath = Annotated[str, Path(max_length=40, description="Id of the secret.")]
NameQuery = Annotated[str | None, Query(max_length=50, description="Only the one of this name.")]
ProjectQuery = Annotated[str | None, Query(max_length=40, description="Only those of this project.")]


@router.get("/apps", operation_id="list_apps", summary="List apps", tags=["apps"])
def list_apps(
    edge: EdgeDep, paging: PagingDep, name: NameQuery = None, project_id: ProjectQuery = None
) -> AppList:
    bound = enter(edge, Resource.APP, Action.READ)
    after, project = edge.page_after(paging, "apps"), reach(bound, project_id)
    page = edge.read(
        lambda uow: service_apps.list_apps(
            uow, project_id=project, name=name, after=after, limit=paging.limit
        )
    )
    return AppList(apps=[AppOut.of(app) for app in page.items], **page_fields(edge, paging, page, "apps"))


@router.post(
    "/apps",
    operation_id="create_app",
    summary="Create an app",
    tags=["apps"],
    status_code=201,
    response_model=AppReply,
)
def create_app(body: AppCreate, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.APP, Action.CREATE), parse(ProjectId, body.project_id)
    return edge.write(
        lambda uow: AppReply(
            app=AppOut.of(
                service_apps.create_app(
                    uow,
                    actor=edge.principal.actor,
                    project_id=service_apps.find_project(uow, wanted, bound),
                    name=body.name,
                )
            )
        ),
        status=201,
        etag=lambda out: out.app.version,
    )


@router.get(
    "/apps/{app_id}", operation_id="get_app", summary="Show an app", tags=["apps"], response_model=AppReply
)
def get_app(app_id: AppPath, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.APP, Action.READ), AppId.parse(app_id)
    app = edge.read(lambda uow: service_apps.get_app(uow, wanted, bound))
    return edge.answer(AppReply(app=AppOut.of(app)), app.version)


@router.patch(
    "/apps/{app_id}",
    operation_id="update_app",
    summary="Rename an app (needs If-Match)",
    tags=["apps"],
    response_model=AppReply,
)
def update_app(app_id: AppPath, body: AppUpdate, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.APP, Action.UPDATE), AppId.parse(app_id)
    expected = edge.expected_version()
    return edge.write(
        lambda uow: AppReply(
            app=AppOut.of(
                service_apps.rename_app(
                    uow,
                    wanted,
                    actor=edge.principal.actor,
                    bound=bound,
                    expected_version=expected,
                    name=body.name,
                )
            )
        ),
        etag=lambda out: out.app.version,
    )


@router.delete(
    "/apps/{app_id}",
    operation_id="delete_app",
    summary="Delete an app that has no services (needs If-Match)",
    tags=["apps"],
    status_code=204,
    response_class=Response,
)
def delete_app(app_id: AppPath, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.APP, Action.DELETE), AppId.parse(app_id)
    expected = edge.expected_version()
    return edge.write(
        lambda uow: service_apps.delete_app(
            uow, wanted, actor=edge.principal.actor, bound=bound, expected_version=expected
        )
    )


@router.get(
    "/secrets", operation_id="list_secrets", summary="List secrets, without their values", tags=["secrets"]
)
def list_secrets(
    edge: EdgeDep, paging: PagingDep, name: NameQuery = None, project_id: ProjectQuery = None
) -> SecretList:
    bound = enter(edge, Resource.SECRET, Action.READ)
    after, project = edge.page_after(paging, "secrets"), reach(bound, project_id)
    page = edge.read(
        lambda uow: service_secrets.list_secrets(
            uow, project_id=project, name=name, after=after, limit=paging.limit
        )
    )
    return SecretList(
        secrets=[SecretOut.of(secret) for secret in page.items], **page_fields(edge, paging, page, "secrets")
    )


@router.post(
    "/secrets",
    operation_id="create_secret",
    summary="Create a secret",
    tags=["secrets"],
    status_code=201,
    response_model=SecretReply,
)
def create_secret(body: SecretCreate, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.SECRET, Action.CREATE), parse(ProjectId, body.project_id)
    return edge.write(
        lambda uow: SecretReply(
            secret=SecretOut.of(
                service_secrets.create_secret(
                    uow,
                    edge.settings.sealing_ring,
                    actor=edge.principal.actor,
                    project_id=service_apps.find_project(uow, wanted, bound),
                    name=body.name,
                    value=body.value.get_secret_value(),
                )
            )
        ),
        status=201,
        etag=lambda out: out.secret.version,
    )


@router.get(
    "/secrets/{secret_id}",
    operation_id="get_secret",
    summary="Show a secret, without its value",
    tags=["secrets"],
    response_model=SecretReply,
)
def get_secret(secret_id: SecretPath, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.SECRET, Action.READ), SecretId.parse(secret_id)
    secret = edge.read(lambda uow: service_secrets.get_secret(uow, wanted, bound))
    return edge.answer(SecretReply(secret=SecretOut.of(secret)), secret.version)


@router.patch(
    "/secrets/{secret_id}",
    operation_id="update_secret",
    summary="Give a secret a new value (needs If-Match)",
    tags=["secrets"],
    response_model=SecretReply,
)
def update_secret(secret_id: SecretPath, body: SecretUpdate, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.SECRET, Action.UPDATE), SecretId.parse(secret_id)
    expected = edge.expected_version()
    return edge.write(
        lambda uow: SecretReply(
            secret=SecretOut.of(
                service_secrets.replace_secret(
                    uow,
                    edge.settings.sealing_ring,
                    wanted,
                    actor=edge.principal.actor,
                    bound=bound,
                    expected_version=expected,
                    value=body.value.get_secret_value(),
                )
            )
        ),
        etag=lambda out: out.secret.version,
    )


@router.delete(
    "/secrets/{secret_id}",
    operation_id="delete_secret",
    summary="Delete a secret that no service uses (needs If-Match)",
    tags=["secrets"],
    status_code=204,
    response_class=Response,
)
def delete_secret(secret_id: SecretPath, edge: EdgeDep) -> Response:
    bound, wanted = enter(edge, Resource.SECRET, Action.DELETE), SecretId.parse(secret_id)
    expected = edge.expected_version()
    return edge.write(
        lambda uow: service_secrets.delete_secret(
            uow, wanted, actor=edge.principal.actor, bound=bound, expected_version=expected
        )
    )
