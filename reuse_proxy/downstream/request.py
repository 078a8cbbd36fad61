"""A client's request and its body, as aiohttp's parser hands them over."""

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import BadHttpMessage

from reuse_proxy.downstream.refusals import body_too_large, cause_of
from reuse_proxy.errors import ProxyError, RequestError

if TYPE_CHECKING:
    from aiohttp import StreamReader
    from aiohttp.http_parser import RawRequestMessage

    from reuse_proxy.downstream.client import ClientConnection

_LINGER_S: Final = 5.0


class ClientRequest:
    """One request as aiohttp's parser hands it over.

    Stands in for ``BaseRequest``, which rebuilds the URL of every absolute-form
    target; this proxy never looks at it.
    """

    __slots__ = ("connection", "content", "http10", "message", "method")

    def __init__(
        self,
        message: "RawRequestMessage",
        content: "StreamReader",
        connection: "ClientConnection",
    ) -> None:
        self.message = message
        self.content = content
        self.connection = connection
        self.method = message.method
        version = message.version
        self.http10 = version is not HttpVersion11 and version < HttpVersion11

    def _cancel(self, exc: BaseException) -> None:
        """Let whoever reads the body know that the client is gone (aiohttp)."""
        self.content.set_exception(exc)


class ClientBody:
    """A client's request body for ``forward``: limits and errors translated."""

    __slots__ = ("_connection", "_content", "_left", "_most")

    def __init__(self, request: ClientRequest, *, most: int = 0) -> None:
        self._most = self._left = most
        self._content = request.content
        self._connection = request.connection

    def take(self) -> bytes | None:
        """Return the whole body if it is here already, else None."""
        return self._content.read_nowait(-1) if self._content.is_eof() else None

    async def read(self) -> bytes:
        """Return more of the body, or nothing at its end.

        Raises:
            ProxyError: the client sends no valid body, or none in time.
        """
        self._connection.await_body(self._content)
        try:
            data = await self._content.readany()
        except ProxyError:
            raise
        except (web.RequestPayloadError, BadHttpMessage) as exc:
            raise RequestError(
                f"The request body is malformed: {cause_of(exc)}."
            ) from exc
        except ConnectionError as exc:
            raise RequestError("The client went away during its upload.") from exc
        finally:
            self._connection.await_body(None)
        if self._most:
            self._left -= len(data)
            if self._left < 0:
                raise body_too_large(self._most)
        return data


async def linger(content: "StreamReader") -> None:
    """Read what is left of a request's body, so that the reply is not reset away."""
    try:
        async with asyncio.timeout(_LINGER_S):
            # A cancelled upload lets go of the body in its next step.
            await asyncio.sleep(0)
            while not content.is_eof():
                if not await content.readany():
                    break
    except (TimeoutError, ConnectionError, web.RequestPayloadError, ProxyError):
        pass
