"""What a request must be to be forwarded, and what becomes of it then.

Requests for the proxy itself are answered here; nothing is forwarded by Host.
"""

import secrets
from typing import TYPE_CHECKING, Final

from reuse_proxy.config.address import Address
from reuse_proxy.downstream.originate import Origination
from reuse_proxy.downstream.refusals import body_too_large, host_missing
from reuse_proxy.downstream.request import ClientBody
from reuse_proxy.downstream.route import refuse_loop
from reuse_proxy.errors import RequestError
from reuse_proxy.forward import ForwardRequest
from reuse_proxy.http.framing import Framing
from reuse_proxy.http.request_fields import PSEUDONYM, read_request_fields
from reuse_proxy.http.target import parse_absolute, target_inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reuse_proxy.config.hosts import TlsRoute
    from reuse_proxy.downstream.client import ClientConnection
    from reuse_proxy.downstream.reply import Reply
    from reuse_proxy.downstream.request import ClientRequest
    from reuse_proxy.downstream.route import ParentRoute
    from reuse_proxy.http.request_fields import RequestFields
    from reuse_proxy.http.target import ProxyTarget

_NONE: Final = Framing.NONE
_CHUNKED: Final = Framing.CHUNKED
_TRACED: Final = frozenset({"TRACE", "OPTIONS"})
_WHAT_THIS_IS: Final = (
    "This is reuse-proxy, a forward proxy that enforces connection reuse.\n"
    "Use it through your client's proxy setting, for example\n"
    "  HTTP_PROXY=http://{address} your-program"
)
_NOT_FOR_US: Final = (
    "This is a forward proxy: it wants the whole URL as the request target,\n"
    "as a client sends it through HTTP_PROXY. Nothing is forwarded by Host."
)


class Rules:
    """Applied to every request but CONNECT.

    Attributes:
        name: what we call ourselves in Via.
        via: our line of Via, for what came over HTTP/1.1 and for HTTP/1.0.
        parent: the way through a parent proxy, if there is one.
    """

    parent: "ParentRoute | None" = None

    def __init__(
        self, *, max_request_body: int, originate: "Sequence[TlsRoute]"
    ) -> None:
        self.configure(max_request_body=max_request_body, originate=originate)
        # The pseudonym names the kind, the comment this process (RFC 9110 section
        # 7.6.3), so that a loop through it is seen and two proxies in a row are not.
        self.name = b"%b (%b)" % (PSEUDONYM, secrets.token_hex(4).encode())
        self.via = (
            b"Via: 1.1 %b\r\n" % self.name,
            b"Via: 1.0 %b\r\n" % self.name,
        )

    def configure(
        self, *, max_request_body: int, originate: "Sequence[TlsRoute]"
    ) -> None:
        """Go by other settings from the next request on."""
        self._origination = Origination(originate) if originate else None
        self._max_request_body = max_request_body

    def apply(self, request: "ClientRequest", reply: "Reply") -> ForwardRequest | None:
        """Return what is to be forwarded; None if we have answered it ourselves.

        Raises:
            ProxyError: the request breaks a rule.
        """
        http10 = request.http10
        if http10:
            check_version(request)
        client = request.connection
        # Most clients send the same fields with every request.
        same = client.raw_fields == request.raw_fields and request.method not in _TRACED
        fields = (client.fields if same else None) or _read_fields(request)
        target = self._target(request, fields, reply)
        if target is None:
            return None
        if fields.host is None and not http10:
            raise host_missing()
        if fields.via:
            refuse_loop(self.name, fields.via)
        forwarded = ForwardRequest(request.method, target, fields, self.via[http10])
        if fields.length or fields.coding:
            self._add_body(forwarded, request, fields)
        elif fields.upgrade and not http10 and client.may_switch:
            forwarded.upgrade = fields.protocols
        if self.parent is not None:
            self.parent.apply(forwarded)
        return forwarded

    def _target(
        self, request: "ClientRequest", fields: "RequestFields", reply: "Reply"
    ) -> "ProxyTarget | None":
        """Return where a request goes; None if it is for us, and has been answered."""
        raw, method = request.target, request.method
        intercepted = request.connection.intercepted
        if intercepted is not None:
            target = target_inside(intercepted.origin, raw, fields.host, method)
        elif raw[:1] == b"/" or raw == b"*":
            self._answer(request, raw, reply)
            return None
        else:
            target = parse_absolute(raw, method)
            if self._origination is not None:
                target = self._origination.apply(target)
        if fields.max_forwards == 0:
            self._answer_last(method, reply)
            return None
        return target

    def _add_body(
        self,
        forwarded: ForwardRequest,
        request: "ClientRequest",
        fields: "RequestFields",
    ) -> None:
        forwarded.framing, forwarded.body = self._body(request, fields)
        has_body = forwarded.body is not None
        forwarded.expect_continue = (
            fields.expect_continue and has_body and not request.http10
        )

    def _body(
        self, request: "ClientRequest", fields: "RequestFields"
    ) -> tuple[Framing, ClientBody | None]:
        """Decide how a request's body is framed, and whether there is one."""
        framing, length = fields.framing(http10=request.http10)
        most = self._max_request_body
        body = request.body
        if most and max(length, 0 if body is None else body.size) > most:
            raise body_too_large(most)
        if body is not None and body.error is not None:
            raise body.error  # before anybody upstream hears of it
        if framing is _CHUNKED and body is None:
            body = ClientBody(request.connection)
            body.finish()
        if framing is _NONE or body is None:
            return _NONE, None
        body.most = most
        return framing, body

    def _answer(self, request: "ClientRequest", target: bytes, reply: "Reply") -> None:
        """Answer a request that is for the proxy itself, never forward it."""
        if not request.http10 and request.field(b"host") is None:
            raise host_missing()
        if target == b"*":
            reply.send_text(204, "")
        elif target == b"/" and request.method in ("GET", "HEAD"):
            address = _spelled(request.connection)
            reply.send_error(RequestError(_WHAT_THIS_IS.format(address=address)))
        else:
            reply.send_error(RequestError(_NOT_FOR_US))

    def _answer_last(self, method: str, reply: "Reply") -> None:
        """Answer TRACE or OPTIONS with Max-Forwards: 0 (RFC 9110 section 7.6.2)."""
        if method == "OPTIONS":
            reply.send_text(204, "")
        else:
            reply.send_error(
                RequestError("This proxy does not answer TRACE itself.", status=405)
            )


def _spelled(client: "ClientConnection") -> str:
    transport = client.transport
    name = None if transport is None else transport.get_extra_info("sockname")
    return str(Address(*name[:2])) if isinstance(name, tuple) else "127.0.0.1:4128"


def _read_fields(request: "ClientRequest") -> "RequestFields":
    raw, client = request.raw_fields, request.connection
    if request.method in _TRACED:
        return read_request_fields(raw, traced=True)
    client.fields = fields = read_request_fields(raw, traced=False)
    client.raw_fields = raw
    return fields


def check_version(request: "ClientRequest") -> None:
    """Refuse versions that are neither HTTP/1.1 nor HTTP/1.0."""
    if request.version not in ("1.0", "1.1"):
        raise RequestError("Only HTTP/1.0 and HTTP/1.1 are spoken here.", status=505)
