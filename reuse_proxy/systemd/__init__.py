"""What a service manager and a service tell each other; systemd's protocols.

``activation`` takes listening sockets that somebody else has opened, ``notify`` says
how the service is.  Both are plain enough that any manager can speak them, as our own
supervisor of workers does.
"""
