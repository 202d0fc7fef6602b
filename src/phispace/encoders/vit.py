"""A small vision transformer for small images: patches of a few pixels, a class token, a handful of blocks."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.options import Count
from phispace.errors import InputError

Factor = Annotated[float, Field(gt=0)]
"""Width of a hidden layer as a multiple of its input's."""


class ViT(Encoder):
    """Patches as tokens, with a class token and fixed places, through timm's transformer blocks.

    Layers: `patches` (tokens of the patches), `block1` ... (after each block), both as maps (width, h, w) without the
    class token; `features`, after the last layer normalisation.

    Options:
        patch: side of a patch in pixels; the images' side must be a multiple of it.
        width: values of a token, a multiple of 4 and of the heads.
        depth: blocks.
        heads: of the attention.
        mlp: values of a block's hidden layer as a multiple of the width.
        pool: `features` are the mean of the patches' tokens, or the class token (cls).

    Places are the sines and cosines of He et al. 2022 (lightly's), not learnt; weights begin Glorot uniform as there.

    Attributes: `side`, patches in a row; `token`, values of a token.

    Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021; He et al., "Masked Autoencoders Are Scalable
    Vision Learners", 2022, appendix A.1.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        patch: Count = 4,
        width: Count = 192,
        depth: Count = 6,
        heads: Count = 3,
        mlp: Factor = 4.0,
        pool: Literal["mean", "cls"] = "mean",
    ) -> None:
        super().__init__(channels, size)
        if size % patch:
            raise InputError(f"Patches of {patch} pixels do not fill images of {size}; take a divisor of {size}.")
        self.patch, self.side, self.token = patch, size // patch, width
        self.stages["normalise"] = Normalise(channels)
        self.stages["patches"] = _Patches(channels, patch, width, self.side)
        for number in range(1, depth + 1):
            self.stages[f"block{number}"] = transformer_block(width, heads, mlp)
        last = _Pool(width, pool)
        self.stages["features"] = last
        self._norm = (last.norm,)  # a tuple: not registered twice
        start_transformer(self)

    def _taps(self, x: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        found = super()._taps(x, layers)
        return {name: self._as_map(value) if value.ndim == 3 else value for name, value in found.items()}

    def tokens(self, x: Tensor) -> Tensor:
        """(B, 1 + P, width): the class token and those of the P patches, row by row, of images (B, C, H, W)."""
        tokens: Tensor = self.stages["patches"](self.stages["normalise"](x))
        return tokens

    def encode(self, tokens: Tensor) -> Tensor:
        """Any tokens (B, T, width) of `tokens`, for example those of some patches, through the blocks and the last
        layer normalisation: the same shape."""
        for name, stage in self.stages.items():
            if name.startswith("block"):
                tokens = stage(tokens)
        encoded: Tensor = self._norm[0](tokens)
        return encoded

    def _as_map(self, tokens: Tensor) -> Tensor:
        count, width = tokens.shape[0], tokens.shape[2]
        return tokens[:, 1:].transpose(1, 2).reshape(count, width, self.side, self.side)


class _Patches(nn.Module):
    """Images (B, C, H, W) -> tokens (B, 1 + P, width) with their places added; the class token is at place 0."""

    places: Tensor

    def __init__(self, channels: int, patch: int, width: int, side: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(channels, width, patch, stride=patch)
        self.cls = nn.Parameter(torch.empty(1, 1, width))
        nn.init.normal_(self.cls, std=0.02)
        self.register_buffer("places", places(width, side, prefix=1))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        # `shape`, not `len`: an exported program takes any number of images.
        return torch.cat([self.cls.expand(tokens.shape[0], -1, -1), tokens], dim=1) + self.places


class _Pool(nn.Module):
    """Layer normalisation of each token, then one vector: (B, 1 + P, width) -> (B, width)."""

    def __init__(self, width: int, pool: str) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pool = pool

    def forward(self, tokens: Tensor) -> Tensor:
        if self.pool == "cls":
            return self.norm(tokens[:, 0])
        pooled: Tensor = self.norm(tokens[:, 1:]).mean(1)
        return pooled


def transformer_block(width: int, heads: int, mlp: float) -> nn.Module:
    """One pre-norm block on tokens (B, T, width): timm's, with biases of queries, keys and values.

    Raises:
        InputError: a width that the heads do not divide.
    """
    if width % heads:
        raise InputError(f"{heads} heads cannot share {width} values of a token; take a multiple of {heads}.")
    from timm.models.vision_transformer import Block

    block: nn.Module = Block(width, heads, mlp_ratio=mlp, qkv_bias=True)
    return block


def places(width: int, side: int, prefix: int = 0) -> Tensor:
    """(1, prefix + side², width): a code of each token's row and column, zeros for the first `prefix` ones.

    Raises:
        InputError: a width that is no multiple of 4.
    """
    if width % 4:
        raise InputError(f"The places of tokens are coded in sines and cosines of two axes, so {width} must be 4 n.")
    from lightly.models.utils import get_2d_sine_cosine_positional_embedding

    found = get_2d_sine_cosine_positional_embedding(width, side, num_prefix_tokens=prefix)
    return torch.from_numpy(found).float()[None]


def start_transformer(module: nn.Module) -> None:
    """Glorot uniform matrices (patches too, as the matrix that they are) and zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight.view(len(layer.weight), -1))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
