"""reuse-proxy: a local forward proxy that enforces upstream connection reuse.

A request moves one way through the rooms, its response comes back through the
same frames, and lower rooms never call up:

    client ─▶ downstream ─▶ forward ─▶ upstream.session ─▶ pool ─▶ connection ─▶ origin

- ``downstream``: the side that faces clients (aiohttp's low-level server).
- ``forward``: one exchange: rewrite, lease, send, receive, retry.
- ``upstream``: the pooled session, its decisions, connections and dialling.
- ``http``: pure rules on bytes.
- ``ca``: the local certificate authority of interception.
- ``config``: the settings, declared once, and where they come from.
- ``admin``: metrics, health and JSON; reads snapshots, changes nothing.
- ``service``: builds the parts and gives them their life cycle.

The promise, that every exchange ends released or discarded exactly once, is kept
by :meth:`reuse_proxy.upstream.session.UpstreamSession.settle`.
"""

__version__ = "0.1.0"
