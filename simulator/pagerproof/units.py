"""Quantities with their units, as people write them in files: 250ms, 10m, 4/s, 3%, 40kB."""

from __future__ import annotations

import math
import re

_NUMBER = r"([+-]?\d+(?:_\d{3})*(?:\.\d+)?(?:[eE][+-]?\d+)?)"
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "kB": 1000, "KiB": 1024, "MB": 1000**2, "MiB": 1024**2}
_DURATION = re.compile(rf"{_NUMBER}\s*({'|'.join(sorted(_SECONDS, key=len, reverse=True))})", re.ASCII)
_SIZE = re.compile(rf"{_NUMBER}\s*({'|'.join(_BYTES)})", re.ASCII)
_RATE = re.compile(rf"{_NUMBER}\s*/\s*(s|min|m|h|d)", re.ASCII)
_SHARE = re.compile(rf"{_NUMBER}\s*%", re.ASCII)


def _number(text: str) -> float:
    value = float(text.replace("_", ""))
    if math.isinf(value):
        raise ValueError(f"{text} is too large a number")
    return value


def duration_s(text: object) -> float:
    """Return seconds from `250ms`, `30s`, `10m`, `2h` or `1d`. Raises ValueError, also when the unit is missing."""
    match = _DURATION.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write a number and a unit (us, ms, s, m, h, d), such as 30s")
    return _number(match[1]) * _SECONDS[match[2]]


def rate_per_s(text: object) -> float:
    """Return events per second from `4/s`, `90/min` or `3600/h`. Raises ValueError."""
    match = _RATE.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a rate: write a number per unit of time, such as 4/s or 90/min")
    return _number(match[1]) / _SECONDS[match[2]]


def share(text: object) -> float:
    """Return a fraction from `3%` or a bare number within [0, 1]. Raises ValueError outside of it."""
    written = str(text).strip()
    match = _SHARE.fullmatch(written)
    try:
        value = _number(match[1]) / 100.0 if match else float(written)
    except ValueError:  # also of a number that is too large
        raise ValueError(f"{text!r} is not a share: write 3% or 0.03") from None
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{text!r} is not a probability or share: it must lie within 0 and 1 (0% and 100%)")
    return value


def size_bytes(text: object) -> int:
    """Return bytes from `512B`, `40kB` or `1MiB`. Raises ValueError."""
    match = _SIZE.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size: write a number and a unit (B, kB, KiB, MB, MiB), as in 512B")
    size = _number(match[1]) * _BYTES[match[2]]
    if abs(size - round(size)) > 1e-6:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return round(size)


def show_duration(seconds: float) -> str:
    """Return a short readable duration: `83 µs`, `250 ms`, `4.2 s`, `12 min 5 s`, `3 h 20 min`."""
    if not math.isfinite(seconds):
        return "∞" if seconds > 0 else "-∞" if seconds < 0 else "?"
    if seconds < 0:
        return "-" + show_duration(-seconds)
    # Each limit is where the smaller unit would round up to a whole larger one.
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"
