"""Chapter 9: the files, the official rules, the ledger, the FEC; each checked by a program of its own."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from decimal import Decimal
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from controlplane.sdk import Conflict
from infra.demo.stage import Stage
from infra.demo.teller import StoryBroken, Teller, require
from infra.demo.waiting import wait_until

CHECK_SECONDS_MAX = 120
# BT-22 and BT-21: a note and what it is about.
_MENTION = re.compile(r"<ram:Content>([^<]*)</ram:Content>\s*<ram:SubjectCode>([A-Z]{3})<")


def tell(teller: Teller, stage: Stage, issued: dict[str, dict[str, Any]]) -> None:
    files = [path for invoice in issued.values() for path in _keep_files(teller, stage, invoice)]
    documents = [path for path in files if path.suffix == ".pdf"]
    checking = _start(["controlplane.einvoicing.check_invoice", *map(str, documents)])
    _show_mentions(teller, next(path for path in files if path.suffix == ".xml"))
    _check_numbers(teller, list(issued.values()))
    _check_ledger(teller, stage)
    _write_fec(teller, stage, list(issued.values()))
    told = _finish(checking)
    teller.say(
        f"{len(documents)} Factur-X files, checked again by the official rules in a process of their own:"
    )
    teller.quote(told)
    teller.figure("documents_accepted", told.count(": accepted ("))
    require(told.count(": accepted (") == len(documents), "each document must be accepted")
    teller.figure(
        "invoices",
        {
            place: {
                name: invoice[name] for name in ("number", "net", "tax", "gross", "corrects", "issued_on")
            }
            | {"vat": {name: invoice["vat"][name] for name in ("category", "rate", "exemption")}}
            for place, invoice in issued.items()
        },
    )


def _keep_files(teller: Teller, stage: Stage, invoice: dict[str, Any]) -> list[Path]:
    """Both files as they were archived, each compared with the hash that the archive keeps."""
    kept = []
    for kind in ("pdf", "xml"):
        content, digest = wait_until(
            teller, f"the {kind} of {invoice['number']}", partial(_download, stage, invoice["id"], kind), 60
        )
        require(hashlib.sha256(content).hexdigest() == digest, "a file must be what was archived")
        kept.append(teller.keep_file(f"invoices/{invoice['number']}.{kind}", content))
        teller.figures.setdefault("archive_sha256", {})[f"{invoice['number']}.{kind}"] = digest
    return kept


def _show_mentions(teller: Teller, xml: Path) -> None:
    """The sentences that the law wants on the invoice, as they stand in its file."""
    found = dict(_MENTION.findall(xml.read_text(encoding="utf-8")))
    mentions = {code: text for text, code in found.items()}
    for code in ("PMT", "PMD", "AAB", "REG", "ABL"):
        require(code in mentions, f"{xml.name} lacks the mention {code}")
    teller.say(f"mentions of {xml.stem} ({', '.join(mentions)}): {' '.join(mentions.values())}")
    teller.figure("mentions", mentions)


def _download(stage: Stage, invoice_id: str, kind: str) -> tuple[bytes, str] | None:
    try:
        reply = stage.admin.request("GET", f"/v1/admin/invoices/{invoice_id}/{kind}")
    except Conflict:
        # Issued, and its file is being made.
        return None
    return reply.content, reply.headers["x-content-sha256"]


def _check_numbers(teller: Teller, issued: list[dict[str, Any]]) -> None:
    """One series a year, without gap or double, whatever kind of document took the number."""
    numbers = sorted(invoice["number"] for invoice in issued)
    for _, series in groupby(numbers, key=lambda number: number.rpartition("-")[0]):
        counted = [int(number.rpartition("-")[2]) for number in series]
        require(counted == list(range(1, len(counted) + 1)), f"the numbers have a gap: {numbers}")
    teller.say(f"numbers without a gap: {', '.join(numbers)}")


def _check_ledger(teller: Teller, stage: Stage) -> None:
    balances = {account["code"]: Decimal(account["balance"]) for account in stage.admin.ledger.accounts()}
    used = {code: balance for code, balance in balances.items() if balance}
    require(sum(used.values()) == 0, f"the ledger does not balance: {used}")
    entries = list(stage.admin.ledger.list())
    for entry in entries:
        total = sum(Decimal(line["debit"]) - Decimal(line["credit"]) for line in entry["lines"])
        require(total == 0, f"entry {entry['number']} does not balance")
    told = ", ".join(f"{code} {balance:+.2f}" for code, balance in sorted(used.items()))
    teller.say(f"ledger: {len(entries)} entries, each balanced; all accounts sum to 0.00: {told}")
    figures = {code: str(balance) for code, balance in used.items()}
    teller.figure("ledger", {"entries": len(entries), "balances": figures})


def _write_fec(teller: Teller, stage: Stage, issued: list[dict[str, Any]]) -> None:
    """The FEC of each year that a document was issued in, passed by the checker that an auditor would run."""
    for year in sorted({int(invoice["issued_on"][:4]) for invoice in issued}):
        reply = stage.admin.request("GET", "/v1/admin/fec", params={"year": year})
        name = reply.headers["content-disposition"].partition('filename="')[2].rstrip('"')
        path = teller.keep_file(f"fec/{name}", reply.content)
        register = teller.keep_file(
            f"fec/register-{year}.txt",
            "".join(
                f"{one['number']}\n" for one in issued if one["issued_on"].startswith(str(year))
            ).encode(),
        )
        told = _finish(_start(["controlplane.ledger.check_fec", str(path), "--invoices", str(register)]))
        digest = hashlib.sha256(reply.content).hexdigest()
        teller.say(f"FEC of {year}: {told.strip()}; SHA-256 {digest}")
        teller.figures.setdefault("fec", {})[name] = {"check": told.strip(), "sha256": digest}


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _finish(process: subprocess.Popen[str]) -> str:
    """What a checker printed; StoryBroken when it refuses."""
    try:
        told, _ = process.communicate(timeout=CHECK_SECONDS_MAX)
    except subprocess.TimeoutExpired as err:
        process.kill()
        raise StoryBroken(f"{process.args!r} did not end") from err
    if process.returncode != 0:
        raise StoryBroken(f"{process.args!r} ended with {process.returncode}: {told}")
    return told
