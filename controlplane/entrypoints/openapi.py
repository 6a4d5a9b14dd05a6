"""The committed description of the REST door: `python -m controlplane.entrypoints.openapi [--check] [FILE]`.

Without `--check` it writes the file; with it, it exits 1 when the file says something else than the program.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pydantic import SecretStr

from controlplane.entrypoints.api import create_app
from controlplane.plumbing.settings import Settings

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"


def render() -> str:
    """Return the description as text: the same bytes on every machine. Opens no connection."""
    nowhere = SecretStr("postgresql://nowhere/none")
    settings = Settings(
        environment="production",
        owner_database_url=nowhere,
        app_database_url=nowhere,
        system_database_url=nowhere,
        kubeconfig=None,
    )
    return json.dumps(create_app(settings).openapi(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the OpenAPI description of the REST door.")
    parser.add_argument("file", nargs="?", type=Path, default=COMMITTED, help="where it is kept")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when it has changed")
    options = parser.parse_args(arguments)
    text = render()
    path: Path = options.file
    if options.check:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return 0
        sys.stderr.write(
            f"{path.name} is not what the program serves: run 'make golden' and review the diff\n"
        )
        return 1
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
