"""The way to Rempart: the credential is read from the environment at each call, and stays out of every state.

A resource holds no client, no key and no address. What the engine runs is only a reference to a class of
`providers.py`, so there is nothing in it to leak.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from controlplane.sdk import (
    ApiError,
    Conflict,
    ConnectionLost,
    Forbidden,
    NotFound,
    Rempart,
    SdkError,
    Unauthenticated,
)

KEY_VARIABLE = "REMPART_API_KEY"
URL_VARIABLE = "REMPART_API_URL"
# One link for each time the same thing was made and deleted within the day that the server remembers requests.
LINKS_MAX = 50

Json = dict[str, Any]


class Refused(Exception):
    """What a person reads when a resource could not be made, read, changed or deleted."""


@contextmanager
def connected() -> Iterator[Rempart]:
    """A client for one call of the engine. Errors: Refused, with what to do about it."""
    key, url = os.environ.get(KEY_VARIABLE, ""), os.environ.get(URL_VARIABLE, "")
    if not key or not url:
        missing = " and ".join(
            name for name, value in ((KEY_VARIABLE, key), (URL_VARIABLE, url)) if not value
        )
        raise Refused(f"{missing} must be set in the environment of pulumi: neither is kept in any state.")
    with Rempart(key, url) as client:
        try:
            yield client
        except SdkError as error:
            raise Refused(explain(error, url)) from error


def explain(error: SdkError, url: str) -> str:
    """An error as a sentence for the person at the terminal; no key is in it."""
    if isinstance(error, Unauthenticated):
        return f"The API key in {KEY_VARIABLE} was refused by {url}: {error}"
    if isinstance(error, Forbidden):
        return f"The API key in {KEY_VARIABLE} may not do this: {error}"
    if isinstance(error, ConnectionLost):
        return f"{error}. Is {URL_VARIABLE} right?"
    if isinstance(error, Conflict) and any(each.get("code") == "taken" for each in error.fields):
        return f"{error} To manage the one that exists with this stack, give its id as `adopt`."
    if isinstance(error, ApiError):
        return f"{error} ({error.code}, request {error.request_id})"
    return str(error)


def say(text: str) -> None:
    """Tell how far a long call has come; the engine shows it beside the resource."""
    print(text, file=sys.stderr, flush=True)


def find(client: Rempart, get: Callable[[], Json], organization_id: str | None) -> Json | None:
    """Read a thing; None when it is gone.

    Across organizations the answer is 404 too, so "not found" is believed only from a key of the organization that
    the thing was made in, and one that sees all its projects. Errors: Refused otherwise.
    """
    try:
        return get()
    except NotFound:
        caller = client.caller()
        if organization_id and caller["organization_id"] != organization_id:
            raise Refused(
                f"This was made in {organization_id}, and {KEY_VARIABLE} is a key of {caller['organization_id']}:"
                " use a key of the former, or another stack."
            ) from None
        if caller["project_id"] is not None:
            raise Refused(
                f"{KEY_VARIABLE} is bound to {caller['project_id']} and does not see the rest of the"
                " organization: use a key that does, so that nothing is taken for gone."
            ) from None
        return None


def create_once(
    create: Callable[[str | None], Json], is_spent: Callable[[Json], bool], stack_id: str | None, seed: Any
) -> Json:
    """Make a thing exactly once, also when an earlier run was cut off after the server had made it.

    The Idempotency-Key is decided by the stack, the resource and its inputs, so a later run asks the same question
    and gets the same thing. `is_spent` says that what came back is of no use (it was deleted since): the next key
    follows from it. Without `stack_id` two stacks could not be told apart, so each run then makes its own.
    """
    if not stack_id:
        return create(None)
    link = ""
    for _ in range(LINKS_MAX):
        made = create(idempotency_key(stack_id, seed, link))
        if not is_spent(made):
            return made
        link = str(made["id"])
    raise Refused(
        f"It was made and deleted {LINKS_MAX} times within a day; try again tomorrow, or under another name."
    )


def idempotency_key(stack_id: str, seed: Any, link: str) -> str:
    """A keyed hash, because a seed may hold a secret of few bits; the server keeps these keys for a day."""
    text = json.dumps([stack_id, seed, link], sort_keys=True, separators=(",", ":"))
    key = os.environ.get(KEY_VARIABLE, "").encode()
    return f"pulumi-{hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}"


def organization_of(client: Rempart) -> str:
    """Id of the organization that the key belongs to. Errors: Refused for the platform operator's key."""
    found = client.caller()["organization_id"]
    if found is None:
        raise Refused(
            f"{KEY_VARIABLE} is the platform operator's: these resources belong to an organization."
        )
    return str(found)


def without(props: Mapping[str, Any], *names: str) -> Json:
    return {key: value for key, value in props.items() if key not in names}
