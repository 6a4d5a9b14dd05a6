"""The port to VIES, the Commission's register of VAT numbers, and its twins.

A checker never raises for an answer that is missing: UNREACHABLE is an answer, and it proves nothing. It is asked
outside every transaction. The REST checker follows the Commission's published API (POST `…/check-vat-number` with
`countryCode` and `vatNumber`; the answer has `valid` and, with a requester, `requestIdentifier`); its address is
configured, and an installation without one gets the Null twin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import httpx

from controlplane.invoicing.domain import VatIdAnswer, VatIdStatus

# VIES itself waits for a Member State's register; a slow one is asked again later rather than waited for.
VIES_TIMEOUT_SECONDS = 10


class VatIdChecker(Protocol):
    def check(self, vat_id: str, now: datetime) -> VatIdAnswer:
        """Ask about one number, written with its country prefix; never raises for a failure to answer."""
        ...


class NullVatIdChecker:
    """The twin for installations that are not connected: it never answers, and says so."""

    def check(self, vat_id: str, now: datetime) -> VatIdAnswer:
        return VatIdAnswer(
            vat_id=vat_id,
            status=VatIdStatus.UNREACHABLE,
            checked_at=now,
            consultation_number="",
            source="null checker: this installation is not connected to VIES",
            is_simulated=True,
        )


@dataclass(frozen=True, slots=True)
class RecordedVatIdChecker:
    """A twin that repeats recorded answers, number → status; every answer is marked as simulated."""

    answers: Mapping[str, VatIdStatus]

    def check(self, vat_id: str, now: datetime) -> VatIdAnswer:
        status = self.answers.get(vat_id, VatIdStatus.UNREACHABLE)
        return VatIdAnswer(
            vat_id=vat_id,
            status=status,
            checked_at=now,
            consultation_number="" if status is VatIdStatus.UNREACHABLE else f"RECORDED-{vat_id}",
            source="recorded answer",
            is_simulated=True,
        )


@dataclass(frozen=True, slots=True)
class RestVatIdChecker:
    """The real register, or a server that speaks like it. `requester` is the seller's VAT number."""

    base_url: str
    requester: str

    def check(self, vat_id: str, now: datetime) -> VatIdAnswer:
        try:
            answer = httpx.post(
                f"{self.base_url.rstrip('/')}/check-vat-number",
                json={
                    "countryCode": vat_id[:2],
                    "vatNumber": vat_id[2:],
                    "requesterMemberStateCode": self.requester[:2],
                    "requesterNumber": self.requester[2:],
                },
                timeout=VIES_TIMEOUT_SECONDS,
            )
            body = answer.json() if answer.status_code == 200 else {}
        except (httpx.HTTPError, ValueError):
            body = {}
        is_valid = body.get("valid") if isinstance(body, dict) else None
        proof = str(body.get("requestIdentifier") or "") if isinstance(body, dict) else ""
        if not isinstance(is_valid, bool):
            status = VatIdStatus.UNREACHABLE
        else:
            status = VatIdStatus.VALID if is_valid else VatIdStatus.INVALID
        return VatIdAnswer(vat_id, status, now, proof[:100], "VIES", is_simulated=False)
