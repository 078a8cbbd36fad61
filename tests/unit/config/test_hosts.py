"""Host patterns and what hangs on them: read, matched, printed, refused."""

from pathlib import Path

import pytest

from reuse_proxy.config.hosts import (
    ClientCertificate,
    HostPattern,
    HostTable,
    TlsRoute,
    matches_any,
    read_port,
)
from reuse_proxy.config.units import NotAllowedError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("api.example.com", "api.example.com", None),
        ("API.Example.COM", "api.example.com", None),
        ("  api.example.com  ", "api.example.com", None),
        ("api.example.com.", "api.example.com", None),
        ("api.example.com:8443", "api.example.com", 8443),
        ("localhost:1", "localhost", 1),
        ("my_service:65535", "my_service", 65535),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
        ("*", "*", None),
        ("*:443", "*", 443),
        ("*.example.com", "*.example.com", None),
        ("*.internal:8443", "*.internal", 8443),
        ("10.1.2.3", "10.1.2.3", None),
        ("10.1.2.3:80", "10.1.2.3", 80),
        ("[::1]", "::1", None),
        ("[::1]:443", "::1", 443),
        ("[2001:DB8:0:0:0:0:0:1]:443", "2001:db8::1", 443),
    ],
)
def test_a_pattern_is_read(text, host, port):
    """Lower-case, without a trailing dot, an address in its short form."""
    assert HostPattern.parse(text) == HostPattern(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ":443",
        ".",
        ".example.com",
        "a..b",
        "a b",
        "-a.example",
        "a-.example",
        "http://a.example",
        "a.example/path",
        "user@a.example",
        "a.*",
        "a.*.example",
        "**",
        "*example.com",
        "*.",
        "bücher.example",
        "a:b:c",
        "::1",
        "[::1",
        "[127.0.0.1]",
        "[]",
        "[::1]443",
        "a.example:",
        "a.example:0",
        "a.example:65536",
        "a.example:-1",
        "a.example:http",
        "a.example:٤٤٣",
    ],
)
def test_what_is_no_pattern_is_refused(text):
    """With the whole text or the port as what is wrong."""
    with pytest.raises(NotAllowedError) as refused:
        HostPattern.parse(text)

    assert refused.value.value in (text, text.partition(":")[2])


@pytest.mark.parametrize(
    ("pattern", "host", "port", "meant"),
    [
        ("a.example", "a.example", 443, True),
        ("a.example", "a.example", 80, True),
        ("a.example", "b.a.example", 443, False),
        ("a.example", "aa.example", 443, False),
        ("a.example:443", "a.example", 443, True),
        ("a.example:443", "a.example", 444, False),
        ("*.example", "a.example", 443, True),
        ("*.example", "b.a.example", 443, True),
        ("*.example", "example", 443, False),
        ("*.example", ".example", 443, False),
        ("*.example", "badexample", 443, False),
        ("*.example:443", "a.example", 80, False),
        ("*", "anything", 1, True),
        ("*", "::1", 1, True),
        ("*:443", "anything", 80, False),
        ("[::1]", "::1", 443, True),
        ("10.0.0.1", "10.0.0.10", 443, False),
    ],
)
def test_a_pattern_means_hosts(pattern, host, port, meant):
    """A star is any depth below a name, never the name itself."""
    assert HostPattern.parse(pattern).matches(host, port) is meant


@pytest.mark.parametrize(
    "text",
    ["a.example", "a.example:443", "*.example:443", "*", "*:1", "[::1]", "[::1]:443"],
)
def test_what_a_pattern_prints_is_read_back(text):
    """As it was spelled."""
    pattern = HostPattern.parse(text)

    assert str(pattern) == text
    assert HostPattern.parse(str(pattern)) == pattern


def test_one_of_several_patterns_is_enough():
    """And none means nothing."""
    patterns = [HostPattern.parse("a.example:443"), HostPattern.parse("*.internal")]

    assert matches_any(patterns, "a.example", 443)
    assert matches_any(patterns, "b.internal", 80)
    assert not matches_any(patterns, "a.example", 80)
    assert not matches_any([], "a.example", 443)


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("a.example", TlsRoute(HostPattern("a.example"))),
        ("a.example:8080", TlsRoute(HostPattern("a.example", 8080))),
        ("a.example:80=8443", TlsRoute(HostPattern("a.example", 80), 8443)),
        ("*.internal=8443", TlsRoute(HostPattern("*.internal"), 8443)),
        ("[::1]:80=443", TlsRoute(HostPattern("::1", 80), 443)),
    ],
)
def test_a_route_is_read_and_printed(text, route):
    """Hosts, and a port for TLS if another is meant."""
    assert TlsRoute.parse(text) == route
    assert str(route) == text


@pytest.mark.parametrize("text", ["", "=", "=443", "a.example=", "a=x", "a=0", "a=1=2"])
def test_what_is_no_route_is_refused(text):
    """A host is needed, and a port behind the equals sign."""
    with pytest.raises(NotAllowedError):
        TlsRoute.parse(text)


@pytest.mark.parametrize(
    ("route", "port", "tls_port"),
    [
        ("a.example", 80, 443),
        ("a.example", 8080, 8080),
        ("a.example", 443, 443),
        ("a.example=8443", 80, 8443),
        ("a.example=8443", 8080, 8443),
        ("a.example=80", 80, 80),
    ],
)
def test_a_route_tells_the_port_of_tls(route, port, tls_port):
    """The same one unless another is named; 80 stands for 443."""
    assert TlsRoute.parse(route).port_for(port) == tls_port


@pytest.mark.parametrize(
    ("text", "certificate", "key"),
    [
        ("a.example=/etc/a.pem", "/etc/a.pem", None),
        ("a.example=a.pem:a.key", "a.pem", "a.key"),
        ("*.internal:8443=~/a.pem:~/a.key", "~/a.pem", "~/a.key"),
        ("a.example= a b.pem : a.key ", "a b.pem", "a.key"),
        ("a.example=a.pem:", "a.pem", None),
    ],
)
def test_a_client_certificate_is_read(text, certificate, key):
    """One file with both, or two."""
    read = ClientCertificate.parse(text)

    assert read.hosts == HostPattern.parse(text.partition("=")[0])
    assert read.certificate == Path(certificate)
    assert read.key == (None if key is None else Path(key))
    assert ClientCertificate.parse(str(read)) == read


@pytest.mark.parametrize("text", ["", "a.example", "a.example=", "=a.pem", "a= :a.key"])
def test_what_is_no_client_certificate_is_refused(text):
    """A host and a file are needed."""
    with pytest.raises(NotAllowedError):
        ClientCertificate.parse(text)


def test_of_a_table_the_first_entry_that_matches_counts():
    """However narrow those behind it are."""
    routes = [TlsRoute.parse(text) for text in ("a.test:80", "*.test=1", "a.test=2")]
    table = HostTable(routes)

    assert table.find("a.test", 80) is routes[0]
    assert table.find("a.test", 81) is routes[1]
    assert table.find("b.test", 80) is routes[1]
    assert table.find("other", 80) is None
    assert repr(table) == "<HostTable a.test:80, *.test=1, a.test=2>"


def test_an_empty_table_is_false():
    """So that nothing need be looked up."""
    assert not HostTable([])
    assert HostTable([TlsRoute.parse("*")])


@pytest.mark.parametrize(("text", "port"), [("1", 1), (" 443 ", 443), ("0080", 80)])
def test_a_port_is_read(text, port):
    """Decimal digits, with spaces around."""
    assert read_port(text) == port


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "+1", "1.0", "x", "²"])
def test_what_is_no_port_is_refused(text):
    """With the text that was given."""
    with pytest.raises(NotAllowedError, match="port") as refused:
        read_port(text)

    assert refused.value.value == text
