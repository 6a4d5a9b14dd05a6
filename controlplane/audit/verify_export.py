"""Check an exported chain without the server: `python -m controlplane.audit.verify_export FILE [--head HASH]`.

Exit code 0: every record holds; 1: the first that does not is named; 2: the file is no export. Reading stops at
the first record that breaks. `--head` is a head kept elsewhere: with it, not even a whole end can be cut off.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from controlplane.audit.chain_rules import find_break
from controlplane.audit.domain import AuditRecord


class NotAnExport(ValueError):
    """The file is not what the export writes; the message names the line."""


@dataclass(slots=True)
class Export:
    """Reads an export line by line; `head` and `count` are known once all records were taken."""

    stream: TextIO
    head: str | None = None
    count: int = 0

    def records(self) -> Iterator[AuditRecord]:
        for number, line in enumerate(self.stream, start=1):
            if self.head is not None:
                raise NotAnExport(f"line {number} stands after the head")
            try:
                document = json.loads(line)
                if "head" in document:
                    self.head = str(document["head"]["hash"])
                    continue
                record = _to_record(document)
            except (ValueError, KeyError, TypeError) as err:
                raise NotAnExport(f"line {number} is no audit record") from err
            self.count += 1
            yield record


def verify(stream: TextIO, kept_head: str | None = None) -> tuple[int, str]:
    """Return the exit code and the sentence that says why."""
    export = Export(stream)
    try:
        found = find_break(export.records())
        if found is not None:
            return 1, f"BROKEN at record {found.sequence}: {found.reason}."
    except NotAnExport as err:
        return 2, f"NOT AN EXPORT: {err}."
    if export.head is None:
        return (
            1,
            f"BROKEN at record {export.count + 1}: the export ends without its head; the rest is missing.",
        )
    return _check_heads(export, stream, kept_head)


def _check_heads(export: Export, stream: TextIO, kept_head: str | None) -> tuple[int, str]:
    stream.seek(0)
    expected = export.head if kept_head is None else kept_head
    found = find_break(Export(stream).records(), expected_head=expected)
    if found is not None:
        return 1, f"BROKEN at record {found.sequence}: {found.reason}."
    return 0, f"INTACT: {export.count} records, head {export.head}."


def _to_record(document: dict[str, Any]) -> AuditRecord:
    return AuditRecord(
        chain=document["chain"],
        sequence=document["sequence"],
        occurred_at=datetime.fromisoformat(document["occurred_at"]),
        actor=document["actor"],
        action=document["action"],
        target=document["target"],
        detail=document["detail"],
        previous_hash=document["previous_hash"],
        hash=document["hash"],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verify an exported audit chain offline.")
    parser.add_argument("file", type=Path, help="what GET /v1/audit_events/export gave")
    parser.add_argument("--head", help="hash of the head, as it was kept elsewhere")
    given = parser.parse_args(arguments)
    try:
        with given.file.open(encoding="utf-8") as stream:
            code, sentence = verify(stream, given.head)
    except (OSError, UnicodeDecodeError) as err:
        code, sentence = 2, f"NOT AN EXPORT: {err}."
    sys.stdout.write(sentence + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
