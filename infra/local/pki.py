"""Certificates and keys of one local cluster: made once, renewed in time, private to their owner."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.local.paths import ensure_private_folder, write_private

AUTHORITY_DAYS = 3650
LEAF_DAYS = 365
# A stack left alone for a month before its certificates end still starts with fresh ones.
RENEW_DAYS_BEFORE = 30
# Clocks of two containers on one machine may differ by a little.
BACKDATE = datetime.timedelta(minutes=5)

LOOPBACK_NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Leaf:
    """What one certificate says. `names` are DNS names and addresses of a server; none for a client."""

    common_name: str
    organizations: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    is_server: bool = False
    is_client: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """Paths of a certificate and of its private key (PEM, the key readable by its owner only)."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a folder; whoever trusts it trusts nothing of another authority's."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = ensure_private_folder(folder)
        self.pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
        if not (self.pair.certificate.exists() and self.pair.key.exists()):
            self._create(name)
        self._key = _load_key(self.pair.key)
        self._certificate = _load_certificate(self.pair.certificate)

    def ensure(self, name: str, leaf: Leaf) -> Pair:
        """The pair called `name`, issued now unless a valid one that says the same is already there."""
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        if not self._is_current(pair, leaf):
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = self._sign(leaf, key.public_key())
            _write_key(pair.key, key)
            write_private(pair.certificate, _pem(certificate))
        return pair

    def _create(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"rempart-local-{name}")])
        usage = _key_usage(is_authority=True)
        certificate = (
            _begin(subject, subject, key.public_key(), AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        _write_key(self.pair.key, key)
        write_private(self.pair.certificate, _pem(certificate))

    def _sign(self, leaf: Leaf, public_key: ec.EllipticCurvePublicKey) -> x509.Certificate:
        organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in leaf.organizations]
        subject = x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)])
        builder = (
            _begin(subject, self._certificate.subject, public_key, LEAF_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(is_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_purposes(leaf)), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if leaf.names:
            builder = builder.add_extension(_alternative_names(leaf.names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _is_current(self, pair: Pair, leaf: Leaf) -> bool:
        if not (pair.certificate.exists() and pair.key.exists()):
            return False
        found = _load_certificate(pair.certificate)
        edge = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=RENEW_DAYS_BEFORE)
        wanted = self._sign(leaf, _load_key(pair.key).public_key())
        return (
            found.not_valid_after_utc > edge
            and found.subject == wanted.subject
            and found.issuer == wanted.issuer
            and found.public_key() == wanted.public_key()
            and _names_of(found) == _names_of(wanted)
            and _is_signed_by(found, self._key.public_key())
        )


def ensure_signing_key(path: Path) -> Pair:
    """A key pair without a certificate, for service-account tokens."""
    pair = Pair(path.with_suffix(".pub"), path)
    if not (pair.key.exists() and pair.certificate.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(pair.key, key)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        write_private(pair.certificate, public.decode("ascii"))
    return pair


def _begin(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _purposes(leaf: Leaf) -> list[x509.ObjectIdentifier]:
    server = [ExtendedKeyUsageOID.SERVER_AUTH] if leaf.is_server else []
    client = [ExtendedKeyUsageOID.CLIENT_AUTH] if leaf.is_client else []
    assert server or client, "a certificate for nothing"
    return server + client


def _alternative_names(names: tuple[str, ...]) -> x509.SubjectAlternativeName:
    general: list[x509.GeneralName] = []
    for name in names:
        try:
            general.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            general.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(general)


def _names_of(certificate: x509.Certificate) -> frozenset[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(name.value) for name in extension.value)


def _is_signed_by(certificate: x509.Certificate, public_key: ec.EllipticCurvePublicKey) -> bool:
    identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    return identifier == x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(path, pem.decode("ascii"))


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _load_certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())
