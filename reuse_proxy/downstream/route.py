"""The way through a parent proxy: which requests take it, and how they are spelled there.

What has no secret to keep, ``http://``, is asked of the parent itself, and all of it
shares the connections to the parent.  What has, or will be bytes of another protocol, goes
through a tunnel that the parent opens to the origin.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reuse_proxy.errors import ProxyError, RequestError
from reuse_proxy.http.target import PARENT, Origin, ProxyTarget
from reuse_proxy.upstream.policy import is_loopback

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from reuse_proxy.config.parent import Exemption, ParentProxy
    from reuse_proxy.forward import ForwardRequest
    from reuse_proxy.upstream.policy import DestinationPolicy

_MAX_KNOWN: Final = 4096


class ParentRoute:
    """Leads requests through one parent; another one is another object.

    Args:
        parent: the proxy to go through.
        exempt: who is reached directly all the same, as loopback is.
        policy: what a client may not reach through the parent either.
        denied: counts what the policy denies, by rule.
        name: what we call ourselves in Via.
    """

    def __init__(
        self,
        parent: "ParentProxy",
        exempt: "Sequence[Exemption]",
        *,
        policy: "DestinationPolicy",
        denied: "Counter[str]",
        name: bytes,
    ) -> None:
        self._parent = replace(parent, via=b"Via: 1.1 %b\r\n" % name)
        self._hop = Origin(PARENT, parent.host, parent.port, self._parent)
        self._exempt = tuple(exempt)
        self._policy = policy
        self._denied = denied
        self._name = name
        # For each origin that may be asked, the same through the parent or not.
        self._known: dict[Origin, Origin] = {}

    def apply(self, request: "ForwardRequest") -> None:
        """Send a request to the parent, or through it, unless its host is exempt.

        Raises:
            ProxyError: its destination is denied, or its method.
        """
        target = request.target
        origin = self._way(target.origin)
        if origin.parent is None:
            return
        if origin.scheme == "https" or request.upgrade:
            request.target = ProxyTarget(origin, target.host, target.path)
            return
        if request.method == "TRACE" and self._parent.authorization:
            raise RequestError(
                "TRACE is not sent through a parent with credentials (parent_proxy):"
                " its answer would show them.",
                status=405,
            )
        # Only the last proxy makes an asterisk of no path (RFC 9112 section 3.2.4).
        path = b"" if target.path == b"*" else target.path
        url = b"http://%b%b" % (target.host, path)
        request.target = ProxyTarget(self._hop, target.host, url)
        request.via += self._parent.credentials

    def tunnel(self, origin: Origin, via: "Sequence[bytes]") -> Origin:
        """Return what to connect to for a CONNECT, which came with these lines of Via.

        Raises:
            ProxyError: its destination is denied, or it has come through us before.
        """
        refuse_loop(self._name, via)
        way = self._way(origin)
        if way.parent is None or not via:
            return way
        # The next proxies look for themselves in it; a tunnel is nobody else's.
        before = b"Via: %b\r\n" % b", ".join(via)
        return way._replace(parent=replace(way.parent, via=before + way.parent.via))

    def _way(self, asked: Origin) -> Origin:
        origin = self._known.get(asked)
        if origin is None:
            origin = self._decide(asked)
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[asked] = origin
        return origin

    def _decide(self, asked: Origin) -> Origin:
        _, host, port, _ = asked
        if is_loopback(host) or any(e.matches(host, port) for e in self._exempt):
            return asked
        broken = self._policy.unresolved(host, port)
        if broken is not None:
            rule, error = broken
            self._denied[rule] += 1
            raise error
        return asked._replace(parent=self._parent)

    def __repr__(self) -> str:
        exempt = ", ".join(map(str, self._exempt)) or "none"
        return f"<ParentRoute {self._parent} but for {exempt}>"


def refuse_loop(name: bytes, lines: "Sequence[bytes]") -> None:
    """Refuse what has come through this proxy, as Via tells (RFC 9110 section 7.6.3).

    Raises:
        ProxyError: it has.
    """
    if any(name in via for via in lines):
        raise ProxyError(
            "This request has come through this proxy before.",
            status=502,
            error="proxy_loop_detected",
        )
