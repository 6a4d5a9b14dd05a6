"""What is made for a machine: the acceptance run."""

from datetime import UTC, datetime

from operators.nodepool.domain import MachineOrder
from operators.nodepool.resources import build_acceptance_pod

ORDER = MachineOrder(
    claim_uid="c1",
    claim_name="essonne-b300-0",
    node_name="essonne-b300-0",
    pool="essonne-b300",
    cpu_milli=128_000,
    memory_mib=2_097_152,
    gpus=8,
    labels=(),
    taints=(),
    ordered_at=datetime(2026, 11, 1, tzinfo=UTC),
)
CLAIM = {
    "apiVersion": "rempart.eu/v1alpha1",
    "kind": "NodeClaim",
    "metadata": {"name": "essonne-b300-0", "uid": "c1"},
}
NODE = {"metadata": {"name": "essonne-b300-0", "uid": "n1"}}


def test_the_acceptance_run_is_told_what_was_promised() -> None:
    pod = build_acceptance_pod(CLAIM, NODE, ORDER, "platform")
    (container,) = pod["spec"]["containers"]
    told = {each["name"]: each["value"] for each in container["env"]}
    assert told == {"REMPART_EXPECTED_CPU_MILLI": "128000", "REMPART_EXPECTED_MEMORY_MIB": "2097152"}


def test_the_acceptance_run_happens_where_the_installer_says() -> None:
    assert build_acceptance_pod(CLAIM, NODE, ORDER, "platform")["metadata"]["namespace"] == "platform"
