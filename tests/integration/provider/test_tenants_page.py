"""The tenant's page is true: its program runs as it stands, and prints what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.provider.tenant import PASSPHRASE, Tenant

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs" / "tenants" / "infrastructure-as-code.md").read_text(encoding="utf-8")
RUN_SECONDS_MAX = 180.0
TOKEN = "hf-value-of-the-page"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def comparable(text: str) -> list[str]:
    """What a run did, line by line, without what differs each time: the order, seconds, and the engine's progress."""
    bare = (re.sub(r" \([\d.ms]+\)| \d+ messages?", "", line).rstrip() for line in text.splitlines())
    return sorted(line for line in bare if re.search(r"(created|deleted|unchanged|\[secret\])$", line))


@pytest.fixture(scope="module")
def printed(tenant: Tenant, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("page")
    (program,) = blocks("python")
    (folder / "webshop.py").write_text(program, encoding="utf-8")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("REMPART_", "PULUMI_"))},
        "PYTHONPATH": str(REPOSITORY),
        "REMPART_API_URL": tenant.url,
        "REMPART_API_KEY": tenant.key,
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "HF_TOKEN": TOKEN,
    }

    def run(command: str) -> str:
        done = subprocess.run(
            [sys.executable, "webshop.py", command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    with tenant.with_cells():
        return {"up": run("up"), "up again": run("up"), "destroy": run("destroy")}


@pytest.mark.parametrize(("number", "name"), list(enumerate(["up", "up again", "destroy"])))
def test_the_page_shows_what_a_run_prints(printed: dict[str, str], number: int, name: str) -> None:
    shown = comparable(blocks("text")[number])
    assert shown == comparable(printed[name])
    assert shown


def test_a_run_prints_no_secret(printed: dict[str, str], tenant: Tenant) -> None:
    whole = "".join(printed.values())
    assert "[secret]" in whole
    for secret in (tenant.key, TOKEN, PASSPHRASE, "rmp_"):
        assert secret not in whole
