"""Request targets: what is understood, and what passes byte for byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_proxy.config.parent import ParentProxy
from reuse_proxy.errors import RequestError
from reuse_proxy.http.target import (
    Origin,
    parse_absolute,
    parse_connect,
    valid_host_field,
)

PARENT_PROXY = ParentProxy.parse("http://alice:hunter2@corp:3128")


@pytest.mark.parametrize(
    ("target", "origin", "host", "path"),
    [
        (b"http://a.test/x", ("a.test", 80), b"a.test", b"/x"),
        (b"HTTP://A.Test/x", ("a.test", 80), b"A.Test", b"/x"),
        (b"ws://a.test/x", ("a.test", 80), b"a.test", b"/x"),
        (b"http://a.test:8080/x", ("a.test", 8080), b"a.test:8080", b"/x"),
        (b"http://a.test:/x", ("a.test", 80), b"a.test:", b"/x"),
        (b"http://a.test:080/x", ("a.test", 80), b"a.test:080", b"/x"),
        (b"http://a.test./x", ("a.test", 80), b"a.test.", b"/x"),
        (b"http://a.test", ("a.test", 80), b"a.test", b"/"),
        (b"http://a.test?q=1", ("a.test", 80), b"a.test", b"/?q=1"),
        (b"http://a.test/?http://b/", ("a.test", 80), b"a.test", b"/?http://b/"),
        (b"http://a.test//b/../c", ("a.test", 80), b"a.test", b"//b/../c"),
        (b"http://a.test/%7e%2F%00", ("a.test", 80), b"a.test", b"/%7e%2F%00"),
        (b"http://a.test/\xff\xc3", ("a.test", 80), b"a.test", b"/\xff\xc3"),
        (b"http://a.test/a@b:c", ("a.test", 80), b"a.test", b"/a@b:c"),
        (b"http://127.0.0.1:1/", ("127.0.0.1", 1), b"127.0.0.1:1", b"/"),
        (b"http://[::1]:81/x", ("::1", 81), b"[::1]:81", b"/x"),
        (b"http://[FE80::A]/", ("fe80::a", 80), b"[FE80::A]", b"/"),
        (b"http://my_box:9/", ("my_box", 9), b"my_box:9", b"/"),
        (b"http://a.test:65535/", ("a.test", 65535), b"a.test:65535", b"/"),
    ],
)
def test_an_absolute_target_is_split(target, origin, host, path):
    """Host folded to the origin; its spelling and the path kept."""
    parsed = parse_absolute(target, method="GET")

    assert parsed.origin == Origin("http", *origin)
    assert (parsed.host, parsed.path) == (host, path)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"a.test/x", 400),
        (b"http:/a.test/", 400),
        (b"", 400),
        (b"http://", 400),
        (b"http:///x", 400),
        (b"http://./x", 400),
        (b"http://:80/x", 400),
        (b"http://a.test:0/", 400),
        (b"http://a.test:65536/", 400),
        (b"http://a.test:99999999999999999999/", 400),
        (b"http://a.test:8x/", 400),
        (b"http://a.test../", 400),
        (b"http://.a.test/", 400),
        (b"http://a..test/", 400),
        (b"http://./", 400),
        (b"http://a.test:-1/", 400),
        (b"http://a.test:80:80/", 400),
        (b"http://user:pass@a.test/", 400),
        (b"http://a.test\\@b.test/", 400),
        (b"http://a b/", 400),
        (b"http://a.test\t/", 400),
        (b"http://a%2etest/", 400),
        (b"http://[::1/", 400),
        (b"http://::1/", 400),
        (b"http://[fe80::1%25eth0]/", 400),
        (b"http://a.test/x#y", 400),
        (b"http://a.test#y", 400),
        (b"http://b\xc3\xbccher.test/", 400),
        (b"https://u@a.test/", 400),
        (b"tunnel://a.test/", 501),
        (b"ftp://a.test/", 501),
        (b"\xff://a.test/", 501),
        (b"://a.test/", 501),
    ],
)
def test_a_target_that_is_not_ours_is_refused(target, status):
    """Malformed is 400, another scheme 501."""
    with pytest.raises(RequestError) as caught:
        parse_absolute(target, method="GET")

    assert caught.value.status == status


def test_options_for_a_whole_server_becomes_asterisk():
    """RFC 9112 section 3.2.4: only OPTIONS, and only without path and query."""
    targets = {
        ("OPTIONS", b"http://a.test"): b"*",
        ("OPTIONS", b"http://a.test/"): b"/",
        ("OPTIONS", b"http://a.test?q"): b"/?q",
        ("GET", b"http://a.test"): b"/",
    }

    for (method, target), path in targets.items():
        assert parse_absolute(target, method=method).path == path


def test_one_origin_has_one_key_however_it_is_spelled():
    """Case, a trailing dot and the default port make no second pool."""
    spellings = (
        b"http://A.test",
        b"HTTP://a.TEST.",
        b"http://a.test:80",
        b"ws://a.test",
    )

    keys = {parse_absolute(target, method="GET").origin for target in spellings}

    assert keys == {Origin("http", "a.test", 80)}


def test_remembered_authorities_are_bounded_and_stay_right():
    """More names than are remembered at once do not mix up."""
    for number in range(5000):
        target = b"http://h%d.test:%d/" % (number, number + 1)
        origin = parse_absolute(target, method="GET").origin

        assert origin == Origin("http", f"h{number}.test", number + 1)


@settings(database=None, max_examples=300)
@given(
    authority=st.from_regex(
        rb"\A[A-Za-z0-9_](\.?[A-Za-z0-9-]){0,10}\.?(:[1-9][0-9]{0,3})?\Z"
    ),
    path=st.binary().filter(lambda raw: b"#" not in raw),
)
def test_targets_round_trip_byte_for_byte(authority, path):
    """Whatever bytes follow the authority go upstream as they came."""
    target = parse_absolute(b"http://" + authority + b"/" + path, method="GET")

    assert target.host == authority
    assert target.path == b"/" + path


@settings(database=None, max_examples=300)
@given(target=st.binary(max_size=60))
def test_no_bytes_make_the_parser_fail_otherwise(target):
    """Anything is either a target without a second one in it, or a RequestError."""
    try:
        parsed = parse_absolute(b"http://" + target, method="GET")
    except RequestError:
        return

    assert parsed.path.startswith(b"/")
    assert not set(parsed.host) & set(b" \t\r\n/?#@\\")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"a.test:443", Origin("tunnel", "a.test", 443)),
        (b"A.Test.:8443", Origin("tunnel", "a.test", 8443)),
        (b"[::1]:443", Origin("tunnel", "::1", 443)),
    ],
)
def test_a_connect_target_is_host_and_port(target, expected):
    """RFC 9110 section 9.3.6."""
    assert parse_connect(target) == expected


@pytest.mark.parametrize(
    "target",
    [
        b"a.test",
        b"a.test:",
        b":443",
        b"a.test:0",
        b"a.test:443/",
        b"a..test:443",
        b"a.test..:443",
        b"u@a.test:443",
        b"::1:443",
    ],
)
def test_a_connect_target_without_host_or_port_is_refused(target):
    """Both are needed, nothing else may be there."""
    with pytest.raises(RequestError):
        parse_connect(target)


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (b"", True),
        (b"a.test", True),
        (b"a.test:80", True),
        (b"[::1]:80", True),
        (b"a.test, b.test", False),
        (b"a.test/x", False),
        (b"u@a.test", False),
        (b"a.test:8x", False),
        (b"a b", False),
    ],
)
def test_the_form_of_a_host_field_is_known(value, valid):
    """RFC 9110 section 7.2: host and optional port."""
    assert valid_host_field(value) is valid


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (Origin("http", "a.test", 80), "http://a.test:80"),
        (Origin("http", "::1", 81), "http://[::1]:81"),
        (Origin("https", "a.test", 443, PARENT_PROXY), "https://a.test:443"),
        (Origin("tunnel", "::1", 443, PARENT_PROXY), "[::1]:443"),
        (Origin("parent", "corp", 3128, PARENT_PROXY), "parent://corp:3128"),
    ],
)
def test_an_origin_prints_as_a_url(origin, text):
    """It is a metric's label."""
    assert str(origin) == text


def test_an_origin_tells_whom_to_connect_to():
    """Itself, or the parent through which it is reached; that is another pool."""
    direct = Origin("https", "a.test", 443)
    through = direct._replace(parent=PARENT_PROXY)

    assert direct.next_hop == ("a.test", 443)
    assert through.next_hop == ("corp", 3128)
    assert direct != through
    assert through.place == "a.test:443"
    assert "hunter2" not in repr(through)
