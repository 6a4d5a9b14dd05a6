"""The API's reference, from the installation itself: `/docs` and a page for each tag, made on the server.

Nothing is loaded from anywhere else, no script runs, and the policy of the pages says so to the browser: an
installation without a way out shows all of it. The description itself is `/openapi.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from controlplane.entrypoints.reference_rules import Section, build_sections, list_pieces
from controlplane.kernel.errors import NotFound
from controlplane.portal.render import STATIC as PORTAL_FILES

HERE: Final = Path(__file__).parent
# The portal's own sheet, so that both look alike, and what only the reference has.
FILES: Final = {
    "portal.css": (PORTAL_FILES / "portal.css", "text/css"),
    "reference.css": (HERE / "static" / "reference.css", "text/css"),
    "rempart.svg": (PORTAL_FILES / "rempart.svg", "image/svg+xml"),
}
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add_reference(app: FastAPI) -> None:
    """Serve the reference of an application's description."""
    pages = _Pages(app.openapi)

    @app.get("/docs", include_in_schema=False)
    def overview() -> HTMLResponse:
        return HTMLResponse(pages.overview(), headers=HEADERS)

    @app.get("/docs/{slug}", include_in_schema=False)
    def section(slug: str) -> HTMLResponse:
        return HTMLResponse(pages.section(slug), headers=HEADERS)

    @app.get("/docs/files/{name}", include_in_schema=False)
    def file(name: str) -> Response:
        if name not in FILES:
            raise NotFound("There is no such file.")
        path, kind = FILES[name]
        return Response(path.read_bytes(), media_type=kind, headers=HEADERS)


class _Pages:
    """The pages, each made once, when it is first asked for."""

    def __init__(self, describe: Callable[[], dict[str, Any]]) -> None:
        self._describe = describe
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters["pieces"] = list_pieces
        self._sections = lru_cache(maxsize=1)(self._build)
        self._render = lru_cache(maxsize=64)(self._make)

    def overview(self) -> str:
        return self._render(None)

    def section(self, slug: str) -> str:
        """Errors: NotFound for what is no section."""
        found = next((each for each in self._sections() if each.slug == slug), None)
        if found is None:
            raise NotFound("The reference has no such section.")
        return self._render(found)

    def _build(self) -> tuple[Section, ...]:
        return build_sections(self._describe())

    def _make(self, section: Section | None) -> str:
        template = self._templates.get_template("reference.html")
        return template.render(info=self._describe()["info"], sections=self._sections(), here=section)
