"""Reading the acceptance run: what its pod says, and when that is believed. Pure.

The run on a real machine ends with a JSON document as its termination message:
`{"checks": [{"name", "result", "detail"}]}`. Anything else is a failed run: an unreadable answer is no
proof. On a simulated node nothing was exercised, and the record says exactly that.
"""

import json
from typing import Any

from operators.lib.clock import parse_time
from operators.lib.objects import Obj, is_deleting
from operators.nodepool.domain import ANNOTATION_NODE_UID, AcceptanceFacts, Check, Outcome

CHECKS_MAX = 64
NAME_LENGTH_MAX = 64
DETAIL_LENGTH_MAX = 1024
RESULTS = frozenset({"passed", "failed", "skipped"})
SIMULATED_CHECK = Check(
    "simulated-acceptance", "simulated", "the node is simulated: no hardware was exercised"
)


class UnreadableChecks(ValueError):
    """The termination message is not the document that was agreed."""


def parse_checks(message: str) -> tuple[Check, ...]:
    """The checks of a real run. Errors: UnreadableChecks says what is wrong."""
    try:
        document = json.loads(message)
    except ValueError as err:
        raise UnreadableChecks("the run's message is not JSON") from err
    entries = document.get("checks") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not 1 <= len(entries) <= CHECKS_MAX:
        raise UnreadableChecks(f"the run's message has no list of 1 to {CHECKS_MAX} checks")
    checks = tuple(_check(entry) for entry in entries)
    if len({check.name for check in checks}) != len(checks):
        raise UnreadableChecks("two checks of the run have the same name")
    return checks


def _check(entry: Any) -> Check:
    if not isinstance(entry, dict):
        raise UnreadableChecks("a check is not an object")
    name, result, detail = entry.get("name"), entry.get("result"), entry.get("detail", "")
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_LENGTH_MAX:
        raise UnreadableChecks("a check has no name")
    if result not in RESULTS:
        raise UnreadableChecks(f"check {name} has a result that is not passed, failed or skipped")
    return Check(name, result, str(detail)[:DETAIL_LENGTH_MAX])


def read_acceptance(pod: Obj, *, is_simulated: bool) -> AcceptanceFacts:
    """What the acceptance pod tells. `is_simulated` is a fact of the provider, never of the pod."""
    node_uid = (pod["metadata"].get("annotations") or {}).get(ANNOTATION_NODE_UID, "")
    status = pod.get("status") or {}
    phase = status.get("phase")
    deleting = is_deleting(pod)
    if phase not in ("Succeeded", "Failed"):
        created = pod["metadata"].get("creationTimestamp")
        since = parse_time(created) if is_simulated and created else None
        return AcceptanceFacts(node_uid, Outcome.RUNNING, deleting, simulated_since=since)
    message = _message(status)
    if is_simulated:
        outcome = Outcome.PASSED if phase == "Succeeded" else Outcome.FAILED
        failure = "" if outcome is Outcome.PASSED else "the simulated run was made to fail"
        return AcceptanceFacts(node_uid, outcome, deleting, (SIMULATED_CHECK,), failure)
    try:
        checks = parse_checks(message)
    except UnreadableChecks as err:
        text = str(status.get("message") or status.get("reason") or err)
        return AcceptanceFacts(node_uid, Outcome.FAILED, deleting, (), text[:DETAIL_LENGTH_MAX])
    failed = [check for check in checks if check.result == "failed"]
    if failed:
        failure = "; ".join(f"{check.name}: {check.detail}" for check in failed)
        return AcceptanceFacts(node_uid, Outcome.FAILED, deleting, checks, failure[:DETAIL_LENGTH_MAX])
    if phase == "Failed":
        failure = "the run ended with an error although no check failed"
        return AcceptanceFacts(node_uid, Outcome.FAILED, deleting, checks, failure)
    if all(check.result == "skipped" for check in checks):
        failure = "every check was skipped: nothing was proven"
        return AcceptanceFacts(node_uid, Outcome.FAILED, deleting, checks, failure)
    return AcceptanceFacts(node_uid, Outcome.PASSED, deleting, checks)


def _message(status: Obj) -> str:
    for container in status.get("containerStatuses") or []:
        terminated = (container.get("state") or {}).get("terminated")
        if terminated:
            return str(terminated.get("message") or "")
    return ""
