"""One request as a page's handler sees it: who is signed in, in which language, with which form, and how to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from controlplane.kernel.clock import Clock
from controlplane.plumbing.address_rules import Network, written_address
from controlplane.portal.connections import BoundedConnections, SharedConnections
from controlplane.portal.errors import ForeignForm, SignInNeeded, UnreadableForm, WrongDoor
from controlplane.portal.labels import DONE
from controlplane.portal.leaving import AnswerSlots
from controlplane.portal.render import Renderer
from controlplane.portal.request_rules import (
    Form,
    choose_language,
    first,
    is_own_request,
    parse_form,
)
from controlplane.portal.sessions import Session, Sessions, new_id
from controlplane.sdk import ApiError, AsyncGateway, Forbidden, Rempart
from controlplane.sdk.resources import Page

PAGE_ITEMS = 20
PROJECTS_PAGE = 200
# A list to choose from; who has more names one in the address.
PROJECTS_MAX = 1_000
# A page is looked at by somebody who waits: the client's own patience is for programs.
API_TIMEOUT_SECONDS = 10.0
API_BACKOFF_SECONDS = 0.05
API_TRIES_MAX = 2
# A page says how long to wait; it does not wait itself.
API_PATIENCE_SECONDS = 1.0
# What the API keeps of it, less the portal's own name.
AGENT_LENGTH_MAX = 180
SESSION_COOKIE = "__Host-rempart-session"
VISITOR_COOKIE = "__Host-rempart-visitor"
LANGUAGE_COOKIE = "rempart-language"
LANGUAGE_SECONDS = 365 * 86_400
TOKEN_FIELD = "form_token"  # noqa: S105 - a field's name

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Portal:
    """What all requests share."""

    sessions: Sessions
    renderer: Renderer
    clock: Clock
    api_url: str
    gateway_url: str
    connections: SharedConnections
    answers: AnswerSlots = field(default_factory=AnswerSlots)
    trusted_networks: tuple[Network, ...] = ()

    def client(self, key: str, visitor: str, agent: str) -> Rempart:
        """The API for one page of a visitor (an address): its connections are all pages', its waits end with it.

        `agent` is the visitor's browser, for the audit.
        """
        return Rempart(
            key,
            self.api_url,
            timeout_seconds=API_TIMEOUT_SECONDS,
            backoff_seconds=API_BACKOFF_SECONDS,
            tries_max=API_TRIES_MAX,
            patience_seconds=API_PATIENCE_SECONDS,
            transport=BoundedConnections(self.connections, visitor, agent),
        )

    def gateway(self, key: str) -> AsyncGateway:
        """The gateway for one call, on a connection of its own: it ends with the call."""
        return AsyncGateway(key, self.gateway_url)


class Visit:
    """A request, signed in or not."""

    def __init__(self, request: Request, form: Form) -> None:
        self.request = request
        self.form = form
        self.portal: Portal = request.app.state.portal
        self.language = choose_language(
            request.cookies.get(LANGUAGE_COOKIE), request.headers.get("Accept-Language")
        )
        self.session: Session | None = None
        self.address = written_address(self.portal.trusted_networks, request.scope)
        self.agent = request.headers.get("User-Agent", "")[:AGENT_LENGTH_MAX]
        self.visitor = request.cookies.get(VISITOR_COOKIE) or new_id()

    @property
    def is_partial(self) -> bool:
        """Whether htmx asks for a part of a page."""
        return self.request.headers.get("HX-Request") == "true"

    @property
    def here(self) -> str:
        """This page's path with its query, for coming back to it."""
        query = self.request.url.query
        return self.request.url.path + (f"?{query}" if query else "")

    def form_token(self) -> str:
        owner = self.visitor if self.session is None else self.session.id
        return self.portal.sessions.form_token(owner)

    def require_own_form(self) -> None:
        """Errors: ForeignForm unless one of our pages, shown to this very visitor, sent the form."""
        owner = self.visitor if self.session is None else self.session.id
        headers = self.request.headers
        if not is_own_request(
            headers.get("Host", ""), headers.get("Origin"), headers.get("Sec-Fetch-Site")
        ) or not self.portal.sessions.is_form_token(owner, first(self.form, TOKEN_FIELD)):
            raise ForeignForm

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        done = self.request.query_params.get("done", "")
        html = self.portal.renderer.render(
            template,
            self.language,
            {
                "session": self.session,
                "path": self.request.url.path,
                "here": self.here,
                "form_token": self.form_token(),
                "once": new_id(),
                "now": self.portal.clock.now(),
                "done": DONE.get(done, ""),
                **context,
            },
        )
        return HTMLResponse(html, status_code=status, headers={"Cache-Control": "no-store"})

    def go(self, path: str, **query: str) -> Response:
        """Answer a form that was carried out: the browser asks for the page to look at."""
        return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, status_code=303)

    def translate(self, text: str) -> str:
        return self.portal.renderer.translate(text, self.language)


class SignedIn(Visit):
    """A request with a session; `api` is the public API under the session's key."""

    def __init__(self, request: Request, form: Form, session: Session) -> None:
        super().__init__(request, form)
        self.session = session
        self.who = session
        self.api = self.portal.client(session.key, self.address, self.agent)
        self._projects: list[dict[str, Any]] | None = None

    def cursor(self) -> str | None:
        return self.request.query_params.get("cursor") or None

    def projects(self) -> list[dict[str, Any]]:
        """The projects that this key sees, read once a page."""
        if self._projects is None:
            found = self.allowed(
                lambda: list(islice(self.api.projects.list(limit=PROJECTS_PAGE), PROJECTS_MAX))
            )
            self._projects = found or []
        return self._projects

    def chosen_project(self) -> str | None:
        """The project that the address names, as long as this key sees it; None for all."""
        wanted = self.request.query_params.get("project", "")
        return wanted if any(each["id"] == wanted for each in self.projects()) else None

    def project_choice(self) -> dict[str, Any]:
        """What a page needs to show projects and let one be chosen; `projects` is empty when there is one only."""
        found = self.projects()
        return {
            "projects": found if len(found) > 1 else [],
            "project_names": {each["id"]: each["name"] for each in found},
            "chosen_project": self.chosen_project() or "",
        }

    def listed(self, collection: Any, **params: Any) -> Page:
        """Return the page of a list that the address asks for."""
        found: Page = collection.page(limit=PAGE_ITEMS, cursor=self.cursor(), **params)
        return found

    def allowed(self, read: Callable[[], T]) -> T | None:
        """Return what the key's role may read, None for what it may not: a page shows the rest."""
        try:
            return read()
        except Forbidden:
            return None

    def field(self, name: str) -> str:
        return first(self.form, name)

    def refused(self, error: ApiError) -> tuple[int, str]:
        """The status and sentence of a refusal, for a page that shows its form again."""
        return (error.status if error.status < 500 else 503), error.message


async def read_form(request: Request) -> Form:
    """Read a form, which `admission` has bounded. Errors: UnreadableForm."""
    if request.method != "POST":
        return {}
    try:
        return parse_form(await request.body())
    except ValueError as err:
        raise UnreadableForm(str(err)) from err


def visit(request: Request, form: Annotated[Form, Depends(read_form)]) -> Visit:
    """FastAPI dependency: a request of anybody."""
    return Visit(request, form)


def signed_in(request: Request, form: Annotated[Form, Depends(read_form)]) -> SignedIn:
    """FastAPI dependency: a request with a session, and a change only by one of the session's own forms."""
    portal: Portal = request.app.state.portal
    session_id = request.cookies.get(SESSION_COOKIE)
    if not session_id:
        raise SignInNeeded
    session = portal.sessions.find(session_id)
    if session is None:
        raise SignInNeeded("ended")
    request.state.session = session
    found = SignedIn(request, form, session)
    if request.method == "POST":
        found.require_own_form()
    return found


def tenant(found: Annotated[SignedIn, Depends(signed_in)]) -> SignedIn:
    """FastAPI dependency: a tenant's session."""
    if found.who.is_operator:
        raise WrongDoor
    return found


def operator(found: Annotated[SignedIn, Depends(signed_in)]) -> SignedIn:
    """FastAPI dependency: the platform operator's session."""
    if not found.who.is_operator:
        raise WrongDoor
    return found


VisitDep = Annotated[Visit, Depends(visit)]
SignedInDep = Annotated[SignedIn, Depends(signed_in)]
TenantDep = Annotated[SignedIn, Depends(tenant)]
OperatorDep = Annotated[SignedIn, Depends(operator)]
