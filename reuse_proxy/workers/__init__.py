"""Several processes that serve as one, for machines where one core is not enough.

A ``supervisor`` owns the listeners (``sockets``), starts a ``process`` for each worker,
restarts and stops them; ``worker`` is what such a process does differently.  Its admin
listener's ``views`` ask them all (``gather``) and add up (``tally``, ``clients``).
"""
