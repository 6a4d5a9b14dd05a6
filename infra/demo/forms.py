"""A visitor without a browser: pages and forms over plain HTTP, as the portal promises to those without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from types import TracebackType
from typing import Self

import httpx

from infra.demo.teller import StoryBroken

REDIRECTS_MAX = 5
TIMEOUT_SECONDS = 60
Values = Mapping[str, str | tuple[str, ...]]


@dataclass(slots=True)
class Form:
    """A form as it was sent to us: where it goes, and what it holds before a person changes it."""

    action: str
    values: dict[str, list[str]] = field(default_factory=dict)


class FormReader(HTMLParser):
    """Collects the forms of a page with the values that they start from."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._select: str | None = None
        self._first_option: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", "")))
        if not self.forms:
            return
        if tag == "input" and given.get("name"):
            is_tick = given.get("type") in {"checkbox", "radio"}
            if not is_tick or "checked" in given:
                self._note(given["name"], given.get("value", "on" if is_tick else ""))
        elif tag == "select":
            self._select, self._first_option = given.get("name"), None
        elif tag == "option" and self._select is not None:
            if self._first_option is None:
                self._first_option = given.get("value", "")
            if "selected" in given:
                self._note(self._select, given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "select" and self._select is not None and self.forms:
            if self._select not in self.forms[-1].values and self._first_option is not None:
                self._note(self._select, self._first_option)
            self._select = None

    def _note(self, name: str, value: str) -> None:
        self.forms[-1].values.setdefault(name, []).append(value)


class TextReader(HTMLParser):
    """Collects what a person reads."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def text_of(html: str) -> str:
    """A page's words with one space between them, whatever spaces it uses."""
    reader = TextReader()
    reader.feed(html)
    return " ".join(reader.words)


class PlainVisitor:
    """Opens pages and sends forms. It keeps cookies itself: the portal marks them Secure, which a browser accepts on
    a loopback address and a cookie jar does not."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS)
        self._cookies: dict[str, str] = {}
        self._html = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def open(self, path: str) -> str:
        """The page's HTML. Errors: StoryBroken for anything but a page."""
        reply = self._request("GET", path)
        self._html = reply.text
        return self._html

    def send(self, action: str, values: Values, arrives_at: str) -> str:
        """Fill in the form of the open page that goes to `action`, send it, and return the page that follows.

        Errors: StoryBroken when its path does not match the pattern `arrives_at`: the page says what is wrong.
        """
        reader = FormReader()
        reader.feed(self._html)
        found = next((form for form in reader.forms if form.action == action), None)
        if found is None:
            raise StoryBroken(f"the page has no form that goes to {action}")
        for name, value in values.items():
            found.values[name] = [value] if isinstance(value, str) else list(value)
        reply = self._request("POST", action, found.values)
        self._html = reply.text
        if re.fullmatch(arrives_at, reply.url.path) is None:
            raise StoryBroken(f"the form of {action} led to {reply.url.path}: {text_of(self._html)[:500]}")
        return self._html

    def download(self, path: str) -> bytes:
        return self._request("GET", path).content

    def take_picture(self) -> bytes | None:
        """There is nothing to be seen."""
        return None

    def _request(self, method: str, path: str, data: Mapping[str, list[str]] | None = None) -> httpx.Response:
        for _ in range(REDIRECTS_MAX):
            headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
            origin = {"Origin": str(self._client.base_url).rstrip("/")} if method == "POST" else {}
            reply = self._client.request(method, path, data=data, headers={**headers, **origin})
            self._keep_cookies(reply)
            if not reply.is_redirect:
                if reply.status_code != httpx.codes.OK:
                    raise StoryBroken(f"{method} {path} of the portal answered {reply.status_code}")
                return reply
            method, path, data = "GET", reply.headers["location"], None
        raise StoryBroken(f"the portal redirects more than {REDIRECTS_MAX} times")

    def _keep_cookies(self, reply: httpx.Response) -> None:
        for line in reply.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self._cookies.pop(name, None)
                else:
                    self._cookies[name] = morsel.value
