"""What the intake and the response reader take from httptools beyond its documentation.

It says which callbacks there are, and little of when they come.
"""

import httptools
import pytest

HEAD = b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
GET = HEAD + b"\r\n"
POST = b"POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


class Noting:
    """Notes every callback, and raises in one of them where it is told to."""

    def __init__(self, failing=""):
        self.calls = []
        self._failing = failing

    def __getattr__(self, name):
        if not name.startswith("on_"):
            raise AttributeError(name)

        def note(*arguments):
            self.calls.append((name, *arguments))
            if name == self._failing:
                raise ValueError("ours")

        return note

    @property
    def names(self):
        """What has been called, in order."""
        return [name for name, *_ in self.calls]


def fed(*data, kind=httptools.HttpRequestParser):
    """The notes of a parser that has been fed."""
    notes = Noting()
    parser = kind(notes)
    for piece in data:
        parser.feed_data(piece)
    return notes, parser


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_head_is_told_as_it_came_however_it_is_cut(size):
    """Names and values whole; the target may come in parts."""
    raw = b"GET http://A.test/%41 HTTP/1.1\r\nHOST: a.test\r\nX-b: \xff 1  \r\n\r\n"
    notes, parser = fed(*(raw[at : at + size] for at in range(0, len(raw), size)))

    target = b"".join(call[1] for call in notes.calls if call[0] == "on_url")
    fields = [call[1:] for call in notes.calls if call[0] == "on_header"]
    assert target == b"http://A.test/%41"
    assert fields == [(b"HOST", b"a.test"), (b"X-b", b"\xff 1  ")]
    assert notes.names[0] == "on_message_begin"
    assert notes.names[-2:] == ["on_headers_complete", "on_message_complete"]
    assert (parser.get_method(), parser.get_http_version()) == (b"GET", "1.1")


def test_blank_lines_before_a_request_begin_no_message():
    """RFC 9112 section 2.2 allows them; no time limit must begin with them."""
    notes, _ = fed(b"\r\n\r\n")

    assert notes.calls == []


def test_fields_behind_a_body_are_told_like_those_of_a_head():
    """They come after on_headers_complete, and before the end of the message."""
    notes, _ = fed(
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n"
    )

    at = notes.calls.index(("on_header", b"A", b"b"))
    assert notes.names.index("on_headers_complete") < at
    assert at < notes.names.index("on_message_complete")


@pytest.mark.parametrize("size", [b"Content-Length: 0", None])
def test_without_a_body_a_message_is_complete_with_its_head(size):
    """So that it is known before the bytes have been used up."""
    notes, _ = fed(POST + (size + b"\r\n" if size else b"") + b"\r\n")

    assert notes.names[-1] == "on_message_complete"
    assert "on_body" not in notes.names


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
def test_an_upgrade_ends_a_message_and_tells_where(protocol):
    """By an exception; a body is skipped. What is fed then is a message again."""
    fields = b"Connection: upgrade\r\nUpgrade: " + protocol + b"\r\n"
    raw = POST + fields + b"Content-Length: 3\r\n\r\n"
    notes = Noting()
    parser = httptools.HttpRequestParser(notes)
    with pytest.raises(httptools.HttpParserUpgrade) as caught:
        parser.feed_data(raw + b"abc")

    assert caught.value.args == (len(raw),)
    assert notes.names[-1] == "on_message_complete"
    assert "on_body" not in notes.names
    parser.feed_data(GET)
    assert notes.names.count("on_message_complete") == 2


def test_connect_ends_with_its_head():
    """What follows is not parsed."""
    notes = Noting()
    raw = b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n"
    with pytest.raises(httptools.HttpParserUpgrade) as caught:
        httptools.HttpRequestParser(notes).feed_data(raw + GET)

    assert caught.value.args == (len(raw),)
    assert notes.names.count("on_message_begin") == 1


def test_what_follows_a_last_request_is_an_error():
    """In the same packet or later; that it is the last is known with its head."""
    told = []

    class Asking(Noting):
        def on_headers_complete(self):
            told.append(parser.should_keep_alive())

    notes = Asking()
    parser = httptools.HttpRequestParser(notes)
    with pytest.raises(httptools.HttpParserError):
        parser.feed_data(HEAD + b"Connection: close\r\n\r\n" + GET)

    assert told == [False]
    assert notes.names.count("on_message_complete") == 1


def test_an_error_in_a_callback_is_the_context_of_the_parsers():
    """So that it can be told from a malformed message."""
    parser = httptools.HttpRequestParser(Noting(failing="on_headers_complete"))
    with pytest.raises(httptools.HttpParserCallbackError) as caught:
        parser.feed_data(GET)

    assert isinstance(caught.value.__context__, ValueError)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (
            b"FOO http://a.test/ HTTP/1.1\r\n\r\n",
            httptools.HttpParserInvalidMethodError,
        ),
        (
            b"get http://a.test/ HTTP/1.1\r\n\r\n",
            httptools.HttpParserInvalidMethodError,
        ),
        (b"\x16\x03\x01\x02\x00", httptools.HttpParserInvalidMethodError),
        (b"GET http://a.test/\xe9 HTTP/1.1\r\n", httptools.HttpParserInvalidURLError),
        (b"GET http://a.test/ HTTP/1.2\r\n\r\n", httptools.HttpParserError),
        (HEAD + b"A : b\r\n\r\n", httptools.HttpParserError),
        (HEAD + b"A: b\r\n c\r\n\r\n", httptools.HttpParserError),
        (HEAD + b"A: b\x00\r\n\r\n", httptools.HttpParserError),
        (HEAD.replace(b"\r\n", b"\n") + b"\n", httptools.HttpParserError),
        (POST + b"Content-Length: 1\r\n" * 2 + b"\r\n", httptools.HttpParserError),
        (
            POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            httptools.HttpParserError,
        ),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", httptools.HttpParserError),
    ],
)
def test_what_is_refused(raw, error):
    """All of this could be understood in two ways, or is not HTTP."""
    with pytest.raises(error):
        httptools.HttpRequestParser(Noting()).feed_data(raw)


def test_what_is_not_refused_and_is_for_the_user_to_judge():
    """HTTP/0.9 and 2.0, and a missing or second Host."""
    for raw, version in (
        (b"GET /\r\n\r\n", "0.9"),
        (GET.replace(b"1.1", b"2.0"), "2.0"),
    ):
        _, parser = fed(raw)
        assert parser.get_http_version() == version
    notes, _ = fed(HEAD + b"Host: b.test\r\n\r\n")
    assert notes.names.count("on_header") == 2


def test_an_interim_response_is_a_message_of_its_own():
    """The final one begins without further ado."""
    raw = b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"
    notes, _ = fed(raw, kind=httptools.HttpResponseParser)

    assert notes.names.count("on_message_begin") == 2
    assert notes.names.count("on_message_complete") == 2


def test_a_response_that_ends_with_its_connection_is_never_complete():
    """Nobody tells the parser of that end."""
    notes, parser = fed(OK + b"\r\nabc", kind=httptools.HttpResponseParser)

    assert ("on_body", b"abc") in notes.calls
    assert "on_message_complete" not in notes.names
    assert not parser.should_keep_alive()


def test_the_body_of_a_response_to_head_is_waited_for():
    """It cannot be told that none comes: a new parser is needed."""
    notes, parser = fed(
        OK + b"Content-Length: 3\r\n\r\n", kind=httptools.HttpResponseParser
    )
    parser.feed_data(b"HTT")

    assert ("on_body", b"HTT") in notes.calls
