"""The supervised loss against the formula, unknown labels, heads and prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phispace.encoders.build import build_encoder
from phispace.errors import InputError
from phispace.methods.base import Batch, Task
from phispace.methods.supervised import Supervised, accuracy, cross_entropy


def by_hand(logits: np.ndarray, labels: np.ndarray, smoothing: float) -> float:
    """The formula of the module, image by image."""
    total, count = 0.0, 0
    for z, y in zip(logits.astype(np.float64), labels, strict=True):
        if y < 0:
            continue
        log_p = z - z.max() - np.log(np.exp(z - z.max()).sum())
        q = np.full(len(z), smoothing / len(z))
        q[y] += 1 - smoothing
        total -= float((q * log_p).sum())
        count += 1
    return total / max(count, 1)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 9),
    classes=st.integers(1, 6),
    smoothing=st.sampled_from([0.0, 0.1, 0.2, 0.9]),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    seed=st.integers(0, 1000),
)
def test_the_loss_is_the_formula(rows, classes, smoothing, scale, seed):
    rng = np.random.default_rng(seed)
    logits = (scale * rng.standard_normal((rows, classes))).astype(np.float32)
    labels = rng.integers(-1, classes, rows)
    ours = cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), smoothing)
    assert float(ours) == pytest.approx(by_hand(logits, labels, smoothing), rel=1e-5, abs=1e-5)


def task(size: int = 8, classes: int = 10) -> Task:
    return Task(1, size, tuple(map(str, range(classes))), 64, 1)


def made(**options) -> Supervised:
    torch.manual_seed(0)
    return Supervised(build_encoder("mlp", 1, 8, hidden=(32,)), Supervised.Config(**options), task())


def data(labels: torch.Tensor) -> Batch:
    x = torch.rand((len(labels), 1, 8, 8), generator=torch.Generator().manual_seed(1))
    return Batch((x,), labels, torch.arange(len(labels)))


@pytest.mark.parametrize("head", ["linear", "linear-bn", "linear-no-bias"])
def test_a_batch_without_labels_gives_zero_and_zero_gradient(head):
    method = made(head=head, label_smoothing=0.1)
    terms = method.loss_terms(data(torch.full((6,), -1)))
    terms["loss"].backward()
    assert float(terms["loss"].detach()) == 0.0
    assert float(terms["accuracy"]) == 0.0
    for weight in method.parameters():
        assert weight.grad is not None
        assert (weight.grad == 0).all()


def test_unknown_labels_do_not_dilute_the_loss():
    method = made().eval()
    labels = torch.tensor([1, -1, 2, -1])
    batch = data(labels)
    known = labels >= 0
    part = Batch((batch.views[0][known],), labels[known], batch.index[known])
    torch.testing.assert_close(method.loss_terms(batch)["loss"], method.loss_terms(part)["loss"])


def test_accuracy_counts_known_labels():
    logits = torch.eye(4)
    assert float(accuracy(logits, torch.tensor([0, 1, 0, -1]))) == pytest.approx(2 / 3)
    assert float(accuracy(logits, torch.full((4,), -1))) == 0.0


def test_the_logits_are_scaled():
    one, two = made().eval(), made(logit_scale=0.25).eval()
    x = data(torch.arange(4)).views[0]
    torch.testing.assert_close(one.predict(x) * 0.25, two.predict(x))


def test_mirror_prediction_does_not_see_left_from_right():
    x = data(torch.arange(5)).views[0]
    for test_time in ("mirror", "mirror-shift"):
        method = made(test_time=test_time).eval()
        assert method.predict(x).shape == (5, 10)
    method = made(test_time="mirror").eval()
    torch.testing.assert_close(method.predict(x), method.predict(x.flip(-1)))
    plain = made().eval()
    torch.testing.assert_close(method.predict(x), (plain.predict(x) + plain.predict(x.flip(-1))) / 2)
    assert not torch.allclose(plain.predict(x), plain.predict(x.flip(-1)))


def test_shifted_prediction_is_the_published_average():
    """Half from the image, a quarter from each of two shifts by one pixel, all mirrored too (arXiv 2404.00498)."""
    method, plain = made(test_time="mirror-shift").eval(), made(test_time="mirror").eval()
    x = data(torch.arange(3)).views[0]
    rows = torch.tensor([1, 0, 1, 2, 3, 4, 5, 6])
    up_left = x[:, :, rows][:, :, :, rows]
    rows = torch.tensor([1, 2, 3, 4, 5, 6, 7, 6])
    down_right = x[:, :, rows][:, :, :, rows]
    expected = 0.5 * plain.predict(x) + 0.25 * plain.predict(up_left) + 0.25 * plain.predict(down_right)
    torch.testing.assert_close(method.predict(x), expected)


def test_the_keras_preset_is_the_study():
    method = Supervised.presets["keras"]["method"]
    config = Supervised.Config(**method)
    assert (config.optimizer, config.learning_rate, config.beta1, config.beta2, config.epsilon) == (
        "adam",
        1e-3,
        0.9,
        0.999,
        1e-8,
    )
    assert (config.batch_size, config.epochs, config.schedule, config.weight_decay) == (32, 100, "constant", 0.0)
    built = Supervised(build_encoder("convnet4", 3, 32), config, Task(3, 32, tuple("0123456789"), 45000, 1407))
    kinds = [type(m).__name__ for m in built.head]
    assert kinds == ["Flatten", "Linear", "BatchNorm1d"]
    assert built.head[2].eps == 1e-3


def test_one_image_in_a_training_batch_is_no_crash():
    method = made(head="linear-bn").train()
    assert method.loss_terms(data(torch.tensor([3])))["loss"].isfinite()


def test_images_without_classes_are_refused():
    with pytest.raises(InputError, match="classes"):
        Supervised(build_encoder("mlp", 1, 8), Supervised.Config(), Task(1, 8, (), 64, 1))
