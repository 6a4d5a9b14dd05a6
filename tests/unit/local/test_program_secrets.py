"""From inside each program's environment: its own secrets open its own work, and nothing else."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.local.keys import ensure_secrets
from infra.local.paths import Layout
from infra.local.programs import Addresses, program_specs

# What each program's own work needs; docs/contracts.md says the same.
NEEDED = {
    "migrate": set(),
    "seed": {"hash_keys"},
    "api": {"hash_keys", "sealing_keys", "token_keys"},
    "worker": {"sealing_keys"},
    "beat": set(),
    "relay": set(),
    "watcher": set(),
    "operators": set(),
    "gateway": {"hash_keys"},
    "envoy": set(),
    "portal": {"session_keys"},
}
PURPOSES = ("hash_keys", "sealing_keys", "session_keys", "token_keys")
KUBERNETES = ("rempart-controlplane", "rempart-operators", "process-node")


def environments(folder: Path) -> tuple[dict[str, Mapping[str, str]], dict[str, str]]:
    layout = Layout(folder)
    secrets = ensure_secrets(layout.secrets_file)
    addresses = Addresses(
        "postgresql:///owner", "postgresql:///app", "postgresql:///system", "redis://127.0.0.1/0",
        defaultdict(int), {name: folder / name for name in KUBERNETES},
    )  # fmt: skip
    specs = program_specs(layout, addresses, secrets)
    held = {name: getattr(secrets, name) for name in PURPOSES}
    return {spec.name: spec.environment for spec in specs}, held


@pytest.mark.case("X6")
def test_each_program_holds_the_secrets_of_its_own_work_alone(tmp_path: Path) -> None:
    found, held = environments(tmp_path)
    assert set(found) == set(NEEDED)
    for program, environment in found.items():
        text = json.dumps(dict(environment))
        for purpose, secret in held.items():
            digits = secret.partition(":")[2]
            assert (digits in text) == (purpose in NEEDED[program]), (program, purpose)


def test_the_secrets_are_four_different_ones_and_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    first = ensure_secrets(file)
    assert len({getattr(first, name) for name in PURPOSES}) == 4
    again = ensure_secrets(file)
    assert [getattr(again, name) for name in PURPOSES] == [getattr(first, name) for name in PURPOSES]
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.case("X18")
def test_a_stack_from_before_reads_what_its_one_secret_made(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps({"key_pepper": "5e" * 32, "redis_password": "x"}))
    secrets = ensure_secrets(file)
    assert secrets.hash_keys == "1:" + "5e" * 32
    assert secrets.sealing_keys.endswith(",1:" + "5e" * 32)
    assert "5e5e" not in secrets.session_keys + secrets.token_keys
