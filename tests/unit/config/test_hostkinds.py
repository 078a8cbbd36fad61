"""The kinds of settings about hosts and files: what each reads, refuses and prints."""

from pathlib import Path

import pytest

from reuse_proxy.config.hostkinds import (
    ClientCertificates,
    Hosts,
    OnePath,
    TlsRoutes,
)
from reuse_proxy.config.hosts import ClientCertificate, HostPattern, TlsRoute
from reuse_proxy.config.units import NotAllowedError

API = HostPattern("api.example")
INTERNAL = HostPattern("*.internal", 8443)
ROUTE = TlsRoute(API, 8443)
CERTIFICATE = ClientCertificate(API, Path("/a.pem"), Path("/a.key"))


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (Hosts(), "none", ()),
        (Hosts(), "", ()),
        (Hosts(), [], ()),
        (Hosts(), "api.example", (API,)),
        (Hosts(), "api.example, *.internal:8443", (API, INTERNAL)),
        (Hosts(), ["api.example", "*.internal:8443"], (API, INTERNAL)),
        (Hosts(), ["api.example,*.internal:8443"], (API, INTERNAL)),
        (Hosts(), (API, "*.internal:8443"), (API, INTERNAL)),
        (TlsRoutes(), "none", ()),
        (TlsRoutes(), "api.example=8443", (ROUTE,)),
        (TlsRoutes(), "api.example=8443,*.internal:8443", (ROUTE, TlsRoute(INTERNAL))),
        (TlsRoutes(), (ROUTE,), (ROUTE,)),
        (ClientCertificates(), "none", ()),
        (ClientCertificates(), "api.example=/a.pem:/a.key", (CERTIFICATE,)),
        (ClientCertificates(), [CERTIFICATE], (CERTIFICATE,)),
        (OnePath(), "none", None),
        (OnePath(), None, None),
        (OnePath(), " ~/ca.pem ", Path("~/ca.pem")),
        (OnePath(), Path("ca.pem"), Path("ca.pem")),
        (OnePath(needed=True), "/var/lib/ca", Path("/var/lib/ca")),
    ],
)
def test_a_value_is_read(kind, value, read):
    """From a flag, the environment or TOML; what has been read before stays."""
    assert kind.parse(value) == read


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Hosts(), "http://api.example"),
        (Hosts(), 5),
        (Hosts(), ["api.example", 5]),
        (Hosts(), True),
        (Hosts(), ROUTE),
        (TlsRoutes(), "api.example=x"),
        (TlsRoutes(), API),
        (ClientCertificates(), "api.example"),
        (ClientCertificates(), ROUTE),
        (OnePath(), ""),
        (OnePath(), " "),
        (OnePath(), 5),
        (OnePath(), "a\0b"),
        (OnePath(needed=True), "none"),
        (OnePath(needed=True), None),
    ],
)
def test_a_value_is_refused(kind, value):
    """And the kind says what to give instead."""
    with pytest.raises(NotAllowedError):
        kind.parse(value)

    assert kind.allowed.startswith("give ")


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        (Hosts(), (), "none"),
        (Hosts(), (API, INTERNAL), "api.example, *.internal:8443"),
        (TlsRoutes(), (), "none"),
        (TlsRoutes(), (ROUTE, TlsRoute(API)), "api.example=8443, api.example"),
        (ClientCertificates(), (), "none"),
        (ClientCertificates(), (CERTIFICATE,), "api.example=/a.pem:/a.key"),
        (OnePath(), None, "none"),
        (OnePath(), Path("~/ca.pem"), "~/ca.pem"),
        (OnePath(needed=True), Path("/ca"), "/ca"),
    ],
)
def test_what_is_printed_is_read_back(kind, value, shown):
    """As settings and help show it."""
    assert kind.show(value) == shown
    assert kind.parse(shown) == value


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (Hosts(), "*.internal:8443"),
        (TlsRoutes(), "HOST[:PORT][=TLSPORT]"),
        (ClientCertificates(), "HOST=CERT.pem:KEY.pem"),
        (OnePath(), "or none"),
    ],
)
def test_what_is_allowed_is_shown_by_example(kind, word):
    """Nobody has to look it up."""
    assert word in kind.allowed


def test_a_path_that_is_needed_offers_no_none():
    """It would only be refused."""
    assert "none" not in OnePath(needed=True).allowed
