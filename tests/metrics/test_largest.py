"""The k largest of wide rows, against torch.topk."""

from __future__ import annotations

import pytest
import torch

from phispace.metrics.largest import largest


@pytest.mark.parametrize(("n", "k"), [(5, 5), (40, 5), (1000, 1), (1000, 7), (1003, 7), (4096, 200), (10_007, 28)])
@pytest.mark.parametrize("kind", ["continuous", "coarse", "equal", "sorted", "one group", "excluded"])
def test_torch(n: int, k: int, kind: str) -> None:
    generator = torch.Generator().manual_seed(n + k)
    x = torch.randn(9, n, generator=generator)
    if kind == "coarse":
        x = x.round()
    elif kind == "equal":
        x = torch.ones(9, n)
    elif kind == "sorted":
        x = x.sort(1).values
    elif kind == "one group":  # the largest lie where dealing out puts them together
        x[:, :: max(k, int((k * n) ** 0.5))] += 10
    elif kind == "excluded":
        x[:, : n // 2] = -torch.inf
    values, positions = largest(x, k)
    expected = x.topk(k, dim=1).values
    torch.testing.assert_close(values, expected, rtol=0, atol=0)
    torch.testing.assert_close(x.gather(1, positions), expected, rtol=0, atol=0)
    assert all(len(set(row)) == k for row in positions.tolist())


def test_no_rows() -> None:
    assert largest(torch.zeros(0, 500), 3)[0].shape == (0, 3)
