"""How numbers are written: as many digits as the measurement supports, never more."""

from __future__ import annotations

import math

from phispace.report.document import Form, Number

NARROW = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
UNITS: dict[str, str] = {"share": "%", "points": "points", "minutes": "min", "seconds": "s"}
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def fixed(value: float, decimals: int) -> str:
    """A number with this many decimals, groups of three digits, and a true minus sign."""
    text = f"{abs(value):,.{decimals}f}"
    negative = value < 0 and any(c not in "0.," for c in text)
    return f"{MINUS}{text}" if negative else text


def significant(value: float, digits: int = 3) -> str:
    """A number with this many significant digits, at least all digits before the point."""
    if value == 0:
        return "0"
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    exponent = int(power)
    if exponent < -4 or exponent >= 9:
        return f"{mantissa.replace('-', MINUS)} × 10{str(exponent).translate(_SUPERSCRIPT)}"
    return fixed(value, max(0, digits - 1 - exponent))


def _decimals(error: float | None, form: Form) -> int | None:
    """Decimals that an uncertainty of this size supports: two significant digits of it; None without one."""
    if form in ("share", "points"):
        if error is None or error <= 0:
            return 1
        return 0 if error >= 10 else 1 if error >= 0.1 else 2
    if error is None or error <= 0:
        return None
    return min(6, max(0, 1 - math.floor(math.log10(error))))


def _scaled(number: Number) -> tuple[float, float | None, float | None, float | None, str]:
    """Value, low, high, spread in the unit that is shown, and the unit."""
    value = number.value
    if value is None:
        raise ValueError("an undefined number has no unit")
    form = number.form or "number"
    scale, unit = (100.0, UNITS[form]) if form in ("share", "points") else (1.0, UNITS.get(form, ""))
    if form == "bytes":
        power = min(4, int(math.log(max(abs(value), 1), 1000)))
        scale, unit = 1000.0**-power, ("B", "kB", "MB", "GB", "TB")[power]

    def times(x: float | None) -> float | None:
        return None if x is None else x * scale

    return value * scale, times(number.low), times(number.high), times(number.spread), unit


def write(number: Number, *, unit: bool = True) -> tuple[str, str]:
    """The number and its uncertainty as text, for example `("88.3 %", "[87.7, 88.9]")`.

    Args:
        unit: whether the unit stands beside the value (else the column's head has it).

    Returns:
        the value (`n/a` where undefined) and the uncertainty (empty where there is none).
    """
    if number.value is None:
        return "n/a", ""
    value, low, high, spread, name = _scaled(number)
    errors = [spread] if spread is not None else [abs(x - value) for x in (low, high) if x is not None]
    decimals = _decimals(max(errors, default=None), number.form or "number")

    def show(x: float) -> str:
        if number.form == "count":
            return fixed(x, 0)
        if number.form == "bytes":
            return significant(x)
        return significant(x) if decimals is None else fixed(x, decimals)

    text = show(value)
    if number.form == "points" and value > 0:
        text = f"+{text}"
    parts = [f"± {show(spread)}"] if spread is not None else []
    parts += [f"[{show(low)}, {show(high)}]"] if low is not None and high is not None else []
    uncertainty = " ".join(parts)
    return (f"{text}{NARROW}{name}" if unit and name else text), uncertainty


def sentence(number: Number, *, uncertainty: bool = True) -> str:
    """The number for running text, with unit and uncertainty."""
    value, around = write(number)
    return f"{value} {around}" if uncertainty and around else value
