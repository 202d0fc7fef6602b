"""A short training of a method on scikit-learn's digits in a plain loop, and what tests ask of the outcome."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from phispace.encoders.build import build_encoder
from phispace.methods import REGISTRY
from phispace.methods.base import Batch, Method, Task

TRAIN = 1200


@cache
def digits() -> tuple[torch.Tensor, np.ndarray]:
    """Images (1797, 1, 8, 8) in [0, 1] and labels; the first 1,200 are for training."""
    found = load_digits()
    return torch.from_numpy(found.images / 16).float()[:, None], found.target


def batch_of(images: torch.Tensor, first: int = 0) -> Batch:
    """Images as a batch of one view, without labels."""
    return Batch((images,), torch.full((len(images),), -1), torch.arange(first, first + len(images)))


def make(name: str, encoder: dict[str, object], seed: int = 0, **options: object) -> Method:
    """A method around an encoder with the statistics of the digits."""
    torch.manual_seed(seed)
    kind = REGISTRY.get(name)
    network = build_encoder(str(encoder["name"]), 1, 8, **{k: v for k, v in encoder.items() if k != "name"})
    images = (digits()[0][:TRAIN].permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)
    network.initialise(images, torch.Generator().manual_seed(seed))
    config = kind.Config(**{"epochs": 10, "batch_size": 100, **options})
    return kind(network, config, Task(1, 8, (), TRAIN, TRAIN // config.batch_size)).eval()


def learn(method: Method) -> Method:
    """Train by the method's own optimiser for its epochs; in evaluation mode afterwards."""
    made = method.train().configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    images, step = digits()[0][:TRAIN], 0
    type(method).global_step = property(lambda self: self.__dict__.get("_step", 0))  # no trainer counts here
    try:
        for epoch in range(method.config.epochs):
            order = torch.randperm(TRAIN, generator=torch.Generator().manual_seed(epoch))
            for chosen in order.split(method.config.batch_size):
                method.__dict__["_step"] = step
                optimizer.zero_grad()
                method.loss_terms(Batch((images[chosen],), torch.full((len(chosen),), -1), chosen))["loss"].backward()
                optimizer.step()
                schedule.step()
                step += 1
    finally:
        del type(method).global_step
    return method.eval()


@torch.no_grad()
def neighbours(method: Method, layer: str = "features") -> float:
    """Accuracy of 5 nearest neighbours among a layer's values, training images to the rest."""
    images, labels = digits()
    codes = method.encoder(images, layer).flatten(1).numpy()
    found = KNeighborsClassifier(5).fit(codes[:TRAIN], labels[:TRAIN])
    return float(found.score(codes[TRAIN:], labels[TRAIN:]))


@torch.no_grad()
def error(method: Method) -> float:
    """Mean squared error of the reconstructions of images that were not trained on."""
    images = digits()[0][TRAIN:]
    return float((method.reconstruct(images) - images).square().mean())


def mean_image_error() -> float:
    """The same of the mean training image."""
    images = digits()[0]
    return float((images[:TRAIN].mean(0) - images[TRAIN:]).square().mean())


def principal_components_error(count: int) -> float:
    """The same of as many principal components of the training images."""
    from sklearn.decomposition import PCA

    images = digits()[0].flatten(1).numpy()
    pca = PCA(count, random_state=0).fit(images[:TRAIN])
    rest = images[TRAIN:]
    return float(((pca.inverse_transform(pca.transform(rest)) - rest) ** 2).mean())
