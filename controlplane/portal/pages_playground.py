"""Calling a deployed model from a page, through the gateway, with the session's key: as any program would."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from controlplane.portal.admission import leave_place
from controlplane.portal.format_rules import number
from controlplane.portal.i18n import N_
from controlplane.portal.labels import PROBLEMS
from controlplane.portal.leaving import ClosingStream, Left, while_present
from controlplane.portal.placement_rules import read_residency
from controlplane.portal.web import SignedIn, TenantDep
from controlplane.sdk import ApiError, ConnectionLost
from controlplane.sdk.inference import ChatAnswer

router = APIRouter()
SERVICES_SHOWN = 100
TOKENS_DEFAULT = 128
TOKENS_MAX = 1024
PROMPT_LENGTH_MAX = 20_000
_BUSY = N_("Too many answers are being made at the same time. Wait until one is finished, then ask again.")
_SILENT = N_("The gateway does not answer. A sleeping service may need longer to wake: try again.")


@router.get("/playground")
def choose_service(visit: TenantDep) -> Response:
    services = visit.api.services.page(limit=SERVICES_SHOWN, project_id=visit.chosen_project()).items
    return visit.page("playground_list.html", services=services, **visit.project_choice())


@router.get("/services/{service_id}/playground")
def show_playground(visit: TenantDep, service_id: str) -> Response:
    return _page(visit, visit.api.services.get(service_id), prompt="", tokens=str(TOKENS_DEFAULT))


@router.post("/services/{service_id}/playground")
async def ask(visit: TenantDep, service_id: str) -> Response:
    """Ask and show the whole answer: what a browser without script gets."""
    service = await run_in_threadpool(visit.api.services.get, service_id)
    prompt, tokens = visit.field("prompt"), visit.field("max_tokens")
    filled: dict[str, Any] = {"prompt": prompt, "tokens": tokens}
    errors = _check(prompt, tokens)
    if errors:
        return _page(visit, service, **filled, errors=errors, status=422)
    body = await run_in_threadpool(_body, visit, service, prompt, int(tokens))
    leave_place(visit.request)
    began = time.monotonic()
    try:
        with visit.portal.answers.hold(visit.who.key_id) as is_held:
            if not is_held:
                return _page(visit, service, **filled, refused=visit.translate(_BUSY), status=429)
            answer = await while_present(visit.request, _chat(visit, body, service))
        text = str(answer.body["choices"][0]["message"].get("content") or "")
    except Left:
        return Response(status_code=499)
    except ApiError as refused:
        return _page(
            visit, service, **filled, refused=_sentence(visit, refused), said=refused.message,
            status=502 if refused.status >= 500 else refused.status,
        )  # fmt: skip
    except (ConnectionLost, LookupError, TypeError, AttributeError):
        return _page(visit, service, **filled, refused=visit.translate(_SILENT), status=502)
    found = {
        "text": text,
        "usage": answer.body.get("usage") or {},
        **read_residency(answer.residency),
        "request_id": answer.request_id,
        "milliseconds": round((time.monotonic() - began) * 1000),
    }
    return _page(visit, service, **filled, answer=found)


async def _chat(visit: SignedIn, body: dict[str, Any], service: dict[str, Any]) -> ChatAnswer:
    async with visit.portal.gateway(visit.who.key) as gateway:
        return await gateway.chat(body, **_aim(service))


@router.post("/services/{service_id}/playground/stream")
def ask_streaming(visit: TenantDep, service_id: str) -> Response:
    """The same answer in pieces, one JSON object a line, for `portal.js`."""
    service = visit.api.services.get(service_id)
    prompt, tokens = visit.field("prompt"), visit.field("max_tokens")
    if _check(prompt, tokens):
        return Response(status_code=422)
    body = {**_body(visit, service, prompt, int(tokens)), "stream_options": {"include_usage": True}}
    return ClosingStream(
        _stream(visit, body, service),
        media_type="application/x-ndjson",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(visit: SignedIn, body: dict[str, Any], service: dict[str, Any]) -> AsyncGenerator[bytes]:
    began = time.monotonic()
    with visit.portal.answers.hold(visit.who.key_id) as is_held:
        if not is_held:
            yield _line(error=visit.translate(_BUSY), said="")
            return
        try:
            async with (
                visit.portal.gateway(visit.who.key) as gateway,
                gateway.stream(body, **_aim(service)) as answer,
            ):
                yield _line(**read_residency(answer.residency), request_id=answer.request_id)
                async with aclosing(answer.chunks) as chunks:
                    async for chunk in chunks:
                        for line in _tell(chunk):
                            yield line
            took = round((time.monotonic() - began) * 1000)
            yield _line(milliseconds=number(took, visit.language))
        except ApiError as refused:
            yield _line(error=_sentence(visit, refused), said=refused.message)
        except ConnectionLost:
            yield _line(error=visit.translate(_SILENT), said="")


def _aim(service: dict[str, Any]) -> dict[str, str]:
    """A call goes to this very service, in its own project whichever the key's default is."""
    return {"host": service["host"], "project": service["project_id"]}


def _tell(chunk: dict[str, Any]) -> list[bytes]:
    """The lines for one of the engine's events; it may hold a piece, the usage, both or neither."""
    lines = []
    for choice in chunk.get("choices") or []:
        if piece := (choice.get("delta") or {}).get("content"):
            lines.append(_line(piece=piece))
    if chunk.get("usage"):
        lines.append(_line(usage=chunk["usage"]))
    return lines


def _line(**facts: Any) -> bytes:
    return json.dumps(facts, ensure_ascii=False).encode() + b"\n"


def _body(visit: SignedIn, service: dict[str, Any], prompt: str, tokens: int) -> dict[str, Any]:
    deployment = visit.api.deployments.get(service["active_deployment_id"] or service["latest_deployment_id"])
    return {
        "model": deployment["definition"]["inference"]["model"],
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
    }


def _check(prompt: str, tokens: str) -> dict[str, str]:
    errors = {}
    if not prompt:
        errors["prompt"] = N_("Write something to ask.")
    elif len(prompt) > PROMPT_LENGTH_MAX:
        errors["prompt"] = N_("This is too long.")
    if not (tokens.isascii() and tokens.isdigit() and len(tokens) < 6 and 1 <= int(tokens) <= TOKENS_MAX):
        errors["max_tokens"] = N_("Write a whole number from 1 to 1024.")
    return errors


def _sentence(visit: SignedIn, refused: ApiError) -> str:
    return visit.translate(PROBLEMS.get(refused.code, N_("The gateway refused the call.")))


def _page(visit: SignedIn, service: dict[str, Any], *, status: int = 200, **context: Any) -> Response:
    shown = {"errors": {}, "refused": "", "said": "", "answer": None, "tokens_max": TOKENS_MAX, **context}
    return visit.page("playground.html", status=status, service=service, **shown)
