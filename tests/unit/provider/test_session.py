"""The way to the server: what errors become, and under which key something is made once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.sdk import ConnectionLost, SdkError
from controlplane.sdk.errors import error_of
from infra.provider.session import (
    KEY_VARIABLE,
    LINKS_MAX,
    Refused,
    create_once,
    explain,
    idempotency_key,
)

URL = "http://api.example"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (error_of(401, {"detail": "Unknown key."}), "The API key in REMPART_API_KEY was refused by"),
        (error_of(403, {"detail": "The role viewer does not."}), "may not do this: The role viewer"),
        (
            error_of(
                409,
                {"detail": "Taken.", "errors": [{"field": "name", "message": "is taken", "code": "taken"}]},
            ),
            "give its id as `adopt`",
        ),
        (error_of(409, {"detail": "Not empty.", "code": "conflict", "request_id": "req_1"}), "request req_1"),
        (ConnectionLost("no answer"), "Is REMPART_API_URL right?"),
        (SdkError("something"), "something"),
    ],
)
def test_an_error_is_a_sentence_for_the_person_who_runs_it(error: SdkError, said: str) -> None:
    assert said in explain(error, URL)


def test_what_was_deleted_since_is_made_under_the_next_key() -> None:
    made: dict[str | None, str] = {}

    def create(key: str | None) -> dict[str, str]:
        return {"id": made.setdefault(key, f"thing-{len(made)}")}

    spent: set[str] = set()
    for round_ in range(3):
        found = create_once(create, lambda each: each["id"] in spent, "stack", ["seed"])
        assert found["id"] == f"thing-{round_}"
        spent.add(found["id"])


def test_the_search_for_an_unused_key_ends() -> None:
    keys: list[str | None] = []

    def create(key: str | None) -> dict[str, str]:
        keys.append(key)
        return {"id": f"thing-{len(keys)}"}

    with pytest.raises(Refused, match="tomorrow"):
        create_once(create, lambda _: True, "stack", ["seed"])
    assert len(set(keys)) == LINKS_MAX


def test_without_the_stacks_identity_each_creation_is_its_own() -> None:
    keys: list[str | None] = []
    create_once(lambda key: keys.append(key) or {"id": "a"}, lambda _: True, None, ["seed"])  # type: ignore[func-returns-value]
    assert keys == [None]


@given(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_a_creations_key_depends_on_each_of_its_parts(stack: str, seed: str, link: str) -> None:
    key = idempotency_key(stack, seed, link)
    assert key == idempotency_key(stack, seed, link)
    assert len(key) <= 255
    assert len({key, idempotency_key(stack + "x", seed, link), idempotency_key(stack, seed + "x", link)}) == 3
    assert key != idempotency_key(stack, seed, link + "x")


def test_a_creations_key_is_hidden_behind_the_api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise whoever reads the server's table of requests could guess a short secret."""
    monkeypatch.setenv(KEY_VARIABLE, "rmp_one")
    first = idempotency_key("stack", {"value": "1234"}, "")
    monkeypatch.setenv(KEY_VARIABLE, "rmp_two")
    assert first != idempotency_key("stack", {"value": "1234"}, "")
    assert "1234" not in first
