"""The views of the modern self-supervised methods: crop, mirror, colours, grey, blur, solarise."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from phispace.data.views.base import View, check_number, check_range
from phispace.data.views.blur import gaussian_blur, kernel_size
from phispace.data.views.colour import grey_, jitter, solarise_
from phispace.data.views.crop import Crops, draw_crops, resized_crop

SIGMA = (0.1, 2.0)


class Draws(NamedTuple):
    """What is done to each image.

    crops and flips (B,): see `resized_crop`. jittered, greyed, blurred, solarised: bool (B,).
    factors (4, B): brightness, contrast, saturation, hue. order: int64 (B, 4). sigma (B,): of the blur, in pixels.
    """

    crops: Crops
    flips: Tensor
    jittered: Tensor
    factors: Tensor
    order: Tensor
    greyed: Tensor
    blurred: Tensor
    sigma: Tensor
    solarised: Tensor


class Distort(View):
    """A random resized crop, mirrored by chance; then, each by chance, jittered colours, grey, blur, solarised.

    The order of these is the published one. Images that have not three channels keep the crop, the mirror, brightness,
    contrast, blur and solarising; saturation, hue and grey mean nothing there.

    Options:
        crop: range of the crop's share of the image's area.
        ratio: range of the crop's width / height.
        flip: share of the images that are mirrored left to right.
        brightness, contrast, saturation: factors are in [max(0, 1 - value), 1 + value].
        hue: turns of the hue are in [-value, value] of the whole circle.
        jitter: share of the images whose colours are jittered, in a random order of the four.
        grey: share of the images that lose their colours.
        blur: share that is blurred, with a deviation of 0.1 to 2 pixels over a tenth of the side.
        solarise: share whose values of at least 1/2 are inverted.

    Source: SimCLR (Chen et al. 2020), appendix A; BYOL (Grill et al. 2020), table 6.
    """

    OPTIONS: ClassVar[tuple[str, ...]] = (
        "crop", "ratio", "flip", "brightness", "contrast", "saturation", "hue", "jitter", "grey", "blur", "solarise",
    )  # fmt: skip

    def __init__(
        self,
        size: int,
        crop: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: float = 0.5,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
        jitter: float = 0.0,
        grey: float = 0.0,
        blur: float = 0.0,
        solarise: float = 0.0,
    ) -> None:
        super().__init__(size)
        self.crop = check_range("crop", crop, 0.001, 1)
        self.ratio = check_range("ratio", ratio, 0.05, 20)
        self.flip = check_number("flip", flip, 1)
        self.strength = (
            check_number("brightness", brightness, 10),
            check_number("contrast", contrast, 10),
            check_number("saturation", saturation, 10),
            check_number("hue", hue, 0.5),
        )
        self.jitter = check_number("jitter", jitter, 1)
        self.grey = check_number("grey", grey, 1)
        self.blur = check_number("blur", blur, 1)
        self.solarise = check_number("solarise", solarise, 1)

    def draw(self, count: int, rng: torch.Generator) -> Draws:
        """The parameters for `count` images; the number of draws depends on `count` alone."""
        crops = draw_crops(count, self.size, rng, self.crop, self.ratio)
        chance = torch.rand((6, count), generator=rng)
        amount = torch.rand((4, count), generator=rng)
        order = torch.rand((count, 4), generator=rng).argsort(1)
        most = torch.tensor(self.strength)[:, None]
        low = torch.cat([(1 - most[:3]).clamp_min(0), -most[3:]])
        high = torch.cat([1 + most[:3], most[3:]])
        return Draws(
            crops=crops,
            flips=chance[0] < self.flip,
            jittered=chance[1] < self.jitter,
            factors=low + (high - low) * amount,
            order=order,
            greyed=chance[2] < self.grey,
            blurred=chance[3] < self.blur,
            sigma=SIGMA[0] + (SIGMA[1] - SIGMA[0]) * chance[4],
            solarised=chance[5] < self.solarise,
        )

    def augment(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return self.apply(images, self.draw(len(images), rng))

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The views that these parameters make of uint8 images (B, C, size, size)."""
        x = resized_crop(images, draws.crops, draws.flips)
        coloured = images.shape[1] == 3
        kept = [strength > 0 and (coloured or number < 2) for number, strength in enumerate(self.strength)]
        if self.jitter and any(kept):
            factors = [factor if keep else None for factor, keep in zip(draws.factors, kept, strict=True)]
            x = jitter(x, factors, draws.order, draws.jittered)
        if self.grey and coloured:
            some = _where(draws.greyed, x)
            x[some] = grey_(x.index_select(0, some))
        if self.blur:
            some = _where(draws.blurred, x)
            x[some] = gaussian_blur(x.index_select(0, some), draws.sigma.to(x)[some], kernel_size(self.size))
        if self.solarise:
            some = _where(draws.solarised, x)
            x[some] = solarise_(x.index_select(0, some))
        return x.clamp_(0, 1).contiguous(memory_format=torch.channels_last)


def _where(chosen: Tensor, images: Tensor) -> Tensor:
    return chosen.nonzero()[:, 0].to(images.device)
