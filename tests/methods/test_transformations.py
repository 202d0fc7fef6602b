"""Auto-encoding transformations: the three losses, what the network sees, what is refused, what is learnt on digits."""

from __future__ import annotations

import learning
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from phispace.data.views.warp import warp
from phispace.methods.moved_points import homography, in_half_sides, in_pixels, square_grid
from phispace.methods.pretext import GREY
from phispace.methods.transformations import Transformations, TransformationsConfig, image_loss

SMALL = {"name": "nin", "width": 12}
KINDS = ["affine", "projective"]


def codes_of(method: Transformations, images: torch.Tensor) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    """What the decoder says in float64, and the drawn targets and matrices."""
    batch = learning.batch_of(images)
    drawn = method.draw(batch)
    with torch.no_grad():
        seen = [method.encoder(x).double().numpy() for x in (images, warp(images, drawn.matrices, GREY))]
    weight, bias = (p.detach().double().numpy() for p in (method.decoder.weight, method.decoder.bias))
    return np.concatenate(seen, axis=1) @ weight.T + bias, drawn.targets, drawn.matrices


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_parameters_is_the_formula(kind):
    """Affine through tanh, projective linear; largest difference 1e-7."""
    method = learning.make("transformations", SMALL, transformation=kind)
    images = learning.digits()[0][:40]
    said, targets, _ = codes_of(method, images)
    named = np.tanh(said) if kind == "affine" else said
    expected = ((targets.double().numpy() - named) ** 2).mean()
    with torch.no_grad():
        terms = method.loss_terms(learning.batch_of(images))
    assert float(terms["loss"]) == pytest.approx(expected, abs=1e-5)
    assert targets.shape == (40, 6 if kind == "affine" else 8)


@pytest.mark.parametrize("kind", KINDS)
def test_the_losses_of_places_and_pixels_are_the_formulas(kind):
    images = learning.digits()[0][:20]
    for loss in ("grid", "images"):
        method = learning.make("transformations", SMALL, transformation=kind, loss=loss, points=5)
        said, _, matrices = codes_of(method, images)
        with torch.no_grad():
            terms = method.loss_terms(learning.batch_of(images))
        named, true = homography(torch.from_numpy(said)), in_half_sides(matrices.double(), 8)
        places, pixels, apart = 0.0, 0.0, 0.0
        for i in range(20):
            for x, y in square_grid(5).double().numpy():
                p, q = (m[i].numpy() @ (x, y, 1.0) for m in (true, named))
                gap = p[:2] / p[2] - q[:2] / q[2]
                places += float((gap**2).sum()) / (2 * 20 * 25)
                apart += float(np.hypot(*gap)) * 4 / (20 * 25)
            maps = matrices[i : i + 1].double(), in_pixels(named[i : i + 1], 8)
            before, after = (warp(images[i : i + 1].double(), m, GREY) for m in maps)
            pixels += float(((before - after) ** 2).mean()) / 20
        assert float(terms["loss"]) == pytest.approx(places if loss == "grid" else pixels, abs=1e-5)
        assert float(terms["pixels"]) == pytest.approx(apart, abs=1e-4)


def test_the_distance_in_pixels_is_of_the_same_maps_whatever_the_loss():
    """Zero where the decoder names every map exactly."""
    images = learning.digits()[0][:30]
    for kind in KINDS:
        method = learning.make("transformations", SMALL, transformation=kind)
        targets = method.draw(learning.batch_of(images)).targets
        exact = targets.clamp(-0.999999, 0.999999).atanh() if kind == "affine" else targets
        method.decoder.forward = lambda _, exact=exact: exact
        with torch.no_grad():
            terms = method.loss_terms(learning.batch_of(images))
        # Shifts of 8 pixels round to 1.25 of their range, which tanh does not reach.
        assert float(terms["pixels"]) < (0.3 if kind == "affine" else 1e-4)
        assert float(terms["loss"]) < (0.01 if kind == "affine" else 1e-9)


def test_pixels_pull_the_named_map_towards_the_true_one():
    """The gradient of the loss of pixels by the map is that of finite differences, and leads down to nearly nothing."""
    images = torch.nn.functional.interpolate(learning.digits()[0][:4], size=32, mode="bicubic").clamp(0, 1).double()
    true = torch.eye(3).double().repeat(4, 1, 1)
    true[:, 0, 2], true[:, 1, 0] = 1.5, 0.1
    after = warp(images, true, GREY)
    # Beside the identity, where points lie on pixels and bilinear weights have a kink.
    offset = 0.01 * torch.randn((4, 6), generator=torch.Generator().manual_seed(0)).double()
    rows = (torch.eye(3).double()[:2].flatten() + offset).requires_grad_()

    def loss() -> torch.Tensor:
        return image_loss(images, after, in_pixels(homography(rows), 32))

    start = loss()
    start.backward()
    step = torch.zeros_like(rows)
    step[2, 1] = 1e-6
    with torch.no_grad():
        slope = (
            image_loss(images, after, in_pixels(homography(rows + step), 32))
            - image_loss(images, after, in_pixels(homography(rows - step), 32))
        ) / 2e-6
    assert float(rows.grad[2, 1]) == pytest.approx(float(slope), rel=1e-4)
    optimizer = torch.optim.Adam([rows], 0.01)
    for _ in range(150):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert float(loss().detach()) < 0.02 * float(start.detach())
    torch.testing.assert_close(in_pixels(homography(rows.detach()), 32), true, rtol=0, atol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_places_are_exact_in_bf16_too(kind):
    """What the network sees is the picture of float32, and a map that is named exactly is at no distance."""
    method = learning.make("transformations", SMALL, transformation=kind, shift=0.0 if kind == "affine" else None)
    images = torch.nn.functional.interpolate(learning.digits()[0][:30], size=32, mode="bicubic").clamp(0, 1)
    method.task = type(method.task)(1, 32, (), 30, 1)
    drawn = method.draw(learning.batch_of(images))
    exact = drawn.targets.clamp(-0.999999, 0.999999).atanh() if kind == "affine" else drawn.targets
    method.decoder.forward = lambda _: exact
    seen = []
    method.encoder.register_forward_hook(lambda _, x, out: seen.append(x[0]))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        terms = method.loss_terms(learning.batch_of(images))
    torch.testing.assert_close(seen[1], warp(images, drawn.matrices, GREY), rtol=0, atol=1e-6)
    assert float(terms["pixels"]) < 0.02


def test_both_images_come_from_the_same_crop_and_have_batch_statistics_of_their_own():
    method = learning.make("transformations", SMALL).train()
    seen = []
    method.encoder.register_forward_hook(lambda _, x, out: seen.append(x[0]))
    images = learning.digits()[0][:10]
    method.loss_terms(learning.batch_of(images))
    assert torch.equal(seen[0], images)
    torch.testing.assert_close(seen[1], warp(images, method.draw(learning.batch_of(images)).matrices, GREY))
    norm = next(m for m in method.encoder.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert int(norm.num_batches_tracked) == 2


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"scale": (1.3, 0.7)}, "lower and an upper"),
        ({"scale": (0.0, 1.0)}, "lower and an upper"),
        ({"transformation": "projective", "shift": 0.25}, "below a quarter"),
        ({"transformation": "elastic"}, "affine"),
        ({"points": 1}, "greater than or equal to 2"),
    ],
)
def test_ranges_that_make_no_map_are_refused(options, reason):
    with pytest.raises(ValidationError, match=reason):
        TransformationsConfig(**options)


def test_ranges_that_are_given_are_drawn_from():
    method = learning.make(
        "transformations", SMALL, transformation="affine", degrees=10.0, shift=0.0, scale=(1, 1), shear=0
    )
    matrices = method.draw(learning.batch_of(learning.digits()[0][:200])).matrices
    angles = torch.atan2(matrices[:, 0, 1], matrices[:, 0, 0]).rad2deg()
    assert angles.abs().max() < 10
    assert angles.std() > 5
    torch.testing.assert_close(matrices @ torch.tensor([4.0, 4.0, 1.0]), torch.tensor([4.0, 4.0, 1.0]).expand(200, 3))


def test_the_paper_presets_are_the_published_settings():
    for name, kind in (("paper", "projective"), ("paper-affine", "affine")):
        config = TransformationsConfig(**Transformations.presets[name]["method"])
        assert (config.transformation, config.batch_size, config.epochs) == (kind, 512, 1500)
        assert [share * 1500 for share, _ in config.drops] == pytest.approx([240, 480, 640, 800])
        assert config.tail * 1500 == pytest.approx(1000)
        assert config.learning_rate * config.rate_end == pytest.approx(1e-5)
        assert (config.weight_decay, config.decay_all, config.nesterov) == (5e-4, True, True)


def test_on_digits_it_names_maps_and_its_second_block_gains():
    """Two seeds: points nearer by a twentieth than a decoder puts them that always names the mean; neighbours in the
    second block by 2 points over the untrained network."""
    gains = []
    unseen = learning.batch_of(learning.digits()[0][learning.TRAIN :])
    for seed in (0, 1):
        method = learning.make(
            "transformations", {"name": "nin", "width": 24}, seed=seed, epochs=24, learning_rate=3e-3
        )
        before = learning.neighbours(method, "block2")
        learning.learn(method)
        gains.append(learning.neighbours(method, "block2") - before)
        with torch.no_grad():
            named = method.loss_terms(unseen)["pixels"]
            method.decoder.weight.zero_()
            method.decoder.bias.copy_(method.draw(unseen).targets.mean(0))
            assert named < 0.95 * method.loss_terms(unseen)["pixels"]
    assert np.mean(gains) > 0.02, gains
