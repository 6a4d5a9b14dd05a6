"""`python -m operators`: the controllers of one cell, set by the environment (docs/contracts.md)."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import structlog
import uvloop

from operators import nodepool
from operators.lib.access import NoAccess, load_access
from operators.lib.client import KubernetesClient
from operators.lib.manager import LeadershipLost, Manager
from operators.lib.settings import InvalidSettings, OperatorSettings, read_settings

log = structlog.get_logger(__name__)

EXIT_SETTINGS = 2
EXIT_LEADERSHIP_LOST = 3
# Outbuildings of this process; one that is not installed is left out.
OPTIONAL_SETUPS = ("operators.inference", "operators.allocation")


def configure_logs() -> None:
    """One JSON object a line on standard error, static event names, UTC times."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def setup_all(manager: Manager) -> None:
    """Register every operator that is installed."""
    nodepool.setup(manager)
    for name in OPTIONAL_SETUPS:
        if find_spec(name) is None:
            continue
        setup: Callable[[Manager], None] | None = getattr(import_module(name), "setup", None)
        if setup is not None:
            setup(manager)
            log.info("operator_registered", operator=name)


async def run(settings: OperatorSettings) -> int:
    """Work until SIGTERM or SIGINT; the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with KubernetesClient(load_access(settings.kubeconfig), qps=settings.qps) as client:
        manager = Manager(client, settings)
        setup_all(manager)
        log.info("operators_started", identity=settings.identity, cell=settings.cell)
        try:
            await manager.run(stop)
        except LeadershipLost:
            return EXIT_LEADERSHIP_LOST
    log.info("operators_stopped")
    return 0


def main() -> int:
    """The program."""
    configure_logs()
    try:
        settings = read_settings()
        return uvloop.run(run(settings))
    except (InvalidSettings, NoAccess) as err:
        log.error("settings_invalid", error=str(err))
        return EXIT_SETTINGS


if __name__ == "__main__":
    sys.exit(main())
