"""A keyring is read as it is written, and a program that was not given a secret has none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from controlplane.kernel.keyring import KEYS_MAX, Keyring, SecretKey, parse_keyring
from controlplane.plumbing.settings import Settings

PURPOSES = ("hash", "sealing", "session", "token")
key_ids = st.from_regex(r"[a-z0-9]{1,16}", fullmatch=True)
rings = st.lists(
    st.builds(SecretKey, key_ids, st.binary(min_size=32, max_size=64)),
    min_size=1, max_size=KEYS_MAX, unique_by=lambda key: key.id,
)  # fmt: skip


@pytest.mark.case("X18")
@given(rings)
def test_a_keyring_is_read_as_it_is_written(keys: list[SecretKey]) -> None:
    text = ", ".join(f"{key.id}:{key.value.hex()}" for key in keys)
    assert parse_keyring(text) == Keyring(tuple(keys))
    assert parse_keyring(text).current == keys[0]


def test_a_secret_without_an_id_is_the_first_one() -> None:
    assert parse_keyring("5e" * 32) == Keyring.single(b"\x5e" * 32, "1")


@pytest.mark.parametrize(
    "text",
    ["", "1:", "1:zz", "1:" + "5e" * 31, "A:" + "5e" * 32, ":" + "5e" * 32, "1:" + "5e" * 32 + ",1:" + "5f" * 32,
     ",".join(f"{n}:" + "5e" * 32 for n in range(5))],
)  # fmt: skip
def test_what_is_no_keyring_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_keyring(text)
    assert "5e5e" not in str(refused.value)


@pytest.mark.case("X6")
@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_program_has_the_secrets_that_it_was_given_and_no_others(purpose: str) -> None:
    settings = Settings(**{f"{purpose}_keys": SecretStr("1:" + "5e" * 32)})
    assert getattr(settings, f"{purpose}_ring").current.id == "1"
    for other in PURPOSES:
        if other != purpose:
            with pytest.raises(ValueError, match="was not given that secret"):
                getattr(settings, f"{other}_ring")
    assert "5e5e" not in repr(settings)
    assert "5e5e" not in repr(settings.model_copy())
