"""TLS origination: which targets go out as TLS, and what the origin is told."""

import pytest

from reuse_proxy.config.hosts import TlsRoute
from reuse_proxy.downstream import originate
from reuse_proxy.downstream.originate import Origination
from reuse_proxy.http.target import Origin, ProxyTarget, parse_absolute


def originating(*routes):
    """Make the rule out of the setting's entries."""
    return Origination([TlsRoute.parse(route) for route in routes])


def asked(url):
    """Read a target."""
    return parse_absolute(url.encode(), method="GET")


@pytest.mark.parametrize(
    ("route", "url", "origin", "host"),
    [
        ("a.test", "http://a.test/x", ("a.test", 443), b"a.test"),
        ("a.test", "http://A.test:80/x", ("a.test", 443), b"a.test"),
        ("a.test", "http://a.test:8080/x", ("a.test", 8080), b"a.test:8080"),
        ("a.test", "http://A.Test:443/x", ("a.test", 443), b"A.Test:443"),
        ("a.test:8080=443", "http://a.test:8080/x", ("a.test", 443), b"a.test"),
        ("a.test=8443", "http://a.test/x", ("a.test", 8443), b"a.test:8443"),
        ("*.test", "http://b.a.test/x", ("b.a.test", 443), b"b.a.test"),
        ("[::1]=8443", "http://[::1]/x", ("::1", 8443), b"[::1]:8443"),
    ],
)
def test_a_listed_host_is_asked_with_tls(route, url, origin, host):
    """The path stays; Host changes where the port does."""
    target = originating(route).apply(asked(url))

    assert target == ProxyTarget(Origin("https", *origin), host, b"/x")


@pytest.mark.parametrize(
    "url",
    [
        "http://b.test/x",
        "http://sub.a.test/x",
        "http://a.test:81/x",
        "https://a.test/x",
        "https://a.test:80/x",
    ],
)
def test_other_targets_stay_as_they_are(url):
    """Other hosts, other ports, and what is TLS already."""
    target = asked(url)

    assert originating("a.test:80").apply(target) is target


def test_the_first_route_that_matches_counts():
    """As in every table of hosts."""
    origination = originating("a.test=1", "*.test=2")

    assert origination.apply(asked("http://a.test/")).origin.port == 1
    assert origination.apply(asked("http://b.test/")).origin.port == 2


def test_a_decision_is_remembered_and_the_memory_bounded():
    """A client that makes names up fills no memory."""
    origination = originating("*.test")

    for number in range(2 * originate._MAX_KNOWN + 1):
        origination.apply(asked(f"http://{number}.test/"))

    assert len(origination._known) <= originate._MAX_KNOWN
    first = origination.apply(asked("http://0.test/")).origin
    assert origination.apply(asked("http://0.test/")).origin is first


def test_its_repr_tells_the_routes():
    """In the order of the setting."""
    text = repr(originating("a.test=1", "*.test"))

    assert text == "<Origination <HostTable a.test=1, *.test>>"
