"""Several processes that serve as one, for machines where one core is not enough.

A ``supervisor`` owns the listeners (``sockets``) and has a ``crew`` that starts, restarts
and stops a ``process`` for each worker; ``worker`` is what such a process does
differently.  The admin listener's ``views`` ask them all (``gather``), and show the sums
(``tally``, ``clients``).
"""
