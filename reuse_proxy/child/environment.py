"""The environment of the command: which proxy to use, and whom to trust.

Pure: the caller's environment is an argument, and is not changed.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

# What most clients read; curl takes http_proxy in small letters only.
_OF_MANY: Final = (
    *("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"),
    *("ALL_PROXY", "all_proxy"),
)
# aiohttp reads these for WebSockets.
_OF_WEBSOCKETS: Final = ("WS_PROXY", "ws_proxy", "WSS_PROXY", "wss_proxy")
# Node reads the others only if it is told to, from 22.21 and 24 on.
_NODE_SWITCH: Final = "NODE_USE_ENV_PROXY"

# Each names a PEM file; each but Node's is read instead of the client's own roots.
CA_VARIABLES: Final = (
    "SSL_CERT_FILE",  # OpenSSL and what is built on it, Go on Linux, rustls
    "CURL_CA_BUNDLE",  # curl, and requests after its own
    "REQUESTS_CA_BUNDLE",  # Python requests, Azure's tools, conda
    "PIP_CERT",
    "HTTPLIB2_CA_CERTS",
    "AWS_CA_BUNDLE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",  # gcloud
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",  # Node, and Deno from 2.8 on
    "npm_config_cafile",
    "DENO_CERT",
    "CARGO_HTTP_CAINFO",
    "BUNDLE_SSL_CA_CERT",  # Ruby's bundler
    "COMPOSER_CAFILE",  # PHP's composer
    "PERL_LWP_SSL_CA_FILE",
    "HEX_CACERTS_PATH",  # Elixir's package manager
    "JULIA_SSL_CA_ROOTS_PATH",
    "NIX_SSL_CERT_FILE",
    "SYSTEM_CERTIFICATE_PATH",  # Haskell
)


def child_environment(
    environ: Mapping[str, str], *, proxy: str, bundle: Path | None = None
) -> dict[str, str]:
    """Return the environment of a command that is to use a proxy.

    NO_PROXY stays as it is: what its user keeps from proxies may not be for one.

    Args:
        environ: the environment of whoever has typed the command.
        proxy: the proxy's URL.
        bundle: a PEM file of all the authorities that it may trust.
    """
    proxied = dict.fromkeys((*_OF_MANY, *_OF_WEBSOCKETS), proxy)
    trusted = {} if bundle is None else dict.fromkeys(CA_VARIABLES, str(bundle))
    return {**environ, **proxied, _NODE_SWITCH: "1", **trusted}


def other_proxies(environ: Mapping[str, str]) -> Iterator[str]:
    """Say that a proxy of the environment is not used, if there is one."""
    for name in _OF_MANY:
        if url := environ.get(name):
            yield (
                f"{name}={_without_password(url)} is not used: the private proxy of"
                " this command connects to origins directly, unless"
                " REUSE_PROXY_PARENT_PROXY leads it through another one."
            )
            return


def _without_password(url: str) -> str:
    try:
        login, at, place = urlsplit(url).netloc.rpartition("@")
    except ValueError:  # brackets without an address
        return "..."
    if not at and "@" in url:  # without a scheme there is no netloc
        return f"...@{url.rpartition('@')[2]}"
    return url.replace(f"{login}@{place}", f"...@{place}", 1) if at else url
