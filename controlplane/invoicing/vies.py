"""The port to VIES, the Commission's register of VAT numbers, and its twins.

A checker never raises for an answer that is missing: UNREACHABLE is an answer, and it proves nothing. It is asked
outside every transaction. The REST checker follows the Commission's published API: POST `…/check-vat-number` with
`countryCode` and `vatNumber`; the answer repeats both and has `valid`, `userError` and, with a requester,
`requestIdentifier`; a failure has `actionSucceed: false` and `errorWrappers`. Its address is configured, and an
installation without one gets the Null twin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

import httpx

from controlplane.invoicing.domain import VatIdAnswer, VatIdStatus

# VIES itself waits for a Member State's register; a slow one is asked again later rather than waited for.
VIES_TIMEOUT_SECONDS = 10
# An answer is a name and an address; more is not an answer.
ANSWER_BYTES_MAX = 64 * 1024
PROOF_LENGTH_MAX = 100
# What `userError` says beside a "no": nothing, that it is no, or that nobody could have such a number.
_ANSWERS_NO = frozenset({"", "INVALID", "INVALID_INPUT"})


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
    timeout_seconds: int = VIES_TIMEOUT_SECONDS

    def check(self, vat_id: str, now: datetime) -> VatIdAnswer:
        status, proof = read_answer(self._ask(vat_id), vat_id)
        return VatIdAnswer(vat_id, status, now, proof, "VIES", is_simulated=False)

    def _ask(self, vat_id: str) -> bytes:
        """The body of an answer; empty when there is none to speak of."""
        try:
            with httpx.stream(
                "POST",
                f"{self.base_url.rstrip('/')}/check-vat-number",
                json={
                    "countryCode": vat_id[:2],
                    "vatNumber": vat_id[2:],
                    "requesterMemberStateCode": self.requester[:2],
                    "requesterNumber": self.requester[2:],
                },
                timeout=self.timeout_seconds,
            ) as answer:
                if answer.status_code != HTTPStatus.OK:
                    return b""
                return _read_bounded(answer)
        except httpx.HTTPError:
            return b""


def _read_bounded(answer: httpx.Response) -> bytes:
    body = b""
    for piece in answer.iter_bytes(ANSWER_BYTES_MAX):
        body += piece
        if len(body) > ANSWER_BYTES_MAX:
            return b""
    return body


def read_answer(body: bytes, vat_id: str) -> tuple[VatIdStatus, str]:
    """What an answer says of the number that was asked about, and its consultation number.

    VIES also says `valid: false` when a Member State's register was not reached; `userError` tells. Whatever is not
    clearly an answer about this number is none: UNREACHABLE.
    """
    nothing = (VatIdStatus.UNREACHABLE, "")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return nothing
    if not isinstance(told, dict) or told.get("errorWrappers") or told.get("actionSucceed") is False:
        return nothing
    is_valid, error = told.get("valid"), told.get("userError") or ""
    asked = {"countryCode": vat_id[:2], "vatNumber": vat_id[2:]}
    if not isinstance(is_valid, bool) or any(told.get(name, value) != value for name, value in asked.items()):
        return nothing
    if is_valid:
        proof = told.get("requestIdentifier")
        if error not in ("", "VALID"):
            return nothing
        return VatIdStatus.VALID, proof[:PROOF_LENGTH_MAX] if isinstance(proof, str) else ""
    return (VatIdStatus.INVALID, "") if error in _ANSWERS_NO else nothing
