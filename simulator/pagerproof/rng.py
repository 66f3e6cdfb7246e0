"""Keyed draws: every random value is a pure function of the seed and a key, never of what was drawn before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TypeVar

from xxhash import xxh3_64_intdigest

T = TypeVar("T")

_UNIT = 2.0**-53
_UNIT_52 = 2.0**-52
_inverse_normal = NormalDist().inv_cdf
_SEPARATOR = "\x1f"


def key_of(seed: int, *parts: object) -> int:
    """Return the 64-bit key of `parts` under `seed` (parts are told apart by their text).

    A key may serve as the seed of further keys: `key_of(key_of(seed, index), "fault", id)`.
    """
    return xxh3_64_intdigest(_SEPARATOR.join(map(str, parts)).encode("utf-8", "surrogatepass"), seed)


def sub_key(key: int, salt: bytes) -> int:
    """Return the key below `key` named by `salt`: the fast way for names known beforehand."""
    return xxh3_64_intdigest(salt, key)


def unit(key: int) -> float:
    """Return the uniform draw in [0, 1) that belongs to `key`."""
    return (key >> 11) * _UNIT


def uniform(seed: int, *parts: object) -> float:
    """Return the uniform draw in [0, 1) at this key."""
    return (key_of(seed, *parts) >> 11) * _UNIT


def below(key: int, n: int) -> int:
    """Return the draw in range(n) that belongs to `key`; its bias is under n / 2**64."""
    return (key * n) >> 64


def pick(key: int, items: Sequence[T]) -> T:
    """Return one of `items`, each equally likely. Raises IndexError when there are none."""
    return items[(key * len(items)) >> 64]


def standard_normal(key: int) -> float:
    """Return the standard normal draw that belongs to `key`."""
    return _inverse_normal(((key >> 12) + 0.5) * _UNIT_52)  # 52 bits: with 53, the last key would round up to 1


def exponential(key: int, mean: float) -> float:
    """Return the exponential draw with this mean."""
    return -mean * math.log1p(-unit(key))


def lognormal(key: int, median: float, sigma: float) -> float:
    """Return the lognormal draw with this median and this standard deviation of its logarithm."""
    return median * math.exp(sigma * standard_normal(key))


def gamma(key: int, shape: float, scale: float = 1.0) -> float:
    """Return the gamma draw (Marsaglia & Tsang 2000, with keyed retries), for any shape above 0."""
    if shape < 1.0:
        boost = unit(sub_key(key, b"boost")) ** (1.0 / shape)
        return float(gamma(sub_key(key, b"raised"), shape + 1.0, scale) * boost)
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = standard_normal(sub_key(key, b"normal"))
        v: float = (1.0 + c * x) ** 3
        u = unit(sub_key(key, b"accept"))
        if v > 0.0 and math.log(u or _UNIT) < 0.5 * x * x + d - d * v + d * math.log(v):
            return float(d * v * scale)
        key = sub_key(key, b"again")


def beta(key: int, a: float, b: float) -> float:
    """Return the Beta(a, b) draw, as a ratio of two gamma draws."""
    x = gamma(sub_key(key, b"a"), a)
    y = gamma(sub_key(key, b"b"), b)
    total = x + y
    return x / total if total > 0.0 else a / (a + b)


def poisson(key: int, mean: float) -> int:
    """Return the Poisson draw, by inversion; above a mean of 500 by the rounded normal approximation."""
    if mean > 500.0:
        return max(0, round(mean + math.sqrt(mean) * standard_normal(key)))
    u = unit(key)
    probability = cumulative = math.exp(-mean)
    n = 0
    while u > cumulative and probability > 0.0:
        n += 1
        probability *= mean / n
        cumulative += probability
    return n


def digits(key: int, n: int) -> str:
    """Return `n` decimal digits drawn from `key` (n up to 18)."""
    return str(below(key, 10**n)).zfill(n)


def hex_id(key: int, length: int = 32) -> str:
    """Return a lower-case hexadecimal id of `length` characters, a multiple of 16 drawn as blocks and cut."""
    text = ""
    while len(text) < length:
        text += f"{key:016x}"
        key = sub_key(key, b"hex")
    return text[:length]


class ByteStream:
    """Bytes drawn from one key in order, for code that asks the interpreter for entropy; not keyed by decision."""

    __slots__ = ("_key",)

    def __init__(self, key: int) -> None:
        self._key = key

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        blocks = []
        for _ in range(-(-size // 8)):
            self._key = xxh3_64_intdigest(b"block", self._key)
            blocks.append(self._key.to_bytes(8, "little"))
        return b"".join(blocks)[:size]
