"""How far an exchange has come."""

from enum import StrEnum


class Phase(StrEnum):
    """In the queue for a connection, before the response's head, or in its body."""

    QUEUE = "queue"
    HEAD = "head"
    BODY = "body"
