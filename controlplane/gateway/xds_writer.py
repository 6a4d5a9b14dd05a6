"""Put Envoy's configuration on disk, each file by one atomic move, so that no route names nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import orjson

from controlplane.gateway.domain import Endpoint, GatewayConfig
from controlplane.gateway.envoy_bootstrap import build_arguments, build_bootstrap, build_discovery
from controlplane.gateway.envoy_clusters import build_clusters, build_endpoints
from controlplane.gateway.envoy_listener import build_listener
from controlplane.gateway.envoy_routes import build_routes
from controlplane.gateway.route_rules import RouteTable

Json = dict[str, Any]

PRIVATE_FILE = 0o600
"""The configuration names tenants' routes and the token of the inner doors: only this user reads it."""


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file so that a reader, or a crash, sees the old or the new one and never a part."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class XdsWriter:
    """Writes what changed and nothing else: an idle gateway writes no file."""

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        self._written: dict[Path, str] = {}

    def write_bootstrap(self) -> None:
        """Write the bootstrap, the flags and the listener; called once, before the process reports ready."""
        pressure = self._config.pressure_file
        for folder in (self._config.xds_dir, self._config.access_log.parent, pressure.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.write_pressure(0.0)
        self._put("lds", [build_listener(self._config)])
        bootstrap = orjson.dumps(build_bootstrap(self._config), option=orjson.OPT_INDENT_2)
        write_atomically(self._config.envoy_dir / "args.json", orjson.dumps(build_arguments(self._config)))
        write_atomically(self._config.envoy_dir / "bootstrap.json", bootstrap)

    def write_pressure(self, share: float) -> None:
        """Tell Envoy which share of its connections is open. Shapes: 0 to 1; written when its percent changed."""
        text = f"{min(1.0, max(0.0, share)):.2f}"
        path = self._config.pressure_file
        if self._written.get(path) != text:
            write_atomically(path, text.encode())
            self._written[path] = text

    def write_table(self, table: RouteTable, endpoints: dict[str, tuple[Endpoint, ...]]) -> None:
        """Write endpoints, then clusters, then routes; then remove the endpoints nobody names any more."""
        names = [route.regional_deployment_id for route in table.clusters]
        for name in names:
            self.write_endpoints(name, endpoints.get(name, ()))
        is_growing = set(names) >= self._known()
        order = ("cds", "rds") if is_growing else ("rds", "cds")
        documents = {
            "cds": build_clusters(self._config, table.clusters),
            "rds": [build_routes(self._config, table)],
        }
        if not is_growing:
            # Something appears and something goes at once: the new clusters must be there before the routes.
            self._put("cds", _merge(documents["cds"], self._kept_clusters()))
        for kind in order:
            self._put(kind, documents[kind])
        for gone in self._known() - set(names):
            shutil.rmtree(self._config.xds_dir / "eds" / gone, ignore_errors=True)
            self._written.pop(self._config.xds_dir / "eds" / gone / "eds.json", None)

    def write_endpoints(self, regional_deployment_id: str, endpoints: tuple[Endpoint, ...]) -> None:
        """Write one regional deployment's endpoints."""
        document = build_endpoints(self._config, regional_deployment_id, endpoints)
        self._put("eds", [document], regional_deployment_id)

    def _known(self) -> set[str]:
        folder = self._config.xds_dir / "eds"
        return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()

    def _kept_clusters(self) -> list[Json]:
        path = self._config.xds_dir / "cds" / "cds.json"
        resources: list[Json] = orjson.loads(path.read_bytes())["resources"] if path.is_file() else []
        return resources

    def _put(self, kind: str, resources: list[Json], name: str | None = None) -> None:
        folder = self._config.xds_dir / kind if name is None else self._config.xds_dir / kind / name
        path = folder / f"{kind}.json"
        body = orjson.dumps(resources)
        version = hashlib.sha256(body).hexdigest()[:16]
        if self._written.get(path) == version:
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, orjson.dumps(build_discovery(version, resources)))
        self._written[path] = version


def _merge(wanted: list[Json], old: list[Json]) -> list[Json]:
    names = {cluster["name"] for cluster in wanted}
    return [*wanted, *(cluster for cluster in old if cluster["name"] not in names)]
