"""Who a client is, from what it sends: short, printable, without passwords."""

import base64

import pytest

from reuse_proxy.ledger.identity import Identity, identify, product_of, user_of


def basic(pair):
    """A Proxy-Authorization value as clients make it of the proxy URL."""
    return b"Basic " + base64.b64encode(pair)


@pytest.mark.parametrize(
    ("credentials", "user"),
    [
        (None, ""),
        (basic(b"billing-cron:"), "billing-cron"),
        (basic(b"billing-cron"), "billing-cron"),
        (basic(b"billing-cron:secret:more"), "billing-cron"),
        (basic("Jürgen:x".encode()), "Jürgen"),
        (basic(b"a\x1b[31mb\nc:"), "a?[31mb?c"),
        (basic(b"\xff\xfe:"), "\ufffd\ufffd"),
        (basic(b"x" * 100 + b":"), "x" * 64),
        (basic(b":secret"), ""),
        (basic(b"  :"), ""),
        (b"basic " + base64.b64encode(b"lower:"), "lower"),
        (b"Basic not base64!", ""),
        (b"Bearer abc", ""),
        (b"", ""),
    ],
)
def test_the_user_name_of_the_proxy_url_is_read_and_its_password_is_not(
    credentials, user
):
    """RFC 7617; whatever else comes names nobody."""
    assert user_of(credentials) == user


@pytest.mark.parametrize(
    ("agent", "product"),
    [
        (b"curl/7.88.1", "curl"),
        (b"Go-http-client/1.1", "Go-http-client"),
        (b"python-requests/2.32.4", "python-requests"),
        (b"Python/3.11 aiohttp/3.14.5", "aiohttp"),
        (b"Python/3.11", "Python"),
        (b"Python-urllib/3.11", "Python-urllib"),
        (b"node", "node"),
        (b"Mozilla/5.0 (X11; Linux)", "Mozilla"),
        (b"x" * 100 + b"/1", "x" * 32),
        (b"(comment only)", ""),
        (b"", ""),
        (b"\xff\xfe", ""),
    ],
)
def test_the_product_is_the_first_token_without_its_version(agent, product):
    """RFC 9110 section 10.1.5; aiohttp puts Python in front of itself."""
    assert product_of([(b"Host", b"a.test"), (b"uSeR-aGeNt", agent)]) == product


def test_no_user_agent_is_no_product():
    """As Node's http module sends none."""
    assert product_of([(b"Host", b"a.test")]) == ""


@pytest.mark.parametrize(
    ("known", "name"),
    [
        ({"user": "cron", "product": "curl", "host": "10.0.0.1"}, "cron"),
        ({"user": "other", "product": "", "host": "10.0.0.1"}, "other (client)"),
        ({"user": "", "product": "curl", "host": "10.0.0.1"}, "curl at 10.0.0.1"),
        ({"user": "", "product": "", "host": "::1"}, "client at ::1"),
        (
            {"user": "", "product": "curl", "host": None, "uid": 1000},
            "curl of uid 1000",
        ),
        ({"user": "", "product": "", "host": None, "uid": 0}, "client of uid 0"),
        ({"user": "", "product": "", "host": None}, "client of a UNIX socket"),
    ],
)
def test_a_client_is_named_by_the_best_that_is_known_of_it(known, name):
    """The name in its proxy URL, else where it is and what it runs."""
    assert identify(**known) == Identity(name, known["product"])
