"""Draws are functions of their place."""

from __future__ import annotations

import subprocess
import sys

import torch
from hypothesis import given
from hypothesis import strategies as st

from phispace.randomness import key, rng, torch_rng, unit_hash

#: Changing how keys are made changes every split and every run.
PINNED = 0x6397013F01DDA789B8A4139CB4F26E7F
parts = st.integers(-5, 2**40) | st.text(max_size=6)


@given(st.integers(0, 2**31), st.text(max_size=8), st.lists(parts, max_size=3), st.lists(parts, max_size=3))
def test_distinct_places_have_distinct_keys(seed: int, purpose: str, a: list, b: list) -> None:
    if "\x1f" in purpose + "".join(map(str, a + b)):
        return  # the separator
    assert (key(seed, purpose, *a) == key(seed, purpose, *b)) == (a == b)
    assert key(seed, purpose, *a) != key(seed + 1, purpose, *a)


def test_numbers_and_their_text_are_different_places() -> None:
    assert key(0, "x", 1) != key(0, "x", "1")


def test_draws_are_the_same_in_another_process_and_for_ever() -> None:
    code = (
        "from phispace.randomness import *; "
        "print(rng(7, 'order', 3).permutation(5).tolist(), key(7, 'a', 1), unit_hash('x', 'y'))"
    )
    expected = f"{rng(7, 'order', 3).permutation(5).tolist()} {key(7, 'a', 1)} {unit_hash('x', 'y')}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
    assert key(0, "order", 0) == PINNED


def test_generators_do_not_touch_each_other() -> None:
    a, b = torch_rng(0, "views", 1), torch_rng(0, "views", 1)
    torch.rand(5)
    first = torch.rand(3, generator=a)
    assert torch.equal(first, torch.rand(3, generator=b))
    assert not torch.equal(first, torch.rand(3, generator=torch_rng(0, "views", 2)))


def test_hashes_are_spread_evenly() -> None:
    values = [unit_hash(f"id/{i}", "val-split-0") for i in range(5000)]
    assert all(0 <= v < 1 for v in values)
    for low in range(10):
        share = sum(low / 10 <= v < (low + 1) / 10 for v in values) / 5000
        assert abs(share - 0.1) < 0.02
