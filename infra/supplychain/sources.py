"""Where advisories come from: a dump of OSV records on this disk, or the JSON of the package index that pip uses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import httpx

from infra.supplychain.lock_rules import Pin, canonical_name

REQUEST_SECONDS_MAX = 20.0
RECORD_BYTES_MAX = 8 << 20


class NotReachable(Exception):
    """The source cannot be asked; the message says which and why."""


class Source(Protocol):
    """Gives the OSV records that may mean a pin."""

    name: str

    def records_of(self, pin: Pin) -> list[Mapping[str, Any]]: ...


class OsvDump:
    """OSV's export of one ecosystem (`all.zip`), or a folder of its records. Read once."""

    def __init__(self, path: Path) -> None:
        self.name = f"the dump {path}"
        self._by_package: dict[str, list[Mapping[str, Any]]] = {}
        try:
            for record in self._read(path):
                for package in {_package(entry) for entry in record.get("affected") or ()}:
                    self._by_package.setdefault(package, []).append(record)
        except (OSError, ValueError, zipfile.BadZipFile) as err:
            raise NotReachable(f"{self.name} cannot be read: {err}") from err

    def records_of(self, pin: Pin) -> list[Mapping[str, Any]]:
        return self._by_package.get(pin.name, [])

    @staticmethod
    def _read(path: Path) -> Iterator[dict[str, Any]]:
        if path.is_dir():
            for file in sorted(path.rglob("*.json")):
                yield json.loads(file.read_bytes())
            return
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(".json") and entry.file_size <= RECORD_BYTES_MAX:
                    yield json.loads(archive.read(entry))


class IndexJson:
    """The `vulnerabilities` of `<index>/pypi/<name>/<version>/json`: those that the index knows of one release."""

    def __init__(self, base: str) -> None:
        self.name = "the package index"
        self._http = httpx.Client(base_url=base, timeout=REQUEST_SECONDS_MAX, follow_redirects=True)

    def records_of(self, pin: Pin) -> list[Mapping[str, Any]]:
        try:
            answer = self._http.get(f"/pypi/{pin.name}/{pin.version}/json")
            if answer.status_code != 200:
                raise NotReachable(
                    f"{self.name} answers {answer.status_code} for the advisories of a release"
                )
            listed = answer.json()["vulnerabilities"]
        except (httpx.HTTPError, ValueError, KeyError) as err:
            raise NotReachable(f"{self.name} gives no advisories: {type(err).__name__}") from err
        return [_as_record(pin, each) for each in listed]


def _as_record(pin: Pin, listed: Mapping[str, Any]) -> dict[str, Any]:
    """The index lists what means this very release."""
    package = {"ecosystem": "PyPI", "name": pin.name}
    return {**listed, "affected": [{"package": package, "versions": [pin.version]}]}


def _package(entry: Mapping[str, Any]) -> str:
    return canonical_name(str((entry.get("package") or {}).get("name", "")))


def index_base() -> str | None:
    """The index that pip is set up for, without its path; None where pip names none."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    address = os.environ.get("PIP_INDEX_URL") or asked.stdout.strip() or _default_index()
    if not address:
        return None
    url = httpx.URL(address)
    return f"{url.scheme}://{url.netloc.decode()}"


def _default_index() -> str:
    """What pip takes when nobody names an index: it says so in its own help."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "help", "install"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    ).stdout
    words = " ".join(said.split()).partition("(default ")[2]
    return words.partition(")")[0] if words.startswith("http") else ""


def choose(dump: Path | None) -> Source:
    """Return the dump that was named, else the index. Errors: NotReachable."""
    if dump is not None:
        return OsvDump(dump)
    base = index_base()
    if base is None:
        raise NotReachable("no dump is named (--osv), and pip names no package index")
    return IndexJson(base)
