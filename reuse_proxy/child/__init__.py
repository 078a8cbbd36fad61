"""One command and the private proxy that is run for it: what the command is given.

``environment`` is what it is told, ``authority`` whom it may trust, ``process`` how it
is started and ends; ``gate`` judges a report of it, ``hints`` says why the report may
be empty, ``output`` is the file it goes to.  Nothing here knows the proxy itself.
"""
