"""CPU per call and latency added by the gateway, its key checks compared, nginx as floor, LiteLLM beside it.

Run: `python tests/bench/bench_gateway.py [--seconds 6] [--litellm]`. Prints JSON and keeps it in build/bench/.
`--litellm` installs the pinned LiteLLM into a virtual environment of its own under build/bench/ if absent.
The upstream is a static answer, the same for all: it is no model. CPU is the kernel's count of the proxy's
processes; latency is of this machine, with the load generator on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.gateway_load import Load, run_closed, run_paced, serve_upstream
from tests.fixtures.database import running_redis
from tests.integration.gateway.rig import MODEL, Rig, Tenant, free_ports, running_rig, wait_until

OUT = Path("build/bench")
LITELLM = "litellm[proxy]==1.106.2"
LITELLM_START_SECONDS = 120
CONNECTIONS = 16
PACED_PER_SECOND = 300
# One key carries the whole load: its rate is out of the way, the check of it is not.
UNLIMITED = {
    "REMPART_GATEWAY_KEY_CALLS_PER_SECOND": "1000000",
    "REMPART_GATEWAY_TENANT_CALLS_PER_SECOND": "1000000",
}
BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hello there"}]}).encode()
STREAM_BODY = BODY[:-1] + b', "stream": true}'


def cpu_seconds(*pids: int) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rss_mib(*pids: int) -> float:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def measure(name: str, port: int, pids: tuple[int, ...], load: Load, seconds: float) -> dict[str, Any]:
    """Warm up, load without pause for CPU, then at a fixed rate for latency."""
    asyncio.run(run_closed(port, load, CONNECTIONS, 1.0))
    before = [cpu_seconds(pid) for pid in pids]
    closed = asyncio.run(run_closed(port, load, CONNECTIONS, seconds))
    cpu = [cpu_seconds(pid) - start for pid, start in zip(pids, before, strict=True)]
    rate = min(PACED_PER_SECOND, max(5, int(closed.calls / seconds * 0.5)))
    paced = asyncio.run(run_paced(port, load, rate, seconds))
    result = {
        "name": name,
        "calls": closed.calls,
        "errors": closed.errors + paced.errors,
        "calls_per_second": round(closed.calls / seconds),
        "cpu_us_per_call": round(sum(cpu) / max(1, closed.calls) * 1e6, 1),
        "cpu_us_by_process": [round(each / max(1, closed.calls) * 1e6, 1) for each in cpu],
        "paced_per_second": rate,
        "p50_ms": paced.percentile(50),
        "p99_ms": paced.percentile(99),
        "rss_mib": rss_mib(*pids) if pids else None,
    }
    print(json.dumps(result), flush=True)
    return result


def with_filters(rig: Rig, in_front: list[dict[str, Any]], *, is_bare: bool = False) -> None:
    """Start the rig's Envoy anew with other filters in place of its key check: only for comparison.

    A bare one keeps the router alone behind them, and writes no access log: what Envoy itself costs.
    """
    path = rig.state_dir / "gateway" / "envoy" / "xds" / "lds" / "lds.json"
    document = json.loads(path.read_text())
    manager = document["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    names = [each["name"] for each in manager["http_filters"]]
    first_kept = "envoy.filters.http.router" if is_bare else "envoy.filters.http.buffer"
    manager["http_filters"] = [*in_front, *manager["http_filters"][names.index(first_kept) :]]
    if is_bare:
        manager["access_log"] = []
    path.write_text(json.dumps(document))
    rig.kill(rig.envoy)
    rig.start_envoy()


def _caller_lua(tenant: Tenant) -> dict[str, Any]:
    """What the key check leaves for the filters behind it, without any check."""
    code = (
        "function envoy_on_request(h)\n"
        f'  h:headers():replace("x-rempart-project", "{tenant.project_id}")\n'
        f'  h:streamInfo():dynamicMetadata():set("rempart", "caller", {{tenant = "{tenant.tenant_id}",'
        f' project = "{tenant.project_id}", key = "{tenant.key_id}", at = h:timestamp()}})\n'
        "  h:clearRouteCache()\nend\n"
    )
    kind = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
    typed = {"@type": kind, "default_source_code": {"inline_string": code}}
    return {"name": "rempart.caller", "typed_config": typed}


def _pinned_lua(tenant: Tenant) -> dict[str, Any]:
    """The one route this bench uses, named without reading anything: it must stay known to Envoy's router."""
    code = (
        "function envoy_on_request(h)\n"
        f'  h:headers():replace("x-rempart-route", "{tenant.project_id}/{MODEL}")\n'
        "  h:clearRouteCache()\nend\n"
    )
    kind = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
    return {
        "name": "rempart.pinned",
        "typed_config": {"@type": kind, "default_source_code": {"inline_string": code}},
    }


def _ext_authz(rig: Rig) -> dict[str, Any]:
    token = (rig.state_dir / "gateway" / "internal-token").read_text()
    return {
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "http_service": {
                "server_uri": {"uri": "http://gateway", "cluster": "rempart_gateway", "timeout": "1s"},
                "path_prefix": "/internal/keys?",
                "authorization_request": {"headers_to_add": [{"key": "x-rempart-internal", "value": token}]},
                "authorization_response": {
                    "allowed_upstream_headers": {"patterns": [{"prefix": "x-rempart-"}]}
                },
            },
        },
    }


def _api_key_auth(tenant: Tenant) -> dict[str, Any]:
    return {
        "name": "envoy.filters.http.api_key_auth",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
            "credentials": [{"key": tenant.key, "client": tenant.key_id}],
            "key_sources": [{"header": "Authorization"}],
        },
    }


def bench_rempart(folder: Path, upstream: int, seconds: float) -> list[dict[str, Any]]:
    results = []
    with running_redis(folder) as (url, _), running_rig(folder / "state", url, settings=UNLIMITED) as rig:
        tenant = Tenant()
        rig.publish_keys(tenant)
        route = tenant.route(max=64, concurrency_per_replica=64)
        rig.publish_routes(route)
        rig.publish_endpoints(route, upstream)
        load = Load("/v1/chat/completions", BODY, {"authorization": f"Bearer {tenant.key}"})
        stream = Load(load.path, STREAM_BODY, load.headers)

        def pids() -> tuple[int, int]:
            assert rig.envoy is not None
            assert rig.gateway is not None
            return rig.envoy.pid, rig.gateway.pid

        results.append(measure("rempart, everything", rig.port, pids(), load, seconds))
        results.append(measure("rempart, everything, stream of 32", rig.port, pids(), stream, seconds))
        caller = _caller_lua(tenant)
        variants = {
            "rempart, key not checked": [caller],
            "rempart, api_key_auth instead": [_api_key_auth(tenant), caller],
            "rempart, ext_authz each call instead": [_ext_authz(rig), caller],
        }
        for name, in_front in variants.items():
            with_filters(rig, in_front)
            results.append(measure(name, rig.port, pids(), load, seconds))
        with_filters(rig, [_pinned_lua(tenant)], is_bare=True)
        results.append(measure("Envoy alone: its router and one route", rig.port, pids(), load, seconds))
    return results


def bench_nginx(folder: Path, upstream: int, seconds: float) -> list[dict[str, Any]]:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        print("nginx is not installed: no floor in this run", flush=True)
        return []
    port = free_ports(1)[0]
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log {folder}/access.log; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"upstream e {{ server 127.0.0.1:{upstream}; keepalive 64; }}\n"
        f"server {{ listen 127.0.0.1:{port}; keepalive_requests 100000000; location / {{ proxy_pass http://e;\n"
        'proxy_http_version 1.1; proxy_set_header Connection ""; } } }\n'
    )
    process = subprocess.Popen([binary, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        load = Load("/v1/chat/completions", BODY, {})
        wait_until(lambda: asyncio.run(run_closed(port, load, 1, 0.05)).calls > 0, "nginx")
        return [measure("nginx, plain proxy with access log", port, (process.pid,), load, seconds)]
    finally:
        process.terminate()
        process.wait(10)


def bench_litellm(folder: Path, upstream: int, seconds: float) -> list[dict[str, Any]]:
    venv = OUT / "litellm-venv"
    if not (venv / "bin" / "litellm").exists():
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(venv)], check=True)
        subprocess.run(
            [uv, "pip", "install", "-q", "--python", str(venv / "bin/python"), LITELLM], check=True
        )
    port = free_ports(1)[0]
    key = "sk-bench-0123456789abcdef0123456789abcdef"
    params = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": params}],
        "general_settings": {"master_key": key},
        "litellm_settings": {"telemetry": False},
    }
    (folder / "litellm.json").write_text(json.dumps(config))
    environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with (folder / "litellm.log").open("wb") as log:
        process = subprocess.Popen(
            [venv / "bin/litellm", "--config", folder / "litellm.json", "--port", str(port),
             "--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False"],
            env=environ, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            load = Load("/v1/chat/completions", BODY, {"authorization": f"Bearer {key}"})

            def is_up() -> bool:
                result = asyncio.run(run_closed(port, load, 1, 0.5))
                return result.calls > 0 and result.errors == 0

            wait_until(is_up, "LiteLLM's proxy", seconds=LITELLM_START_SECONDS)
            return [measure("LiteLLM proxy 1.106.2", port, (process.pid,), load, seconds)]
        finally:
            process.terminate()
            process.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--litellm", action="store_true")
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    upstream = free_ports(1)[0]
    with serve_upstream(upstream), tempfile.TemporaryDirectory(prefix="rmp-bench-") as name:
        folder = Path(name)
        load = Load("/v1/chat/completions", BODY, {})
        results = [measure("upstream alone", upstream, (), load, options.seconds)]
        results += bench_nginx(folder, upstream, options.seconds)
        results += bench_rempart(folder, upstream, options.seconds)
        if options.litellm:
            results += bench_litellm(folder, upstream, options.seconds)
    base = results[0]["p99_ms"]
    for result in results:
        result["p99_added_ms"] = round(result["p99_ms"] - base, 2)
    summary = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "upstream": "static answer, no model",
        "results": results,
    }
    (OUT / "gateway.json").write_text(json.dumps(summary, indent=2))
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
