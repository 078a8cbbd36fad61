"""Writes of one turn go out together, where there are many exchanges."""

import asyncio

from reuse_proxy.outbox import Outbox


class Noting:
    """Notes when it is asked to send."""

    def __init__(self, log):
        self.log = log

    def flush(self):
        """Note it."""
        self.log.append(self)


async def test_who_waits_is_asked_to_send_in_the_next_turn_in_order():
    """Once, and not before the current callback has ended."""
    outbox = Outbox(asyncio.get_running_loop())
    log: list[Noting] = []
    first, second = Noting(log), Noting(log)
    outbox.add(first)
    outbox.add(second)

    assert log == []
    await asyncio.sleep(0)
    assert log == [first, second]
    await asyncio.sleep(0)
    assert len(log) == 2


async def test_who_is_added_while_others_send_waits_for_another_turn():
    """It must not be lost, nor sent twice."""
    outbox = Outbox(asyncio.get_running_loop())
    log: list[Noting] = []
    late = Noting(log)

    class Adding(Noting):
        def flush(self):
            super().flush()
            outbox.add(late)

    outbox.add(Adding(log))
    await asyncio.sleep(0)
    assert late not in log
    await asyncio.sleep(0)
    assert log[-1] is late


async def test_a_few_exchanges_are_no_crowd():
    """They would wait for nobody."""
    outbox = Outbox(asyncio.get_running_loop())
    crowded = []
    for _ in range(4):
        outbox.begin()
        crowded.append(outbox.crowded)

    assert crowded == [False, False, False, True]
    assert repr(outbox) == "<Outbox 0 senders, 4 exchanges>"
