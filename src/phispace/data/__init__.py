"""Images: the sources by name, and any path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phispace.registry import Registry

if TYPE_CHECKING:
    from phispace.data.loading import load_images

__all__ = ["REGISTRY", "load_images"]

REGISTRY = Registry(
    "images",
    {
        "digits": "phispace.data.digits:Digits",
        "sprites": "phispace.data.sprites:Sprites",
        "cells": "phispace.data.cells:Cells",
        "cifar10": "phispace.data.cifar:Cifar10",
        "cifar100": "phispace.data.cifar:Cifar100",
        "mnist": "phispace.data.mnist:Mnist",
        "fashion-mnist": "phispace.data.mnist:FashionMnist",
        "stl10": "phispace.data.stl10:Stl10",
        "svhn": "phispace.data.svhn:Svhn",
    },
)


def __getattr__(name: str) -> Any:
    """Import `load_images` when it is first asked for (PEP 562), so that the registry alone loads nothing heavy."""
    if name == "load_images":
        from phispace.data.loading import load_images

        return load_images
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
