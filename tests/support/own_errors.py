"""What every error of the proxy's own must look like, checked in one place."""

from tests.support.client import Client, Response
from tests.support.origin import Origin

_NOT_OURS = ("Traceback", "<html", "aiohttp", "asyncio", 'File "', "Server got itself")


def assert_own_error(
    response: Response, status: int, error: str = "http_request_error"
) -> None:
    """Check that a response is our plain sentence, and says so to programs too."""
    text = response.body.decode()
    assert response.status == status, text
    assert response.value("Content-Type") == "text/plain; charset=utf-8"
    assert response.value("Proxy-Status") == f"reuse-proxy; error={error}"
    assert response.value("Date") is not None
    assert response.value("Server") is None
    assert text.endswith(".\n")
    assert not any(mark in text for mark in _NOT_OURS), text


async def assert_refused(
    client: Client,
    raw: bytes,
    status: int = 400,
    *,
    error: str = "http_request_error",
    method: str = "GET",
) -> Response:
    """Send bytes that must get an error of ours, alone, and then the close."""
    await client.send(raw)
    response = await client.response(method)
    rest = await client.rest()

    assert_own_error(response, status, error)
    assert response.value("Connection") == "close"
    assert rest == b""
    return response


def assert_untouched(origin: Origin) -> None:
    """Check that nothing at all has reached an origin."""
    assert origin.accepted == 0
    assert origin.requests == []
