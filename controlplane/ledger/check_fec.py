"""Check a FEC file: `python -m controlplane.ledger.check_fec FILE [--invoices REGISTER]`.

Exit code 0: no rule is broken; 1: each broken rule is printed with its line; 2: the file could not be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from controlplane.ledger.check_rules import check_fec
from controlplane.ledger.fec_rules import amount_text

# A year of ten million lines is some 2 GB; above this, the file is split by the one who asks.
FILE_BYTES_MAX = 2_000_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check a FEC (LPF A47 A-1) line by line.")
    parser.add_argument("file", type=Path, help="the FEC, named <SIREN>FEC<AAAAMMJJ>.txt")
    parser.add_argument("--invoices", type=Path, help="register of issued invoices: one number a line")
    given = parser.parse_args(arguments)
    try:
        if given.file.stat().st_size > FILE_BYTES_MAX:
            sys.stderr.write(f"{given.file}: larger than {FILE_BYTES_MAX} bytes\n")
            return 2
        content = given.file.read_bytes()
        register = None if given.invoices is None else given.invoices.read_text(encoding="utf-8").split()
    except OSError as err:
        sys.stderr.write(f"{err}\n")
        return 2
    report = check_fec(given.file.name, content, register)
    for finding in report.findings:
        sys.stdout.write(f"{given.file.name}: {finding}\n")
    sys.stdout.write(
        f"{given.file.name}: {report.lines} lines, {report.entries} entries, debit {amount_text(report.debit_minor)}, "
        f"credit {amount_text(report.credit_minor)}, {len(report.findings)} findings\n"
    )
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
