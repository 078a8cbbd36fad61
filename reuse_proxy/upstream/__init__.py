"""The side that faces origins: the pooled session and what it is made of.

``session`` leases and settles; ``pool`` decides, purely; ``connection`` speaks
HTTP/1.1, ``opaque`` is one for a tunnel; ``dialer`` connects, by the addresses of
``dns``, the rules of ``policy`` and the contexts of ``tls``; ``private`` keeps what a
client has authenticated; ``drain`` bounds what is read for nobody; ``stats`` holds the
numbers.
"""
