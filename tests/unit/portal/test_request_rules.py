"""Whose form it is, where a visitor is sent on to, and in which language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.portal.request_rules import (
    FORM_FIELDS_MAX,
    choose_language,
    first,
    is_own_request,
    own_page,
    parse_form,
    safe_next,
)

HOST = "portal.example"
REQUESTS = """
https://portal.example  same-origin  yes
https://portal.example  -            yes
-                       same-origin  yes
-                       -            no
https://evil.example    same-origin  no
https://portal.example  cross-site   no
https://portal.example  same-site    no
https://portal.example  none         no
null                    -            no
https://portal.example.evil.example  -  no
"""


@pytest.mark.parametrize("case", REQUESTS.strip().splitlines())
def test_only_a_page_of_ours_may_ask_for_a_change(case: str) -> None:
    origin, site, expected = case.split()
    found = is_own_request(HOST, None if origin == "-" else origin, None if site == "-" else site)
    assert found is (expected == "yes")


LANGUAGES = """
-   fr                      fr
-   fr-CA,fr;q=0.9,en;q=0.8 fr
-   de,en;q=0.5,fr;q=0.9    fr
-   en-US,en;q=0.9,fr;q=0.1 en
-   de                      en
-   fr;q=0,en               en
-   fr;q=x                  en
fr  en                      fr
xx  fr                      fr
-   -                       en
"""


@pytest.mark.parametrize("case", LANGUAGES.strip().splitlines())
def test_the_language_is_what_was_chosen_or_asked_for(case: str) -> None:
    cookie, accepted, expected = case.split()
    found = choose_language(None if cookie == "-" else cookie, None if accepted == "-" else accepted)
    assert found == expected


@pytest.mark.parametrize("path", ["/", "/services?cursor=a%20b", "/services/svc_1#x"[:15]])
def test_a_path_of_ours_is_kept(path: str) -> None:
    assert safe_next(path) == path


@pytest.mark.parametrize(
    "path",
    [
        None, "", "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/\tx",
        "services", "/" + "x" * 400, "/\r\nSet-Cookie: a=b",
    ],
)  # fmt: skip
def test_nobody_is_sent_to_another_site(path: str | None) -> None:
    assert safe_next(path) == "/"


@given(st.text(max_size=200))
def test_where_a_visitor_is_sent_is_always_a_path_of_this_site(path: str) -> None:
    found = safe_next(path)
    assert found.startswith("/")
    assert not found.startswith(("//", "/\\"))
    assert found.isascii()
    assert found.isprintable()


def test_forms_are_read_in_their_order() -> None:
    form = parse_form(b"a=1&b=%C3%A9&a=2&c=")
    assert form == {"a": ("1", "2"), "b": ("é",), "c": ("",)}
    assert first(form, "a") == "1"
    assert first(form, "nothing") == ""


@pytest.mark.parametrize(
    "body", [b"a=%FF", b"a=%00", "&".join("a=1" for _ in range(FORM_FIELDS_MAX + 1)).encode(), b"\xff=1"]
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_form(body)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://portal.example/services/svc_1?cursor=a", "/services/svc_1?cursor=a"),
        ("https://portal.example", "/"),
        ("https://evil.example/services", "/"),
        ("https://portal.example.evil.example/services", "/"),
        ("https://portal.example//evil.example/", "/"),
        ("/services", "/"),
        ("", "/"),
        (None, "/"),
    ],
)
def test_only_a_page_of_this_site_is_led_back_to(address: str | None, expected: str) -> None:
    assert own_page(address, HOST) == expected
