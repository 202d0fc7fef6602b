"""What every view is, and the conversion that every view ends with."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from phispace.errors import InputError


def to_float(images: Tensor) -> Tensor:
    """uint8 (B, C, H, W) -> float32 (B, C, H, W) in [0, 1], channels_last in memory.

    Raises:
        InputError: not a uint8 batch of images.
    """
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise InputError(f"Views take uint8 images (B, C, H, W); got {images.dtype} {tuple(images.shape)}.")
    return images.to(torch.float32, memory_format=torch.channels_last).mul_(1 / 255)


class View:
    """A batched augmentation of square images of one size.

    Class attributes:
        OPTIONS: names of the keyword options.
    """

    OPTIONS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, size: int) -> None:
        if size < 1:
            raise InputError(f"A view needs images of at least 1 pixel; got size {size}.")
        self.size = size

    def __call__(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """A new view of each image.

        Args:
            images: uint8 (B, C, size, size).
            rng: CPU generator that all parameters are drawn from, the same number of draws for any content.

        Returns:
            float32 (B, C, size, size) in [0, 1], channels_last, on the device of the images.

        Raises:
            InputError: not uint8, or of another size.
        """
        if images.ndim != 4 or images.shape[2:] != (self.size, self.size):
            raise InputError(
                f"This view was made for images (B, C, {self.size}, {self.size}); got {tuple(images.shape)}."
            )
        if images.dtype != torch.uint8:
            raise InputError(f"Views take uint8 images; got {images.dtype}.")
        with torch.autocast(images.device.type, enabled=False):  # measuring in bf16 may surround this
            return self.augment(images, rng)

    def augment(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """What a subclass defines; the shapes are checked already."""
        raise NotImplementedError(f"{type(self).__name__} must define augment (abstract)")


class Unchanged(View):
    """The conversion alone."""

    def augment(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return to_float(images)


def check_number(name: str, value: object, most: float) -> float:
    """A number from 0 to `most`.

    Raises:
        InputError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= most:
        raise InputError(f"The option {name!r} is a number between 0 and {most:g}; got {value!r}.")
    return float(value)


def check_range(name: str, value: object, least: float, most: float) -> tuple[float, float]:
    """Two rising numbers between `least` and `most`.

    Raises:
        InputError: they are not.
    """
    pair = tuple(value) if isinstance(value, list | tuple) else ()
    numbers = [float(v) for v in pair if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(pair) != 2 or len(numbers) != 2 or not least <= numbers[0] <= numbers[1] <= most:
        raise InputError(f"The option {name!r} is two rising numbers between {least:g} and {most:g}; got {value!r}.")
    return numbers[0], numbers[1]
