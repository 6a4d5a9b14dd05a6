"""Addresses for roles, the environment file, and what in a shell is our own."""

import os
import shlex
import subprocess
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.stack_rules import build_env_file, derive_role_url, drop_own


class TestRoleUrl:
    @pytest.mark.parametrize(
        "owner",
        [
            "postgresql://postgres@/rempart?host=%2Fsome%2Ffolder",
            "postgresql://admin:s3cret@db.example:5433/rempart?sslmode=require",
            "postgresql:///rempart?host=%2Fsome%2Ffolder",
        ],
    )
    def test_a_role_reaches_the_same_database_without_the_owners_password(self, owner: str) -> None:
        derived, before = urlsplit(derive_role_url(owner, "rempart_app")), urlsplit(owner)
        assert derived.username == "rempart_app"
        assert derived.password is None
        assert (derived.hostname, derived.port, derived.path) == (before.hostname, before.port, before.path)
        assert parse_qs(derived.query) == parse_qs(before.query)


class TestEnvFile:
    @given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n", exclude_categories=["Cs"])))
    def test_any_value_comes_back_as_it_was(self, value: str) -> None:
        assert shlex.split(build_env_file({"NAME": value})) == [f"NAME={value}"]

    def test_a_shell_reads_it(self) -> None:
        script = build_env_file({"A": "x y", "B": "it's $HOME"}) + 'printf "%s|%s" "$A" "$B"'
        done = subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, check=True, env=dict(os.environ)
        )
        assert done.stdout == "x y|it's $HOME"


class TestOwnAddresses:
    def test_own_addresses_in_a_shell_are_not_taken_for_foreign_servers(self) -> None:
        shell = {"DATABASE_URL": "ours", "REDIS_URL": "somebody's", "HOME": "ours"}
        own = {"DATABASE_URL": "ours", "REDIS_URL": "ours"}
        assert drop_own(shell, own) == {"REDIS_URL": "somebody's", "HOME": "ours"}
