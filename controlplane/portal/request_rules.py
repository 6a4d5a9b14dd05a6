"""What a browser's request may do: whose form it is, where it may be sent on to, in which language. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlsplit

from babel import negotiate_locale

LANGUAGES = ("en", "fr")
FORM_FIELDS_MAX = 200
NEXT_LENGTH_MAX = 300

Form = Mapping[str, tuple[str, ...]]


def is_own_request(host: str, origin: str | None, fetch_site: str | None) -> bool:
    """Say whether a change was asked for by a page of ours.

    Browsers say so in `Sec-Fetch-Site` or name the page's origin in `Origin`; what says neither is no browser that
    we trust with a session (OWASP Cross-Site Request Forgery Prevention).
    """
    if fetch_site is not None and fetch_site != "same-origin":
        return False
    if origin is not None:
        return bool(host) and urlsplit(origin).netloc == host
    return fetch_site is not None


def choose_language(cookie: str | None, accepted: str | None) -> str:
    """Return what was chosen, else the best that the browser asks for, else English."""
    if cookie in LANGUAGES:
        return str(cookie)
    wanted = []
    for position, part in enumerate((accepted or "").split(",")[:20]):
        tag, _, parameters = part.partition(";")
        quality = parameters.strip().removeprefix("q=") if parameters else "1"
        try:
            weight = float(quality)
        except ValueError:
            continue
        if weight > 0 and tag.strip():
            wanted.append((-weight, position, tag.strip().replace("-", "_")))
    return negotiate_locale([tag for _, _, tag in sorted(wanted)], list(LANGUAGES), sep="_") or "en"


def safe_next(path: str | None) -> str:
    """Return a path of this site to go on to; `/` for anything else."""
    if not path or len(path) > NEXT_LENGTH_MAX or not path.startswith("/"):
        return "/"
    # Browsers read `//host` and `/\\host` as another site, and drop control characters before they look.
    if path.startswith(("//", "/\\")) or any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in path):
        return "/"
    return quote(path, safe="/?&=%:@!$'()*+,;~-._")


def own_page(address: str | None, host: str) -> str:
    """Return the path of a page of this site that a browser names in full; `/` for any other address."""
    parts = urlsplit(address or "")
    if not host or parts.netloc != host:
        return "/"
    return safe_next(parts.path + (f"?{parts.query}" if parts.query else ""))


def parse_form(body: bytes) -> Form:
    """Read a form's fields in their order. Errors: ValueError when it is none, or has too many fields."""
    pairs = parse_qsl(
        body.decode("utf-8"), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX, errors="strict"
    )
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if "\x00" in value:
            raise ValueError("a field holds the character U+0000")
        fields[name] = (*fields.get(name, ()), value)
    return fields


def first(form: Form, name: str) -> str:
    """Return a field's only or first value without the blanks around it; empty when it was not sent."""
    return form[name][0].strip() if form.get(name) else ""
