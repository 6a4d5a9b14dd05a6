"""Where the API server is and how to prove who we are: from KUBECONFIG, else from the pod's own identity."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass

from kubernetes import config
from kubernetes.client import Configuration


@dataclass(frozen=True, slots=True)
class Access:
    """An API server's address with its proof of identity. `authorization` may renew a short-lived token."""

    server: str
    tls: ssl.SSLContext | None
    authorization: Callable[[], str | None]


class NoAccess(Exception):
    """Neither a kubeconfig nor a pod's own account leads to an API server."""


def load_access(kubeconfig: str = "") -> Access:
    """Read the access once. Errors: NoAccess when neither source is there."""
    configuration = Configuration()
    load_file: Callable[..., None] = config.load_kube_config
    load_pod: Callable[..., None] = config.load_incluster_config
    try:
        if kubeconfig:
            load_file(config_file=kubeconfig, client_configuration=configuration)
        else:
            load_pod(client_configuration=configuration)
    except config.ConfigException as err:
        raise NoAccess(str(err)) from err

    def authorization() -> str | None:
        # The loader's key is BearerToken; the call renews a token that is about to run out.
        value: str | None = configuration.get_api_key_with_prefix("BearerToken")
        if value is None:
            value = configuration.get_api_key_with_prefix("authorization")
        return value

    return Access(
        configuration.host.rstrip("/"),
        _tls(configuration) if configuration.host.startswith("https") else None,
        authorization,
    )


def _tls(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
    if not configuration.verify_ssl:
        # Only when the kubeconfig says insecure-skip-tls-verify.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context
