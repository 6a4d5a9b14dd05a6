"""Certificates: made once, renewed when they must be, trusted by their own authority only."""

import datetime
import stat
from pathlib import Path

import pytest
import time_machine
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from infra.local.cluster_identities import IDENTITIES, ensure_encryption, ensure_keys, write_kubeconfigs
from infra.local.pki import LOOPBACK_NAMES, Authority, Leaf, Pair

SERVER = Leaf("some-server", (), LOOPBACK_NAMES, is_server=True)
CLIENT = Leaf("some-user", ("some-group",), is_client=True)


def read(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes())


class TestAuthority:
    def test_a_certificate_is_kept_as_long_as_it_says_what_is_wanted(self, tmp_path: Path) -> None:
        first = read(Authority(tmp_path, "ca").ensure("server", SERVER))
        assert read(Authority(tmp_path, "ca").ensure("server", SERVER)) == first
        changed = Leaf("some-server", (), (*LOOPBACK_NAMES, "other"), is_server=True)
        assert read(Authority(tmp_path, "ca").ensure("server", changed)) != first

    def test_a_certificate_is_renewed_before_it_ends(self, tmp_path: Path) -> None:
        first = read(Authority(tmp_path, "ca").ensure("client", CLIENT))
        with time_machine.travel(first.not_valid_after_utc - datetime.timedelta(days=10)):
            second = read(Authority(tmp_path, "ca").ensure("client", CLIENT))
        assert second.not_valid_after_utc > first.not_valid_after_utc

    def test_a_certificate_of_another_authority_is_replaced(self, tmp_path: Path) -> None:
        old = Authority(tmp_path, "ca")
        first = read(old.ensure("client", CLIENT))
        old.pair.key.unlink()
        new = Authority(tmp_path, "ca")
        second = read(new.ensure("client", CLIENT))
        second.verify_directly_issued_by(read(new.pair))
        with pytest.raises(InvalidSignature):
            first.verify_directly_issued_by(read(new.pair))

    def test_a_server_certificate_proves_no_client_and_the_other_way_round(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path, "ca")
        for name, leaf, expected in (
            ("server", SERVER, ExtendedKeyUsageOID.SERVER_AUTH),
            ("client", CLIENT, ExtendedKeyUsageOID.CLIENT_AUTH),
        ):
            usage = read(authority.ensure(name, leaf)).extensions.get_extension_for_class(
                x509.ExtendedKeyUsage
            )
            assert list(usage.value) == [expected]


class TestClusterKeys:
    def test_keys_are_readable_by_their_owner_only(self, tmp_path: Path) -> None:
        keys = ensure_keys(tmp_path / "pki")
        ensure_encryption(keys.encryption, bytes(32))
        write_kubeconfigs(tmp_path / "kubeconfig", tmp_path / "pki", keys.authority.certificate, 6443)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {path.name for path in (tmp_path / "kubeconfig").iterdir()} == set(IDENTITIES)
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}

    def test_the_store_trusts_no_certificate_of_the_cluster(self, tmp_path: Path) -> None:
        keys = ensure_keys(tmp_path / "pki")
        admin = read(Pair(tmp_path / "pki" / "client-admin.crt", tmp_path / "pki" / "client-admin.key"))
        with pytest.raises((InvalidSignature, ValueError)):
            admin.verify_directly_issued_by(read(keys.etcd_authority))

    def test_the_encryption_key_is_never_replaced(self, tmp_path: Path) -> None:
        ensure_encryption(tmp_path / "e.json", bytes(32))
        first = (tmp_path / "e.json").read_bytes()
        ensure_encryption(tmp_path / "e.json", bytes(range(32)))
        assert (tmp_path / "e.json").read_bytes() == first

    def test_only_the_admin_may_do_everything(self) -> None:
        assert [name for name, leaf in IDENTITIES.items() if "system:masters" in leaf.organizations] == [
            "admin"
        ]
        assert len({leaf.common_name for leaf in IDENTITIES.values()}) == len(IDENTITIES)
