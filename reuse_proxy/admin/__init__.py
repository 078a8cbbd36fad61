"""The admin listener: a second aiohttp application that reads and never changes.

``app`` has the routes and who may use them, ``views`` what they show of this process (a
supervisor of workers has its own), ``metrics`` the Prometheus collector,
``pools`` the JSON views, ``kernel`` what the operating system knows of our sockets.
"""
