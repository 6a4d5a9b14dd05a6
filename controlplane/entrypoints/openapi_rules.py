"""What the REST door's description says beyond what the routers say: errors, headers, the key, tags.

Pure: takes the document that FastAPI derives from the routers and returns the complete one.
Sources: OpenAPI 3.1, RFC 9457 (problem+json), RFC 9110 §8.8.3 and §13 (ETag, If-Match), RFC 6585 §3 and §4 (428, 429).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from controlplane.entrypoints.openapi_examples import add_examples

Json = dict[str, Any]

METHODS: Final = ("get", "post", "put", "patch", "delete")
PROBLEM_MEDIA: Final = "application/problem+json"
# Operations that need no key.
PUBLIC: Final = frozenset({"sign_up", "get_terms"})
# Changes that say the whole new state, so that no version is lost by them.
UNVERSIONED: Final = frozenset(
    {"revoke_api_key", "admin_revoke_api_key", "admin_set_quota", "admin_set_plan", "move_clock"}
)
# Changes that also make the thing: the first one has no version to name.
MAKING: Final = frozenset({"set_budget", "set_accounting_entity", "admin_set_seller"})
# A deployment never changes; its `version` counts the service's deployments.
_WITHOUT_ETAG: Final = frozenset({"DeploymentOut"})
# They ask a cell while the caller waits.
_ASKS_CELLS: Final = frozenset({"query_logs"})
# Producers of usage speak CloudEvents, and come again when too many of them write.
_TAKES_EVENTS: Final = frozenset({"ingest_usage_events"})
# There is one of it, and none before the operator has said so.
_SAID_ONCE: Final = frozenset({"admin_get_seller", "get_accounting_entity", "export_fec"})
# Names of shapes that only hold the thing that was asked for.
_ENVELOPES: Final = ("Answer", "List", "Reply")
_FILE_TEXTS: Final = {"application/jsonl": "One JSON document a line."}
_IDEMPOTENCY_KEY: Final = "idempotency-key"

DESCRIPTION: Final = """\
Every request but those of signing up carries an API key: `Authorization: Bearer rmp_…`.

**Errors** are RFC 9457 documents (`application/problem+json`): `code` is stable, `detail` is for people, `errors`
names each refused field, and `request_id` (also the header `X-Request-Id`) finds the request in our logs.

**Repeating**: a POST with an `Idempotency-Key` is carried out once; the first answer is given again for 24 hours.

**Changing**: what can change has a `version`, which is its `ETag`. A change names the version it was made for in
`If-Match`: 428 when it is missing, 412 when the resource has changed since.

**Limits**: each key, organization and address may ask for so much a minute, reads and changes counted apart. Beyond it
the answer is 429, and `Retry-After` says after how many seconds the same request is let through.

**Lists** are read page by page: `limit`, and `cursor` with the `next_cursor` of the page before.

Times are RFC 3339 in UTC, money is in whole units of the smallest named part, and unknown fields are refused."""

TAGS: Final[tuple[tuple[str, str], ...]] = (
    ("sign-up", "Becoming a customer."),
    ("organizations", "Who pays, and what it may use."),
    ("projects", "Parts of an organization: keys, apps and secrets belong to one."),
    ("api keys", "What programs and people authenticate with."),
    ("permissions", "Who am I, and what may I do?"),
    ("audit", "What was done in the organization, as a chain that shows every change to it."),
    ("security events", "What was refused to the organization's keys, by whom and since when."),
    ("catalogue", "Models that can be deployed, and the sizes they run on."),
    ("apps", "Groups of services."),
    ("services", "What should run: a model, its scale, and the law it must stay under."),
    ("deployments", "Immutable versions of services, and their part in each datacenter."),
    ("instances", "Replicas as they run."),
    ("secrets", "Values that go in, reach the service, and never come out."),
    ("logs", "What replicas write."),
    ("usage", "What was used, by meter and time; for producers: where usage comes in."),
    ("costs", "What the running month costs, budgets, credits and the plan."),
    ("invoices", "Invoices and credit notes, their files and their way to the buyer."),
    ("payments", "What was paid and what is open."),
    ("capacity", "Datacenters, node pools and machines; the sites that a tenant can choose from."),
    ("sovereignty", "For the platform operator: legal facts that verdicts are made of."),
    ("admin: organizations", "For the platform operator: all organizations and their limits."),
    (
        "admin: keys",
        "For the platform operator: keys of its own people, with roles, and of what reports usage.",
    ),
    ("admin: audit", "For the platform operator: what its own keys did."),
    ("admin: prices", "For the platform operator: what is sold, prices, plans and credits."),
    ("admin: invoices", "For the platform operator: closing months, issuing, holding and crediting."),
    ("admin: payments", "For the platform operator: what the bank says."),
    ("admin: ledger", "For the platform operator: the books and the FEC."),
    ("admin: security events", "For the platform operator: what was refused to anybody, and from where."),
    ("admin: deliveries", "For the platform operator: work in the background that failed for good."),
    ("clock", "For the platform operator: the clock of a local installation."),
)

_PROBLEMS: Final[dict[int, tuple[str, str, str]]] = {
    401: ("unauthenticated", "The key is missing, wrong, expired or revoked.", "This API key is not valid."),
    403: ("forbidden", "The caller may not do this.", "The role viewer does not allow create on app."),
    404: ("not_found", "There is no such thing for this caller.", "There is no such app."),
    409: (
        "conflict",
        "The present state does not allow this, the name is taken, or the same Idempotency-Key is at work.",
        "There is already an app of this name.",
    ),
    412: ("precondition_failed", "It has changed since it was read.", "The resource has changed; read it again."),
    413: (
        "payload_too_large",
        "The body is larger than 1 MiB; for usage events, than 8 MiB.",
        "The request body is larger than 1048576 bytes.",
    ),
    415: (
        "unsupported_media_type",
        "The body is neither a CloudEvent nor a batch of them.",
        "Send application/cloudevents+json or application/cloudevents-batch+json.",
    ),
    422: (
        "invalid_input",
        "The request is not understood; `errors` names each field.",
        "The request is not understood; see `errors` for each field.",
    ),
    428: ("precondition_required", "If-Match is missing.", "Send If-Match with the ETag of the version you read."),
    429: (
        "too_many_requests",
        "The key, its organization or the caller's address has asked for too much: send the same after Retry-After.",
        "This key or its organization has read too much in a short time; send the request again in 2 seconds.",
    ),
    500: ("internal_error", "Something went wrong on our side.", "Something went wrong on our side."),
    503: (
        "database_unavailable",
        "The database, or a cell that has to be asked, does not answer just now: send the same again.",
        "The database does not answer just now. Send the request again.",
    ),
}  # fmt: skip
# 409 also says that the same request is still being worked on.
_RETRYABLE: Final = frozenset({409, 429, 503})

_HEADERS: Final[Json] = {
    "X-Request-Id": {
        "description": "Finds this request in the logs.",
        "schema": {"type": "string", "examples": ["req_01jd00000000000000000000a0"]},
    },
    "ETag": {
        "description": "The version that was answered; send it back in `If-Match`.",
        "schema": {"type": "string", "examples": ['"1"']},
    },
    "Idempotent-Replayed": {
        "description": "`true` when this answer was given before, to a request with the same Idempotency-Key.",
        "schema": {"type": "string", "const": "true"},
    },
    "Retry-After": {
        "description": "Seconds to wait, where trying again can help.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
_IF_MATCH: Final[Json] = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag of the version that you mean to change.",
    # Every ETag of this API is a version in quotes.
    "schema": {"type": "string", "pattern": '^"[0-9]{1,9}"$', "examples": ['"1"']},
}
_IDEMPOTENCY: Final[Json] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeat safely: for 24 hours the same request under the same key gives the first answer again.",
    "schema": {
        "type": "string",
        "pattern": "^[!-~]{1,255}$",
        "examples": ["7c6d5f0e-5d55-4c0e-9a51-3b1f0c8c7f11"],
    },
}


def complete(document: Json) -> Json:
    """Return the whole description; `document` is FastAPI's own and is not changed beyond its operations."""
    for path, method, operation in list_operations(document):
        _complete_operation(document, path, method, operation)
        add_examples(operation)
    components = document.setdefault("components", {})
    for name, schema in components.get("schemas", {}).items():
        _describe_envelope(name, schema)
    components["securitySchemes"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "rmp_<kind>_<environment>_<30 characters>_<6 characters CRC32>",
            "description": "An API key; `rempart secrets-check` tells offline whether a text can be one.",
        }
    }
    components["headers"] = _HEADERS
    components["responses"] = {str(status): _problem_response(status) for status in _PROBLEMS}
    _drop_unused_schemas(document)
    return {
        "openapi": document["openapi"],
        "info": {
            **document["info"],
            "description": DESCRIPTION,
            "license": {"name": "EUPL-1.2", "identifier": "EUPL-1.2"},
        },
        "servers": [
            {"url": "/", "description": "The installation that this document comes from."},
            {"url": "http://127.0.0.1:8080", "description": "An installation on this machine."},
        ],
        "security": [{"bearer": []}],
        "tags": [{"name": name, "description": text} for name, text in TAGS],
        "paths": document["paths"],
        "components": components,
    }


def list_operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield path, method and operation of everything that the document describes."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def is_versioned(method: str, operation: Json) -> bool:
    """Whether a change has to name the version that it was made for."""
    return method in ("put", "patch", "delete") and operation["operationId"] not in UNVERSIONED


def list_errors(path: str, method: str, operation: Json) -> list[int]:
    """Return which errors an operation can answer."""
    parameters = operation.get("parameters", [])
    has_body = "requestBody" in operation
    # Each of them asks the database, which may be away.
    statuses = {429, 500, 503}
    if operation["operationId"] not in PUBLIC:
        statuses |= {401}
    if operation["operationId"] not in {"get_caller"}:
        statuses |= {403}
    if "{" in path or (has_body and operation["operationId"] not in PUBLIC) or _names_another(parameters):
        statuses |= {404}
    if operation["operationId"] in _SAID_ONCE:
        statuses |= {404}
    if method != "get":
        statuses |= {409}
    if is_versioned(method, operation):
        statuses |= {412} if operation["operationId"] in MAKING else {412, 428}
    if has_body:
        statuses |= {413}
    if has_body or parameters:
        statuses |= {422}
    if operation["operationId"] in _TAKES_EVENTS:
        statuses |= {415}
    return sorted(statuses)


def _names_another(parameters: list[Json]) -> bool:
    return any(parameter["in"] == "query" and parameter["name"].endswith("_id") for parameter in parameters)


def _complete_operation(document: Json, path: str, method: str, operation: Json) -> None:
    parameters = [p for p in operation.get("parameters", []) if p["name"].lower() != _IDEMPOTENCY_KEY]
    if is_versioned(method, operation):
        is_required = operation["operationId"] not in MAKING
        parameters.append({**_IF_MATCH, "required": is_required})
    if method == "post":
        parameters.append(_IDEMPOTENCY)
    operation.pop("parameters", None)
    if parameters:
        operation["parameters"] = parameters
    answers = {code: answer for code, answer in operation["responses"].items() if code.startswith("2")}
    for answer in answers.values():
        _complete_answer(document, method, answer)
    errors = {
        str(status): {"$ref": f"#/components/responses/{status}"}
        for status in list_errors(path, method, operation)
    }
    operation["responses"] = {**answers, **errors}
    if operation["operationId"] in PUBLIC:
        operation["security"] = []


def _complete_answer(document: Json, method: str, answer: Json) -> None:
    names = ["X-Request-Id"]
    if method == "post":
        names.append("Idempotent-Replayed")
    if has_etag(document, answer):
        names.append("ETag")
    for kind, media in answer.get("content", {}).items():
        media.setdefault("schema", {"type": "string", "description": _FILE_TEXTS.get(kind, "The file.")})
    answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    answer["description"] = "Done." if "content" not in answer else "The answer."


def has_etag(document: Json, answer: Json) -> bool:
    """An answer that is one changeable resource carries its ETag."""
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    inner = list(_resolve(document, schema).get("properties", {}).values())
    if len(inner) != 1 or "$ref" not in inner[0] or _name_of(inner[0]) in _WITHOUT_ETAG:
        return False
    return "version" in _resolve(document, inner[0]).get("properties", {})


def _describe_envelope(name: str, schema: Json) -> None:
    """Say of the one thing, or the list, that an answer holds what it is: its own shape says the rest."""
    if not name.endswith(_ENVELOPES):
        return
    for field, value in schema.get("properties", {}).items():
        noun = field.replace("_", " ")
        if "description" in value:
            continue
        if "$ref" in value:
            value["description"] = f"The {noun}."
        elif "$ref" in value.get("items", {}):
            value["description"] = f"The {noun} of this answer, in the order of the list."


def _problem_response(status: int) -> Json:
    code, description, detail = _PROBLEMS[status]
    names = ["X-Request-Id", *(["Retry-After"] if status in _RETRYABLE else [])]
    fields = [{"field": "body.name", "message": "Field required", "code": "missing"}] if status == 422 else []
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {
            PROBLEM_MEDIA: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": {
                    "type": f"https://rempart.eu/problems/{code}",
                    "title": code.replace("_", " ").capitalize(),
                    "status": status,
                    "detail": detail,
                    "code": code,
                    "message": detail,
                    "request_id": "req_01jd00000000000000000000a0",
                    "errors": fields,
                },
            }
        },
    }


def _resolve(document: Json, schema: Json) -> Json:
    if "$ref" not in schema:
        return schema
    found: Json = document["components"]["schemas"][_name_of(schema)]
    return found


def _name_of(schema: Json) -> str:
    return str(schema["$ref"]).rsplit("/", 1)[1]


def _drop_unused_schemas(document: Json) -> None:
    """FastAPI's own error shapes are never answered."""
    schemas = document["components"]["schemas"]
    used: set[str] = set()
    waiting = [*_list_refs(document["paths"]), *_list_refs(document["components"]["responses"])]
    while waiting:
        name = waiting.pop()
        if name in schemas and name not in used:
            used.add(name)
            waiting += _list_refs(schemas[name])
    document["components"]["schemas"] = {name: schemas[name] for name in sorted(used)}


def _list_refs(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [_name_of(node)] if isinstance(node.get("$ref"), str) else []
        return own + [name for child in node.values() for name in _list_refs(child)]
    if isinstance(node, list):
        return [name for child in node for name in _list_refs(child)]
    return []
