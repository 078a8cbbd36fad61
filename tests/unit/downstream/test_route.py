"""The way through a parent: what takes it, and as what."""

from collections import Counter

import pytest

from reuse_proxy.config.parent import Exemption, ParentProxy
from reuse_proxy.downstream.route import ParentRoute
from reuse_proxy.errors import ProxyError
from reuse_proxy.forward import ForwardRequest
from reuse_proxy.http.request_fields import RequestFields
from reuse_proxy.http.target import Origin, parse_absolute, parse_connect
from reuse_proxy.upstream.policy import DestinationPolicy

NAME = b"reuse-proxy (me)"
VIA = b"Via: 1.1 x\r\n"


def route(url="http://corp:3128", *exempt, denied=None, **policy):
    """Make a way."""
    return ParentRoute(
        ParentProxy.parse(url),
        [Exemption.parse(text) for text in exempt],
        policy=DestinationPolicy(**policy),
        denied=Counter() if denied is None else denied,
        name=NAME,
    )


def led(way, url, *, method="GET", upgrade=b""):
    """Lead a request that way."""
    request = ForwardRequest(method, parse_absolute(url, method), RequestFields(), VIA)
    request.upgrade = upgrade
    way.apply(request)
    return request


def test_plain_requests_share_one_key():
    """Whatever they ask for; the URL is whole."""
    way = route("http://u:p@corp:3128")
    first, second = led(way, b"http://a/x?y"), led(way, b"http://B:81")

    assert first.target.origin is second.target.origin
    assert str(first.target.origin) == "parent://corp:3128"
    assert (first.target.host, first.target.path) == (b"a", b"http://a/x?y")
    assert (second.target.host, second.target.path) == (b"B:81", b"http://B:81/")
    assert first.via == VIA + b"Proxy-Authorization: Basic dTpw\r\n"


@pytest.mark.parametrize(
    ("url", "upgrade"), [(b"https://a/x", b""), (b"http://a:443/x", b"websocket")]
)
def test_what_is_no_plain_request_keeps_its_origin_and_its_form(url, upgrade):
    """There is a tunnel to it, in which nobody else is named."""
    way = route("http://u:p@corp:3128")
    request = led(way, url, upgrade=upgrade)

    origin = request.target.origin
    assert (origin.host, origin.port, request.target.path) == ("a", 443, b"/x")
    assert origin.next_hop == ("corp", 3128)
    assert request.via == VIA
    assert origin.parent.via == b"Via: 1.1 %b\r\n" % NAME


def test_keys_differ_by_the_way():
    """Direct, through a parent, through another one, with other credentials."""
    urls = ("http://corp:1", "http://u:p@corp:1", "http://u:q@corp:1", "http://b:1")
    keys = {led(route(url), b"https://a/").target.origin for url in urls}
    plain = {led(route(url), b"http://a/").target.origin for url in urls}

    assert len(keys | {Origin("https", "a", 443)}) == 5
    assert len(plain | {Origin("http", "corp", 1)}) == 5
    assert led(route(urls[1]), b"http://a/").target.origin in plain


def test_an_exempt_host_is_asked_as_without_a_parent():
    """The very same target."""
    way = route("http://u:p@corp:3128", "*.internal", "10.0.0.0/8")
    for url in (b"http://a.internal/x", b"https://10.1.2.3/x", b"http://localhost/x"):
        request = led(way, url)

        assert request.target.origin.parent is None
        assert request.target.path == b"/x"
        assert request.via == VIA


def test_a_denial_is_counted_each_time_and_decisions_are_remembered_in_bounds():
    """What is denied is not remembered; what is allowed is, for some thousand hosts."""
    denied: Counter[str] = Counter()
    way = route(denied=denied, deny_ports=frozenset({22}))
    for _ in range(2):
        with pytest.raises(ProxyError, match="deny_ports"):
            led(way, b"http://a:22/")
    for number in range(5000):
        led(way, b"http://h%d/" % number)

    assert denied == {"deny_ports": 2}
    assert 0 < len(way._known) <= 4096


def test_a_tunnel_keeps_its_origin():
    """And is refused where it has come through us."""
    way = route()
    origin = parse_connect(b"a.test:443")

    assert way.tunnel(origin, []) == origin._replace(parent=way._parent)
    with pytest.raises(ProxyError, match="before") as caught:
        way.tunnel(origin, [b"1.1 other, 1.1 " + NAME])
    assert caught.value.error == "proxy_loop_detected"


def test_a_tunnel_tells_the_next_proxy_through_whom_it_has_come():
    """All of them, in order, and us last: any of them may find itself there."""
    origin = parse_connect(b"a.test:443")

    through = route().tunnel(origin, [b"1.1 first, 1.0 second", b"1.1 third"]).parent

    assert through is not None
    lines = through.via.split(b"\r\n")
    assert lines == [
        b"Via: 1.1 first, 1.0 second, 1.1 third",
        b"Via: 1.1 " + NAME,
        b"",
    ]


def test_its_repr_tells_the_way_and_no_secret():
    """As it would stand in a log."""
    text = repr(route("http://u:hunter2@corp:1", "*.internal"))

    assert text == "<ParentRoute http://corp:1 but for *.internal>"
