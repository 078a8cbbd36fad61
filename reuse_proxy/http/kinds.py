"""What each field is to a proxy, looked up by its name as it is spelled."""

from typing import Final


class Kind:
    """What a field is to us; plain integers, since every field of a head is looked up."""

    PASS = 0
    DROP = 1
    CONNECTION = 2
    HOST = 3
    LENGTH = 4
    CODING = 5
    EXPECT = 6
    VIA = 7
    DATE = 8
    KEEP_ALIVE = 9
    MAX_FORWARDS = 10
    TYPE = 11
    IDEMPOTENCY = 12
    UPGRADE = 13
    CREDENTIALS = 14
    CHALLENGE = 15
    CALLER = 16
    PROXY_CHALLENGE = 17


_KINDS: Final = {
    b"connection": Kind.CONNECTION,
    b"proxy-connection": Kind.DROP,
    b"proxy-authorization": Kind.CALLER,
    b"proxy-authenticate": Kind.PROXY_CHALLENGE,
    b"proxy-authentication-info": Kind.DROP,
    b"te": Kind.DROP,
    b"trailer": Kind.DROP,
    b"upgrade": Kind.UPGRADE,
    b"http2-settings": Kind.DROP,
    b"keep-alive": Kind.KEEP_ALIVE,
    b"host": Kind.HOST,
    b"content-length": Kind.LENGTH,
    b"transfer-encoding": Kind.CODING,
    b"expect": Kind.EXPECT,
    b"via": Kind.VIA,
    b"date": Kind.DATE,
    b"max-forwards": Kind.MAX_FORWARDS,
    b"content-type": Kind.TYPE,
    b"idempotency-key": Kind.IDEMPOTENCY,
    b"authorization": Kind.CREDENTIALS,
    b"www-authenticate": Kind.CHALLENGE,
}
_MAX_SPELLINGS: Final = 4096
kind_of: dict[bytes, int] = {}


def learn_kind(name: bytes) -> int:
    """Classify a spelling and remember it, so that lower-casing happens once."""
    if len(kind_of) >= _MAX_SPELLINGS:
        kind_of.clear()
    kind = kind_of[name] = _KINDS.get(name.lower(), Kind.PASS)
    return kind
