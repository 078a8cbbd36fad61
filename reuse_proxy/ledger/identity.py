"""Who a client is: the name in its proxy URL, else where it is and what it runs.

Pure rules on what a client has sent.  What comes out is short and printable, since it
becomes a metric's label and a line on somebody's terminal; passwords are dropped.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

# What is counted together past the ledger's bounds; nobody may call itself that.
OTHER: Final = "other"
_MAX_USER: Final = 64
_MAX_PRODUCT: Final = 32
# RFC 9110 section 10.1.5: product = token ["/" product-version]
_PRODUCT: Final = re.compile(rb"([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:/\S*)?")
# Products that only name the language of the one that follows: aiohttp's own.
_LANGUAGES: Final = (b"Python",)
_MAX_PRODUCTS: Final = 256
_MAX_USER_AGENT: Final = 256
_products: dict[bytes, str] = {}


class Identity(NamedTuple):
    """Who a client is: the name of its account, and the product that it runs."""

    name: str
    product: str = ""


def identify(
    *, user: str, product: str, host: str | None, uid: int | None = None
) -> Identity:
    """Name a client by the best that is known of it.

    Args:
        user: the user name in its proxy URL; empty if there is none.
        product: the product in its User-Agent, likewise.
        host: its address; None on a UNIX socket.
        uid: the user that owns the other end of a UNIX socket.
    """
    if user:
        return Identity(f"{user} (client)" if user == OTHER else user, product)
    what = product or "client"
    if host is not None:
        return Identity(f"{what} at {host}", product)
    where = "a UNIX socket" if uid is None else f"uid {uid}"
    return Identity(f"{what} of {where}", product)


def user_of(credentials: bytes | None) -> str:
    """Return the user name of a Proxy-Authorization field, or nothing.

    Only the Basic scheme has one (RFC 7617), which is what clients make of
    ``http://billing-cron@127.0.0.1:4128``.
    """
    if credentials is None:
        return ""
    scheme, _, token = credentials.partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    try:
        pair = base64.b64decode(token.strip(), validate=True)
    except binascii.Error:
        return ""
    user = pair.partition(b":")[0].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in user)[:_MAX_USER].strip()


def product_of(fields: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the product that a request's User-Agent names, or nothing."""
    for name, value in fields:
        if name.lower() == b"user-agent":
            product = _products.get(value)
            return _learn_product(value) if product is None else product
    return ""


def _learn_product(value: bytes) -> str:
    """Remember what a User-Agent names: one that leaks says it again and again."""
    if len(_products) >= _MAX_PRODUCTS:
        _products.clear()
    product = _product(value)
    if len(value) <= _MAX_USER_AGENT:
        _products[value] = product
    return product


def _product(value: bytes) -> str:
    match = _PRODUCT.match(value)
    if match is None:
        return ""
    if match[1] in _LANGUAGES:
        match = _PRODUCT.match(value, match.end() + 1) or match
    return match[1][:_MAX_PRODUCT].decode("ascii")
