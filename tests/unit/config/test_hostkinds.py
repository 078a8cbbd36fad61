"""The kinds of settings about hosts and files: what each reads, refuses and prints."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from reuse_proxy.config.hostkinds import (
    ClientCertificates,
    Exemptions,
    Hosts,
    OnePath,
    ParentUrl,
    TlsRoutes,
)
from reuse_proxy.config.hosts import ClientCertificate, HostPattern, TlsRoute
from reuse_proxy.config.parent import Exemption, ParentProxy
from reuse_proxy.config.units import NotAllowedError

API = HostPattern("api.example")
INTERNAL = HostPattern("*.internal", 8443)
ROUTE = TlsRoute(API, 8443)
TEN = Exemption(ip_network("10.0.0.0/8"))
PARENT = ParentProxy("corp", 3128)
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
        (Exemptions(), "none", ()),
        (Exemptions(), "api.example, 10.0.0.0/8", (Exemption(API), TEN)),
        (Exemptions(), [TEN, "api.example"], (TEN, Exemption(API))),
        (ParentUrl(), "none", None),
        (ParentUrl(), None, None),
        (ParentUrl(), " http://corp:3128 ", PARENT),
        (ParentUrl(), PARENT, PARENT),
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
        (Exemptions(), "10.1.2.3/8"),
        (Exemptions(), API),
        (ParentUrl(), ""),
        (ParentUrl(), ["http://corp:3128"]),
        (ParentUrl(), 3128),
        (ParentUrl(), "corp:3128"),
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
        (Exemptions(), (), "none"),
        (Exemptions(), (Exemption(API), TEN), "api.example, 10.0.0.0/8"),
        (ParentUrl(), None, "none"),
        (ParentUrl(), PARENT, "http://corp:3128"),
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
        (Exemptions(), "10.0.0.0/8"),
        (ParentUrl(), "http://USER:PASSWORD@HOST:PORT"),
        (OnePath(), "or none"),
    ],
)
def test_what_is_allowed_is_shown_by_example(kind, word):
    """Nobody has to look it up."""
    assert word in kind.allowed


def test_a_path_that_is_needed_offers_no_none():
    """It would only be refused."""
    assert "none" not in OnePath(needed=True).allowed
