"""The ledger: what each client cost, and what pooling saved.

``identity`` tells who a client is, ``account`` is what is counted for one, ``visit``
one connection of a client, ``ledger`` the bounded book of all; ``verdict`` judges an
account, ``family`` and ``fixes`` say how to mend the program, ``owner`` which process
it is.  Nothing here awaits on the request path, and nothing here knows Prometheus.
"""
