"""The side that faces origins: the pooled session and what it is made of.

``session`` leases and settles; ``pool`` decides, purely; ``connection`` speaks
HTTP/1.1; ``dialer`` connects, by the addresses of ``dns`` and the rules of
``policy``; ``drain`` bounds what is read for nobody; ``stats`` holds the numbers.
"""
