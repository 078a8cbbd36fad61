"""One exchange between a client's request and an origin's response.

``request`` is what goes upstream, ``upload`` its body on the way, ``exchange`` what
happens to it: lease, send, receive, retry, settle.
"""

from reuse_proxy.forward.exchange import Exchange
from reuse_proxy.forward.phase import Phase
from reuse_proxy.forward.request import ForwardRequest, RequestBody

__all__ = ["Exchange", "ForwardRequest", "Phase", "RequestBody"]
