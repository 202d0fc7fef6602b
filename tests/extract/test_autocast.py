"""The choice of precision: by what is asked, or by a clock that is ours here."""

from __future__ import annotations

import pytest
import torch

from phispace.embeddings import autocast
from phispace.errors import InputError

CPU = torch.device("cpu")


class Clock:
    """A forward pass that takes a given time in float32 and in bfloat16; time stands still otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, plain: float, fast: float) -> None:
        self.now, self.plain, self.fast, self.passes = 0.0, plain, fast, 0
        monkeypatch.setattr(autocast.time, "perf_counter", lambda: self.now)

    def forward(self) -> dict[str, torch.Tensor]:
        coarse = torch.is_autocast_enabled("cpu")
        self.now += self.fast if coarse else self.plain
        self.passes += 1
        x = torch.linspace(0.1, 1, 12).reshape(3, 4)
        return {"features": x.bfloat16() if coarse else x}


@pytest.mark.parametrize(
    ("plain", "fast", "batches", "expected"),
    [
        (1.0, 0.4, 100, "bf16"),
        (1.0, 0.9, 100, "float32"),  # not fast enough to be worth another result
        (0.01, 0.001, 100, "float32"),  # done in a second anyway
        (9.0, 1.0, 3, "float32"),  # too few batches to measure
    ],
)
def test_auto_takes_bf16_where_it_pays(monkeypatch, plain: float, fast: float, batches: int, expected: str) -> None:
    clock = Clock(monkeypatch, plain, fast)
    chosen, agreement = autocast.choose(clock.forward, batches, "auto", CPU)
    assert chosen == expected
    assert bool(agreement) == (expected == "bf16")
    if batches == 3:
        assert clock.passes == 0


def test_agreement_is_that_of_the_batch(monkeypatch) -> None:
    clock = Clock(monkeypatch, 1, 1)
    chosen, agreement = autocast.choose(clock.forward, 1, "bf16", CPU)
    assert chosen == "bf16"
    x = torch.linspace(0.1, 1, 12).reshape(3, 4)
    cosine = torch.nn.functional.cosine_similarity(x.double(), x.bfloat16().double())
    assert agreement["features"]["min_cosine"] == pytest.approx(float(cosine.min()), abs=1e-7)
    assert 0 < agreement["features"]["max_length_error"] < 2**-7


def test_zero_vectors_agree_with_themselves() -> None:
    zeros = {"features": torch.zeros(2, 3)}
    _, agreement = autocast.choose(lambda: zeros, 1, "bf16", CPU)
    assert agreement["features"] == {"mean_cosine": 1.0, "min_cosine": 1.0, "max_length_error": 0.0}


def test_names_that_training_uses_are_understood() -> None:
    assert [autocast.check_precision(p) for p in ("auto", "32", "32-true", "bf16-mixed", "bf16")] == [
        "auto", "float32", "float32", "bf16", "bf16",
    ]  # fmt: skip
    with pytest.raises(InputError, match="float16"):
        autocast.check_precision("float16")
