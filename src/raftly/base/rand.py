"""A small seeded source of randomness, the same on every platform and Python version."""

from __future__ import annotations

from typing import Final, Protocol, final

_MASK: Final = (1 << 64) - 1


class RandomSource(Protocol):
    """What the core needs of randomness: election time-outs are drawn from it."""

    def below(self, bound: int) -> int:
        """A number in [0, bound), all alike; `bound` is at least 1."""
        ...


@final
class SplitMix64:
    """Steele, Lea and Flood's SplitMix64: 64 bits of state, one multiply-xor chain a draw.

    Source: "Fast splittable pseudorandom number generators", OOPSLA 2014. Not for secrets.
    """

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def next_u64(self) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        """A number in [0, bound). The bias of the modulus is below bound / 2**64."""
        assert bound >= 1
        return self.next_u64() % bound
