"""The admin listener: a second aiohttp application that reads and never changes.

``app`` has the routes and who may use them, ``metrics`` the Prometheus collector,
``pools`` the JSON views, ``kernel`` what the operating system knows of our sockets.
"""
