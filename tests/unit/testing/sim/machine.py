"""What the tests of whole runs replicate, and what its clients do."""

from random import Random

from raftly.testing.sim import Call
from tests.support.nodes import Register


def workload(random: Random) -> Call[Register]:
    """Reads and writes of two registers; no value is written twice."""
    key = random.choice("ab")
    if random.random() < 0.4:
        return Call("read", key, None, Register.get, (key,), is_query=True)
    value = random.getrandbits(40)
    return Call("write", key, value, Register.set, (key, value))
