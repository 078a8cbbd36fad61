"""The local certificate authority of opt-in TLS interception.

``store`` keeps it on disk, by the means of ``files``; ``issue`` signs a leaf for a
host, by the rules of ``names`` and within the ``scope`` of the authority; ``leaves``
holds the leaves of one process, in memory; ``trust`` tells clients how to believe them.
Nothing here knows of a proxy.
"""
