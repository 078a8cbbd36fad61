"""How tunnels end: by the idle limit, by a drain, by a stop; and five hundred at once."""

import asyncio
import resource
import socket

import pytest

from reuse_proxy.tasks import TaskSet
from tests.functional.test_cancellation import CancelledAt
from tests.support.programs import need, run
from tests.support.tunnels import (
    connect_bytes,
    descriptors,
    echo,
    echoed,
    gone,
    idle,
    only,
    opened,
    task_names,
    tunnelling_to_origins,
)
