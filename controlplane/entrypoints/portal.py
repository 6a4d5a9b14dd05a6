"""The portal: `python -m controlplane.entrypoints.portal`. It needs the API's address, Redis and the pepper."""

from __future__ import annotations

import uvicorn

from controlplane.plumbing.logging import configure
from controlplane.plumbing.metrics import serve_metrics
from controlplane.plumbing.settings import load_settings
from controlplane.portal.app import create_app

# Pages come within this; who still reads an answer of the playground, or does not read at all, is cut off.
SHUTDOWN_SECONDS = 5


def main() -> None:
    settings = load_settings()
    configure("portal", settings.log_level)
    serve_metrics(settings.metrics_port, settings.metrics_host)
    uvicorn.run(
        create_app(settings),
        host=settings.portal_host,
        port=settings.portal_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    main()
