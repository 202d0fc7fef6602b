"""What tests of methods with two views share: projections, formulas image by image in float64, short trainings."""

from __future__ import annotations

import learning
import numpy as np
import torch

from phispace.data.views.named import make_views
from phispace.methods.base import Batch, Method

TOLERANCE = 1e-5
VIEWS = "crop(crop=[0.4, 1.0], flip=0.0)"
"""For digits: no mirror images."""


def projections(items: int, width: int, seed: int = 0, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two related views' projections, (items, width) each, that want gradients."""
    rng = torch.Generator().manual_seed(seed)
    first = scale * torch.randn(items, width, generator=rng)
    second = first + 0.7 * scale * torch.randn(items, width, generator=rng)
    return first.requires_grad_(), second.requires_grad_()


def unit(x: torch.Tensor | np.ndarray) -> np.ndarray:
    """Rows of length 1, float64."""
    x = np.asarray(x.detach() if isinstance(x, torch.Tensor) else x, dtype=np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def slope(loss, at: torch.Tensor, step: float = 1e-4) -> np.ndarray:
    """The gradient of a float64 function of an array by central differences."""
    x = at.detach().double().numpy().copy()
    found = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        kept = x[place]
        x[place] = kept + step
        above = loss(x)
        x[place] = kept - step
        found[place] = (above - loss(x)) / (2 * step)
        x[place] = kept
    return found


def learn(method: Method, views: str = VIEWS) -> Method:
    """Train on scikit-learn's digits by the method's own optimiser, views and hooks; in evaluation mode afterwards."""
    made = method.train().configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    images, labels = learning.digits()
    pixels = (images[: learning.TRAIN] * 255).round().to(torch.uint8)
    both, step = make_views(views, 2, 8), 0
    type(method).global_step = property(lambda self: self.__dict__.get("_step", 0))  # no trainer counts here
    try:
        for epoch in range(method.config.epochs):
            order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(epoch))
            for chosen in order.split(method.config.batch_size):
                method.__dict__["_step"] = step
                rng = torch.Generator().manual_seed(step)
                seen = tuple(view(pixels[chosen], rng) for view in both)
                batch = Batch(seen, torch.from_numpy(labels[chosen.numpy()]), chosen)
                optimizer.zero_grad()
                method.training_step(batch, step)["loss"].backward()
                optimizer.step()
                schedule.step()
                step += 1
    finally:
        del type(method).global_step
    return method.eval()


@torch.no_grad()
def few_labels(method: Method, labelled: int = 2, draws: int = 20) -> float:
    """Mean accuracy of the nearest class mean (cosine) from a few labelled training images a class, on the others."""
    images, labels = learning.digits()
    codes = torch.from_numpy(unit(method.encoder(images).flatten(1)))
    found = []
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(learning.TRAIN)
        means = torch.stack([codes[order[labels[order] == k][:labelled]].mean(0) for k in range(10)])
        found.append(
            float(
                (codes[learning.TRAIN :] @ means.T)
                .argmax(1)
                .eq(torch.from_numpy(labels[learning.TRAIN :]))
                .float()
                .mean()
            )
        )
    return float(np.mean(found))
