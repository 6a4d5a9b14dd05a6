"""A second opinion by veraPDF: our files are PDF/A-3b, and a plain PDF is not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import typst

from controlplane.einvoicing.documents import make_documents
from tests.fixtures.invoices import BERLIN, GUYANE, PALAISEAU, REUNION, credited, issued

CHECK = Path(__file__).parent / "verapdf" / "Check.java"
CHECK_SECONDS_MAX = 120


def test_verapdf_calls_the_file_pdfa_3b(verapdf_jars: Path, tmp_path: Path) -> None:
    invoices = [issued(PALAISEAU), issued(REUNION), issued(BERLIN), issued(GUYANE), credited(issued())]
    files = []
    for number, invoice in enumerate(invoices):
        files.append(tmp_path / f"{number}.pdf")
        files[-1].write_bytes(make_documents(invoice).pdf)
    source, plain = tmp_path / "plain.typ", tmp_path / "plain.pdf"
    source.write_text("Not an archive.", encoding="utf-8")
    plain.write_bytes(typst.compile(str(source)))
    done = subprocess.run(
        ["java", "-cp", f"{verapdf_jars}/*", str(CHECK), *map(str, files), str(plain)],
        capture_output=True, text=True, timeout=CHECK_SECONDS_MAX, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [line.split() for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert [Path(path).name for _, _, path in told] == [*(file.name for file in files), "plain.pdf"]
    assert [verdict for verdict, _, _ in told] == ["true"] * len(files) + ["false"], done.stdout
    assert all(int(count) > 1_000 for _, count, _ in told[:-1])
