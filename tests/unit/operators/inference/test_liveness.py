"""Each engine is asked where its working part answers, after the time that it may take to start."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controlplane.catalogue.liveness_rules import find_liveness
from controlplane.catalogue.seed_data import MODELS
from controlplane.deployments.manifest import build_manifests
from operators.apis.v1alpha1 import InferenceDeployment
from operators.inference.replica_rules import PodToCreate
from operators.inference.resources import PodStamps, build_pod
from tests.unit.deployments.parts import NOW, PLAN, part
from tests.unit.deployments.test_manifest import ENGINE


@pytest.mark.case("X10")
def test_pod_of_an_engine_is_restarted_when_its_working_part_is_silent() -> None:
    for model in MODELS:
        engine = replace(ENGINE, engine_name=model.engine.name)
        wire = build_manifests(part(), PLAN, engine, {"hub-token": "zebra"})[-1]
        wire["metadata"]["uid"] = "u"
        pod = build_pod(InferenceDeployment.model_validate(wire), PodToCreate(0, 0, 0), PodStamps(NOW, None))
        [container] = pod["spec"]["containers"]
        probe, asked = container["livenessProbe"], find_liveness(model.engine.name)
        assert probe["httpGet"]["path"] == asked.path
        assert probe["initialDelaySeconds"] == asked.start_seconds
        assert probe["periodSeconds"] * probe["failureThreshold"] <= 60
        assert container["readinessProbe"]["httpGet"]["path"] == "/health"
    assert find_liveness("llama-cpp").path != "/health"
