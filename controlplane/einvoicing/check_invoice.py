"""Check invoice files: `python -m controlplane.einvoicing.check_invoice FILE…` (Factur-X PDF, or CII XML).

Runs every official rule file of the document's profile in this process and says of each what it looked at.
Exit code 0: all accept every file; 1: each refusal is printed with its rule; 2: a file could not be read or checked.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from controlplane.einvoicing.pdf import extract_xml
from controlplane.einvoicing.validation import XML_BYTES_MAX, CheckNotRun, Validation, validate_cii

PDF_MARK = b"%PDF-"


class Unreadable(Exception):
    """A file that holds no invoice; the text says why."""


def read_cii(path: Path) -> tuple[bytes, bytes]:
    """Return the file and the CII of it. Errors: Unreadable."""
    try:
        if path.stat().st_size > XML_BYTES_MAX:
            raise Unreadable(f"larger than {XML_BYTES_MAX} bytes")
        content = path.read_bytes()
    except OSError as err:
        raise Unreadable(str(err)) from err
    if not content.startswith(PDF_MARK):
        return content, content
    try:
        return content, extract_xml(content)
    except Exception as err:
        # The readers of PDF raise errors of many kinds for a broken file; whichever it is, nothing was checked.
        raise Unreadable(f"no Factur-X file: {type(err).__name__}: {err}") from err


def describe(name: str, content: bytes, validation: Validation) -> list[str]:
    """One line a file, one a rule file, one a refusal."""
    verdict = "accepted" if validation.is_valid else "REFUSED"
    lines = [f"{name}: {verdict} ({validation.profile}), SHA-256 {hashlib.sha256(content).hexdigest()}"]
    for run in validation.runs:
        lines.append(
            f"  {run.file}: looked at {run.fired} places, {len(run.errors)} errors, {len(run.warnings)} warnings"
        )
        lines += [f"    {one.rule} at {one.location}: {one.message}" for one in run.errors]
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check invoices by the official rules (EN 16931 and BR-FR).")
    parser.add_argument("files", type=Path, nargs="+", help="Factur-X PDF or CII XML")
    outcome = 0
    for path in parser.parse_args(arguments).files:
        try:
            content, xml = read_cii(path)
            validation = validate_cii(xml)
        except (Unreadable, CheckNotRun) as err:
            sys.stderr.write(f"{path.name}: not checked: {err}\n")
            outcome = 2
            continue
        sys.stdout.write("\n".join(describe(path.name, content, validation)) + "\n")
        outcome = max(outcome, 0 if validation.is_valid else 1)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
