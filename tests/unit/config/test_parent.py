"""The parent proxy's setting: what is read, and that no secret of it is told."""

import copy
import pickle
from base64 import b64decode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_proxy.config.loading import load
from reuse_proxy.config.parent import Exemption, ParentProxy, redacted
from reuse_proxy.config.units import NotAllowedError
from reuse_proxy.errors import SettingsError


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://corp:3128", "corp", 3128),
        ("HTTP://Corp.Example.:3128/", "corp.example", 3128),
        ("http://corp", "corp", 80),
        ("http://10.0.0.1:8080", "10.0.0.1", 8080),
        ("http://[2001:DB8::1]:8080", "2001:db8::1", 8080),
        ("http://[::1]", "::1", 80),
    ],
)
def test_a_url_is_read(url, host, port):
    """The port of http is 80, as in any URL; curl's 1080 is an exception."""
    parent = ParentProxy.parse(url)

    assert (parent.host, parent.port) == (host, port)
    assert parent.credentials == b""


@pytest.mark.parametrize(
    ("login", "sent"),
    [
        ("user:password", b"user:password"),
        ("user", b"user:"),
        (":password", b":password"),
        ("", b":"),
        ("us%40er:p%3Ass%25%2F", b"us@er:p:ss%/"),
        ("user:p@ss/word?#", b"user:p@ss/word?#"),
        ("user:p:w", b"user:p:w"),
        ("domain%5Cuser:p", b"domain\\user:p"),
        ("J\u00f6rg:p", b"J\xc3\xb6rg:p"),
        ("100%:p", b"100%:p"),
    ],
)
def test_credentials_are_decoded_and_sent_as_basic(login, sent):
    """RFC 7617: in UTF-8, the user name up to the first colon."""
    parent = ParentProxy.parse(f"http://{login}@corp:1")

    name, _, encoded = parent.authorization.partition(b" ")
    assert name == b"Basic"
    assert b64decode(encoded) == sent
    assert parent.credentials == b"Proxy-Authorization: %b\r\n" % parent.authorization


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("corp:3128", "begins with http://"),
        ("alice:hunter2@corp:3128", "begins with http://"),
        ("http:corp", "begins with http://"),
        ("", "begins with http://"),
        ("https://alice:hunter2@corp:3128", "is not http://"),
        ("socks5://alice:hunter2@corp:1080", "is not http://"),
        ("http://", "just a host"),
        ("http://alice:hunter2@", "just a host"),
        ("http://alice:hunter2@corp:port", "just a host"),
        ("http://alice:hunter2", "just a host"),
        ("http://alice:hunter2@corp:0", "just a host"),
        ("http://alice:hunter2@corp:99999", "just a host"),
        ("http://alice:hunter2@corp:3128/path", "just a host"),
        ("http://alice:hunter2@corp:3128?q", "just a host"),
        ("http://alice:hunter2@co rp:3128", "just a host"),
        ("http://corp@alice:hunter2", "just a host"),
        ("http://alice:hunter2@[::1", "just a host"),
        ("http://alice:hunter2@*.corp:3128", "one host"),
        ("http://alice:hunter2@*", "one host"),
        ("http://al%3Aice:hunter2@corp:3128", "a colon"),
        ("http://alice:hunter2%0A@corp:3128", "a control character"),
        ("http://al%00ice:hunter2@corp:3128", "a control character"),
        ("http://...@corp:3128", "dots in the place of its credentials"),
    ],
)
def test_a_wrong_url_is_refused_without_its_secrets(url, problem):
    """In the sentence of the kind, and in that of the loader, with the source."""
    with pytest.raises(NotAllowedError, match=problem) as caught:
        ParentProxy.parse(url)
    with pytest.raises(SettingsError) as refused:
        load({}, {"REUSE_PROXY_PARENT_PROXY": url or " "})

    for told in (str(caught.value), str(caught.value.value), str(refused.value)):
        assert "hunter2" not in told
        assert "alice" not in told
    sentence = str(refused.value)
    assert sentence.startswith("parent_proxy = ")
    assert "(from REUSE_PROXY_PARENT_PROXY) " in sentence
    assert sentence.endswith("or none.")


@pytest.mark.parametrize(
    "value",
    [["http://user:hunter2@corp:3128"], {"url": "http://user:hunter2@corp"}, [[]], 5],
)
def test_values_that_are_no_text_are_refused_without_their_secrets(value):
    """As TOML can hold them."""
    with pytest.raises(SettingsError) as refused:
        load({"parent_proxy": value}, {})

    assert "is not a URL" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@settings(database=None)
@given(secret=st.text(st.characters(max_codepoint=0x2000), max_size=20))
def test_no_password_gets_into_what_is_told(secret):
    """Whatever it is made of, in a URL that is right and in one that is not."""
    marked = f"s3cr3t{secret}"
    for url in (
        f"http://user:{marked}@corp:1",
        f"ftp://user:{marked}@corp:1",
        f"user:{marked}@corp:1/path",
        f"http://user:{marked}",
    ):
        assert "s3cr3t" not in redacted(url)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://corp:3128", "http://corp:3128"),
        ("corp:3128", "corp:3128"),
        ("https://corp.example:3128/", "https://corp.example:3128/"),
        ("http://u:p@corp:3128", "http://...@corp:3128"),
        ("u:p@corp", "...@corp"),
        ("http://corp:80/path", "http://..."),
        ("http://u:p", "http://..."),
        ("2001-01-01", "2001-01-01"),
    ],
)
def test_as_much_is_told_as_helps(text, shown):
    """Where no secret can be in it, the value itself."""
    assert redacted(text) == shown


def test_equal_parents_are_one_way_and_others_are_not():
    """Pools are kept apart by them: by place, by credentials."""
    one = ParentProxy.parse("http://u:p@corp:1")
    others = [
        ParentProxy.parse(url)
        for url in (
            "http://corp:1",
            "http://u:q@corp:1",
            "http://u:p@corp:2",
            "http://u:p@other:1",
        )
    ]

    assert one == ParentProxy.parse("http://u:p@CORP:1/")
    assert len({one, ParentProxy.parse("http://u:p@corp:1"), *others}) == 5


def test_no_text_of_a_parent_tells_its_credentials():
    """Printed, formatted, as a part of something else."""
    parent = ParentProxy.parse("http://user:hunter2@corp:3128")

    for text in (str(parent), repr(parent), f"{[parent]}", parent.shown):
        assert "corp" in text
        assert "user" not in text
        assert "hunter2" not in text
        assert parent.authorization[6:].decode() not in text
    assert parent.shown == "http://...@corp:3128"
    assert str(parent) == "http://corp:3128"


def test_a_parent_is_a_value():
    """Copies are equal, and nothing of one can be changed."""
    parent = ParentProxy.parse("http://u:p@corp:1")

    assert copy.copy(parent) == parent == pickle.loads(pickle.dumps(parent))  # noqa: S301
    with pytest.raises(AttributeError):
        setattr(parent, "port", 2)  # noqa: B010 - the type checker knows


@pytest.mark.parametrize(
    ("text", "host", "port", "matches"),
    [
        ("*.internal", "a.internal", 80, True),
        ("*.internal:81", "a.internal", 80, False),
        ("10.0.0.1", "10.0.0.1", 80, True),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.0.0.1", 80, False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", 80, True),
        ("10.0.0.0/8", "::ffff:11.0.0.1", 80, False),
        ("10.0.0.0/8", "a.internal", 80, False),
        ("10.0.0.0/8", "fd00::1", 80, False),
        ("fd00::/8", "fd12::1", 443, True),
    ],
)
def test_an_exemption_is_hosts_or_a_network(text, host, port, matches):
    """A name is in no network: it is not looked up."""
    exemption = Exemption.parse(text)

    assert exemption.matches(host, port) is matches
    assert str(exemption) == text
    assert Exemption.parse(str(exemption)) == exemption


@pytest.mark.parametrize(
    "text", ["10.1.2.3/8", "a/8", "http://a", "a b", "10.0.0.0/8:1"]
)
def test_a_wrong_exemption_is_refused(text):
    """With what is wrong with it."""
    with pytest.raises(NotAllowedError):
        Exemption.parse(text)


def test_what_is_in_effect_does_not_come_back_without_its_secret():
    """What `check` prints is refused, rather than taken for other credentials."""
    loaded = load(
        {"parent_proxy": "http://u:p@corp:1", "no_parent": "10.0.0.0/8,a"}, {}
    )
    rows = {row.name: row.value for row in loaded.effective()}

    assert rows["parent_proxy"] == "http://...@corp:1"
    assert rows["no_parent"] == "10.0.0.0/8, a"
    assert load({"no_parent": rows["no_parent"]}, {}).settings.no_parent
    with pytest.raises(SettingsError, match="dots in the place of its credentials"):
        load({"parent_proxy": rows["parent_proxy"]}, {})
