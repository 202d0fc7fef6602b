"""Numbers are written with the digits that the measurement supports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phispace.report.document import Number
from phispace.report.numerals import NARROW, fixed, sentence, significant, write


@pytest.mark.parametrize(
    ("number", "value", "around"),
    [
        (Number(value=0.883, low=0.877, high=0.889, form="share"), f"88.3{NARROW}%", "[87.7, 88.9]"),
        (Number(value=0.5, low=0.3, high=0.7, form="share"), f"50{NARROW}%", "[30, 70]"),
        (Number(value=0.97123, spread=0.0004, form="share"), f"97.12{NARROW}%", "± 0.04"),
        (Number(value=1.0, low=0.99, high=1.0, form="share"), f"100.0{NARROW}%", "[99.0, 100.0]"),
        (Number(value=0.0731, form="points"), f"+7.3{NARROW}points", ""),
        (Number(value=-0.0731, form="points"), f"−7.3{NARROW}points", ""),
        (Number(value=1676266, form="count"), "1,676,266", ""),
        (Number(value=9.2134, form="minutes"), f"9.21{NARROW}min", ""),
        (Number(value=6_640_000, form="bytes"), f"6.64{NARROW}MB", ""),
        (Number(value=12, form="bytes"), f"12.0{NARROW}B", ""),
        (Number(value=31.2345), "31.2", ""),
        (Number(value=0.97312, spread=0.0021), "0.9731", "± 0.0021"),
        (Number(value=2.5, low=2.5, high=2.5), "2.50", "[2.50, 2.50]"),
        (Number(value=0.0), "0", ""),
        (Number(value=-0.0), "0", ""),
        (Number(value=0.000012345), "1.23 × 10⁻⁵", ""),
        (Number(value=9.999e-6), "1.00 × 10⁻⁵", ""),
        (Number(value=None, reason="one class"), "n/a", ""),
    ],
)
def test_written(number: Number, value: str, around: str) -> None:
    assert write(number) == (value, around)


def test_the_unit_can_stand_elsewhere() -> None:
    assert write(Number(value=0.5, form="share"), unit=False) == ("50.0", "")


def test_in_a_sentence() -> None:
    number = Number(value=0.883, low=0.877, high=0.889, form="share")
    assert sentence(number) == f"88.3{NARROW}% [87.7, 88.9]"
    assert sentence(number, uncertainty=False) == f"88.3{NARROW}%"


def test_rounding_to_zero_has_no_minus_sign() -> None:
    assert fixed(-0.0004, 2) == "0.00"
    assert fixed(-0.06, 1) == "−0.1"


@given(st.floats(-1e12, 1e12, allow_nan=False), st.integers(1, 6))
def test_significant_digits_keep_the_value(value: float, digits: int) -> None:
    text = significant(value, digits).replace(",", "").replace("−", "-")
    if "×" in text:
        mantissa, _, power = text.partition(" × 10")
        back = float(mantissa) * 10.0 ** int(power.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")))
    else:
        back = float(text)
    assert abs(back - value) <= 0.5001 * 10.0 ** (1 - digits) * abs(value) + 1e-300


@given(st.floats(0, 1), st.floats(0, 0.2), st.floats(0, 0.2))
def test_any_interval_can_be_written(value: float, below: float, above: float) -> None:
    text, around = write(Number(value=value, low=value - below, high=value + above, form="share"))
    assert text.endswith("%")
    assert around.startswith("[")
