"""The tenant of these tests: its door, its key, its cell, and stacks of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from controlplane.sdk import Rempart
from infra.provider.workspace import OpenStack, Program, open_stack
from tests.integration.cli.conftest import meanwhile
from tests.integration.deployments.fleet import Fleet

PASSPHRASE = "correct horse battery staple"
STACK = "dev"


@dataclass(frozen=True, slots=True)
class Tenant:
    fleet: Fleet
    url: str
    folder: Path

    @property
    def key(self) -> str:
        return self.fleet.caller.secret

    def client(self, key: str | None = None) -> Rempart:
        return Rempart(key or self.key, self.url)

    def open(self, program: Program, folder: Path, *, key: str | None = None, **other: str) -> OpenStack:
        """A stack under `folder`, run under this tenant's key or another one."""
        return open_stack(
            program,
            folder,
            project="tests",
            stack=STACK,
            api_url=other.get("url", self.url),
            api_key=key or self.key,
            passphrase=other.get("passphrase", PASSPHRASE),
        )

    def with_cells(self) -> AbstractContextManager[None]:
        """Meanwhile, place what waits for a place, and let its cell report it asleep, or gone."""
        return meanwhile(self.fleet, Fleet.answer_as_cells)


def state_texts(folder: Path) -> Iterator[str]:
    """Everything that a stack has written, file by file."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.read_bytes().decode("utf-8", errors="replace")
