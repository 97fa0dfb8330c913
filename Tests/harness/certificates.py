# SPDX-License-Identifier: Apache-2.0
"""Certificates: the run's own by certs/make, and bad ones made here."""

from __future__ import annotations

import datetime
import ipaddress
import os
import pathlib
import subprocess
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .executables import REPOSITORY
from .types import Path

_NO_OTHER_USE = {
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "encipher_only": False,
    "decipher_only": False,
}


class Certificates:
    """A folder with ca.pem, server.pem and server.key."""

    def __init__(self, folder: Path) -> None:
        self.folder = pathlib.Path(folder)

    @property
    def ca(self) -> pathlib.Path:
        """The file a client trusts."""
        return self.folder / "ca.pem"

    @property
    def chain(self) -> pathlib.Path:
        """The server's certificate."""
        return self.folder / "server.pem"

    @property
    def key(self) -> pathlib.Path:
        """The server's key."""
        return self.folder / "server.key"


def made(
    folder: Path, *hosts: str, nodes: Sequence[str] = (), environment: dict[str, str] | None = None
) -> Certificates:
    """What certs/make writes for this machine, for more hosts if there are any, and for these nodes."""
    names = [word for node in nodes for word in ("--node", node)]
    subprocess.run(
        [REPOSITORY / "certs/make", "--out", folder, *names, "127.0.0.1", "localhost", *hosts],
        check=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=os.environ | (environment or {}),
    )
    return Certificates(folder)


def forged(folder: Path, *names: str, starts: float = -1, ends: float = 30) -> Certificates:
    """A CA and a server certificate for `names`, valid from day `starts` to day `ends` counted from now."""
    authority = _Authority("test CA", min(-60, starts), max(60, ends))
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = authority.server(key.public_key(), names, starts, ends)
    return _stored(pathlib.Path(folder), authority.certificate, [leaf], key)


def chained(folder: Path, *names: str) -> Certificates:
    """A CA, an intermediate of it, and a chain for `names`: the server's certificate, then the intermediate's."""
    root = _Authority("test root", -60, 60)
    between = _Authority("test intermediate", -60, 60, root)
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = between.server(key.public_key(), names, -1, 59)
    return _stored(pathlib.Path(folder), root.certificate, [leaf, between.certificate], key)


class _Authority:
    """An authority with a key of its own, good from one day to another."""

    def __init__(self, name: str, starts: float, ends: float, issuer: _Authority | None = None) -> None:
        self.name, self.key = name, ec.generate_private_key(ec.SECP256R1())
        issuer = issuer or self
        builder = (
            issuer._builder(name, self.key.public_key(), starts, ends)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=False, key_cert_sign=True, crl_sign=True, **_NO_OTHER_USE),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        )
        self.certificate = builder.sign(issuer.key, hashes.SHA256())

    def server(
        self, public: ec.EllipticCurvePublicKey, names: Sequence[str], starts: float, ends: float
    ) -> x509.Certificate:
        """A server's certificate for `names`."""
        return (
            self._builder(names[0], public, starts, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=True, key_cert_sign=False, crl_sign=False, **_NO_OTHER_USE),
                critical=True,
            )
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def _builder(
        self, subject: str, public: ec.EllipticCurvePublicKey, starts: float, ends: float
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=starts))
            .not_valid_after(now + datetime.timedelta(days=ends))
        )


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _stored(
    folder: pathlib.Path, ca: x509.Certificate, chain: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey
) -> Certificates:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain))
    keyfile = folder / "server.key"
    keyfile.touch(mode=0o600)
    keyfile.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Certificates(folder)
