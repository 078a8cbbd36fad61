"""A parent proxy: a tunnel through it, and why there is none.

The socket is the loop's only afterwards, so what is spoken in the tunnel, by whoever
speaks first, comes to whom it is for: nothing behind the answer's head is read here.
"""

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from reuse_proxy.errors import (
    AccessDeniedError,
    ProxyError,
    UpstreamConnectError,
    UpstreamProtocolError,
    UpstreamTimeoutError,
)
from reuse_proxy.http.connect import (
    OVERLAP,
    ConnectAnswer,
    connect_head,
    end_of_head,
    read_answer,
)
from reuse_proxy.upstream.refusals import MAX_HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reuse_proxy.config.parent import ParentProxy
    from reuse_proxy.http.target import Origin

_PEEK_BYTES: Final = 4096
_NO_CONFIGURATION: Final = "proxy_configuration_error"


async def open_tunnel(
    sock: socket.socket, parent: "ParentProxy", origin: "Origin"
) -> None:
    """Ask a parent for a tunnel, on a socket connected to it, which errors close.

    Raises:
        OSError: the connection broke.
        ProxyError: the parent will not, or does not speak HTTP.
    """
    head = connect_head(origin.place, parent.credentials, parent.via)
    try:
        await asyncio.get_running_loop().sock_sendall(sock, head)
        answer = await _answer(sock, parent)
        if not 200 <= answer.status <= 299:
            raise refused(  # noqa: TRY301 - closed in one place
                parent, f"CONNECT {origin.place}", answer.status, answer.schemes
            )
    except BaseException:
        sock.close()
        raise


async def _answer(sock: socket.socket, parent: "ParentProxy") -> ConnectAnswer:
    """Read the final answer's head, and not a byte behind it."""
    size, head = 0, b""
    while size <= MAX_HEAD_BYTES:
        await _readable(sock)
        try:
            coming = sock.recv(_PEEK_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        if not coming:
            raise UpstreamConnectError(
                f"The parent {spelled(parent)} closed the connection instead of answering CONNECT.",
                error="connection_terminated",
            )
        before = head[-OVERLAP:]
        end = end_of_head(before + coming)
        wanted = len(coming) if end < 0 else end - len(before)
        taken = sock.recv(wanted)
        size, head = size + len(taken), head + taken
        if end < 0 or len(taken) < wanted:
            continue
        answer = _read(head, parent)
        if answer.status >= 200:
            return answer
        head = b""
    raise UpstreamProtocolError(
        f"The parent {spelled(parent)} answered CONNECT with more than {MAX_HEAD_BYTES} bytes.",
        error="http_response_header_section_size",
    )


def _read(head: bytes, parent: "ParentProxy") -> ConnectAnswer:
    try:
        return read_answer(head)
    except UpstreamProtocolError:
        raise UpstreamProtocolError(
            f"The parent {spelled(parent)} did not answer CONNECT in HTTP/1.1."
        ) from None


async def _readable(sock: socket.socket) -> None:
    """Wait until something can be read; the loop's own ways would take it."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(sock, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


def _set(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


# Why not...


def refused(
    parent: "ParentProxy", asked: str, status: int, schemes: "Sequence[str]" = ()
) -> ProxyError:
    """Return what a client is told of a status that is the parent's own.

    Never 407, which would ask the client for credentials that are ours to give.

    Args:
        parent: who has answered.
        asked: what, for the sentence.
        status: with what.
        schemes: of authentication, with 407.
    """
    sentence = f"The parent {spelled(parent)} answered {asked} with {status}"
    if status == 407:
        why = _why_407(parent, schemes)
        return AccessDeniedError(
            f"{sentence}: {why}.", status=502, error=_NO_CONFIGURATION
        )
    if status == 504:
        return UpstreamTimeoutError(f"{sentence}.", error="connection_timeout")
    if status >= 500:
        return UpstreamConnectError(f"{sentence}.")
    return AccessDeniedError(f"{sentence}.", status=502)


def _why_407(parent: "ParentProxy", schemes: "Sequence[str]") -> str:
    if schemes and "basic" not in map(str.lower, schemes):
        return f"it wants {', '.join(schemes)}, and only Basic is spoken here"
    if parent.authorization:
        return "it does not take the credentials in parent_proxy"
    return "it wants credentials, and parent_proxy has none"


def spelled(parent: "ParentProxy") -> str:
    """Name a parent, and the setting that it comes from."""
    return f"{parent} (parent_proxy)"
