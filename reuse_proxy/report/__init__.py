"""The report: who leaks, what it cost, what pooling saved, how to fix it.

``document`` is what a report says, ``build`` reads it off the ledger and the session,
``text`` and ``markdown`` write it for people, in the same ``words``.
"""
