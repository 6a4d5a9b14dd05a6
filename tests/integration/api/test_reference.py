"""The reference below `/docs`: whole, of this installation alone, and the same in production."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest
from fastapi.testclient import TestClient

from controlplane.entrypoints.api import create_app
from controlplane.entrypoints.openapi_rules import list_operations
from controlplane.plumbing.database import Database
from controlplane.plumbing.settings import Settings

HOME = "http://api.test"
# Attributes by which a page loads or leads to something.
ADDRESSES = frozenset({"href", "src", "srcset", "action", "formaction", "data", "poster", "background"})
IN_STYLE = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


class Page(HTMLParser):
    """What a page names: addresses, anchors of its own, and elements that run or draw something by themselves."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.anchors: list[str] = []
        self.active: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.addresses += [value for name, value in found.items() if name in ADDRESSES]
        self.anchors += [found["id"]] if "id" in found else []
        is_inline = any(name.startswith("on") or name == "style" for name in found)
        if is_inline or tag in {"script", "style", "iframe", "object", "embed", "base"}:
            self.active.append(self.get_starttag_text() or tag)


@pytest.fixture(params=["local", "production"])
def door(request: pytest.FixtureRequest, settings: Settings, database: Database) -> Iterator[TestClient]:
    changed = settings.model_copy(update={"environment": request.param})
    with TestClient(create_app(changed, database), base_url=HOME, follow_redirects=False) as client:
        yield client


def walk(door: TestClient) -> dict[str, tuple[str, str]]:
    """Everything that can be reached from `/docs`: its text and content type by address, without fragments."""
    found: dict[str, tuple[str, str]] = {}
    waiting = [f"{HOME}/docs"]
    while waiting:
        address = waiting.pop()
        if address in found:
            continue
        answer = door.get(address)
        assert answer.status_code == 200, (address, answer.text)
        kind = answer.headers["content-type"].partition(";")[0]
        found[address] = (answer.text, kind)
        if kind == "text/html":
            named = Page(answer.text).addresses
        elif kind == "text/css":
            named = [first or second for first, second in IN_STYLE.findall(answer.text)]
        else:
            named = []
        for each in named:
            target = urljoin(address, each)
            assert target.startswith(f"{HOME}/"), f"{address} names {each}"
            waiting.append(target.partition("#")[0])
    return found


@pytest.mark.case("W10")
def test_the_reference_names_nothing_outside_of_this_installation(door: TestClient) -> None:
    found = walk(door)
    kinds = [kind for _, kind in found.values()]
    assert kinds.count("text/html") == 1 + len(door.get("/openapi.json").json()["tags"])
    assert {"text/css", "image/svg+xml", "application/json"} <= set(kinds)
    for address, (text, kind) in found.items():
        if kind == "text/html":
            assert Page(text).active == [], address
            policy = door.get(address).headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert not re.search(r"https?://|//[a-z]|\*", policy), "no other host may be asked"


@pytest.mark.case("W10")
def test_every_operation_and_its_example_stand_on_a_page(door: TestClient) -> None:
    pages = {urlsplit(at).path: Page(text) for at, (text, kind) in walk(door).items() if kind == "text/html"}
    anchors = {anchor for page in pages.values() for anchor in page.anchors}
    description = door.get("/openapi.json").json()
    for _, _, operation in list_operations(description):
        assert operation["operationId"] in anchors
    # Whatever a page leads to on a page is there.
    for path, page in pages.items():
        assert len(page.anchors) == len(set(page.anchors)), path
        for address in page.addresses:
            target, _, anchor = urljoin(path, address).partition("#")
            assert not anchor or anchor in pages[target].anchors, (path, address)
    text = door.get("/docs/projects").text
    assert "&#34;description&#34;: &#34;Chat service&#34;" in text
    assert "curl -X POST" in text


@pytest.mark.case("W10")
@pytest.mark.parametrize(
    "path", ["/docs/nothing", "/docs/files/nothing.css", "/docs/files/..%2Freference.py", "/docs/"]
)
def test_what_is_no_page_is_not_found(api: TestClient, path: str) -> None:
    answer = api.get(path, follow_redirects=False)
    assert answer.status_code in {307, 404}
