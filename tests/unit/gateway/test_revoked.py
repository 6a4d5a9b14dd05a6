"""The list of who is refused at the gateway itself: read, changed, and never taken for another one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.entrypoints import gateway_revoke
from controlplane.gateway.domain import REVOKED_FILE, ApiKey
from controlplane.gateway.revoked import Revoked
from controlplane.gateway.revoked_rules import is_revoked, parse_revoked
from controlplane.kernel.ids import ApiKeyId, TenantId

KEY, TENANT, HASH = str(ApiKeyId.new()), str(TenantId.new()), "ab" * 32
HELD = ApiKey(KEY, HASH, TENANT, "prj_x", None, ("inference",), is_bound=True)
NAMES = st.sampled_from([KEY, TENANT, HASH, str(ApiKeyId.new()), str(TenantId.new()), "cd" * 32])
NOISE = st.text(
    alphabet=st.characters(exclude_characters="#\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=20
)


@pytest.mark.case("X20")
@given(
    st.lists(st.tuples(NAMES, NOISE)),
    st.lists(NOISE.filter(lambda text: not text.startswith(("key", "org")))),
)
def test_each_name_takes_effect_whatever_stands_beside_it(
    rows: list[tuple[str, str]], noise: list[str]
) -> None:
    lines = [*(f" {name} # {remark}" for name, remark in rows), *noise]
    names, bad = parse_revoked("\n".join(lines))
    assert names == {name for name, _ in rows}
    assert len(bad) == len([text for text in noise if text.strip()])
    assert is_revoked(names, HELD) == bool({name for name, _ in rows} & {KEY, TENANT, HASH})


@pytest.mark.case("X20")
def test_the_command_changes_the_list_that_the_gateway_reads(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    read = Revoked(tmp_path / "gateway" / REVOKED_FILE)
    assert read.names() == frozenset()
    assert gateway_revoke.main([KEY, TENANT], tmp_path) == 0
    assert read.names() == {KEY, TENANT}
    assert gateway_revoke.main(["--lift", KEY], tmp_path) == 0
    assert read.names() == {TENANT}
    for wrong in ([], ["rmp_svc_live_x_y"], ["key_1"], [f"{TENANT}\n"]):
        assert gateway_revoke.main(wrong, tmp_path) == 2
    assert read.names() == {TENANT}
    assert gateway_revoke.main([KEY], tmp_path / "elsewhere") == 2


@pytest.mark.case("X20")
def test_people_who_revoke_at_one_moment_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    wanted = [str(ApiKeyId.new()) for _ in range(20)]
    threads = [threading.Thread(target=gateway_revoke.main, args=([name], tmp_path)) for name in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Revoked(tmp_path / "gateway" / REVOKED_FILE).names() == set(wanted)
