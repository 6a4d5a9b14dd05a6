"""What pages say: crawled from the first page on, in both languages, no page shows a constant, an object or the
other language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from tests.fixtures.portal import Visitor, World

PAGES_MAX = 120
LINK = re.compile(r'href="(/[^"#]*)')
# Not pages, or one that asks a cell for what its replicas wrote: there is no cell here.
LEFT_OUT = re.compile(r"^/(static|language|audit/export|sign-out)|/(pdf|xml|logs)$")
SHOUTED = re.compile(r"\b[A-Z]{2,}(?:_[A-Z]+)+\b")
BARE_STATUS = re.compile(
    r"\b(ACTIVE|SUSPENDED|HEALTHY|UNHEALTHY|SLEEPING|PAUSED|PENDING|ISSUED|HELD|READY|DRAFT|STARTING|STOPPED|"
    r"DELETING|REFUSED|REVOKED|EXPIRED|ARCHIVED|SUBMITTED|NONE)\b"
)
# "None of 2 pools" is English; `None` is not.
PYTHON = re.compile(
    r"\bNone\b(?! (?:of|is|runs|ticked))|\bTrue\b|\bFalse\b|Undefined|\{'|': '|datetime\.|Decimal\(|<[a-z_.]+ object"
)
# English words that are no French ones.
ENGLISH = re.compile(r"\b(?:the|and|of|is|are|not|with|from|by|its|has|was|this|for|which|none)\b", re.I)
# Data that people typed or that are names: shown as they are.
DATA = ("Meridian Cloud Inc.", "share register", "Demonstration")
HIDDEN = frozenset({"script", "style", "title", "svg"})


class Words(HTMLParser):
    """The text that a reader sees; `foreign` is what stands in another language than the page."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self._language = language
        self._open: list[tuple[str, bool, bool]] = []
        self.shown: list[str] = []
        self.foreign: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        is_foreign = found.get("lang") not in (None, self._language)
        is_data = "evidence" in (found.get("class") or "") or tag in ("td", "pre", "code", "nav")
        if tag not in ("meta", "link", "input", "img", "br", "rect"):
            self._open.append((tag, is_foreign, is_data))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        text = data.strip()
        if not text or any(tag in HIDDEN for tag, _, _ in self._open):
            return
        if any(is_foreign for _, is_foreign, _ in self._open):
            self.foreign.append((text, any(is_data for _, _, is_data in self._open)))
        elif not any(tag in ("code", "pre") for tag, _, _ in self._open):
            self.shown.append(text)


def crawl(visitor: Visitor, start: list[str]) -> Iterator[tuple[str, str]]:
    waiting, seen = list(start), set(start)
    while waiting and len(seen) < PAGES_MAX:
        path = waiting.pop(0)
        answer = visitor.http.get(path)
        if answer.status_code != 200 or "text/html" not in answer.headers["content-type"]:
            continue
        yield path, answer.text
        for link in LINK.findall(answer.text):
            plain = link.replace("&amp;", "&")
            if plain not in seen and not LEFT_OUT.search(plain):
                seen.add(plain)
                waiting.append(plain)


@pytest.mark.case("W2")
@pytest.mark.case("W3")
@pytest.mark.case("M48")
@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("who", ["tenant", "operator"])
def test_no_page_shows_a_constant_an_object_or_another_language(
    world: World, who: str, language: str
) -> None:
    key = world.tenant.secret if who == "tenant" else world.operator_key
    start = world.tenant_pages() if who == "tenant" else world.operator_pages()
    wrong, pages = [], 0
    with world.signed_in(key, language) as visitor:
        for path, page in crawl(visitor, start):
            pages += 1
            words = Words(language)
            words.feed(page)
            for text in words.shown:
                clean = text
                for data in DATA:
                    clean = clean.replace(data, "")
                for pattern in (SHOUTED, BARE_STATUS, PYTHON):
                    wrong += [f"{path}: {found.group()!r} in {text!r}" for found in pattern.finditer(clean)]
                if language == "fr" and len(ENGLISH.findall(clean)) > 1:
                    wrong.append(f"{path}: English: {text!r}")
            if language == "fr":
                wrong += [
                    f"{path}: marked as English: {text!r}" for text, is_data in words.foreign if not is_data
                ]
    assert sorted(set(wrong)) == []
    assert pages >= len(start) - 1
