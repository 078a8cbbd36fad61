"""The side that faces clients: aiohttp's low-level server and what we make of it.

``listener`` accepts and times clients, ``access`` says who may use us, ``proxy`` is
the one handler, ``reply`` writes responses, ``stall`` watches those who do not read.
``connect`` opens a ``tunnel``, or has ``intercept`` speak TLS with the client.
"""
