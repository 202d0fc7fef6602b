"""A decoder: codes to images, with the values before the last sigmoid at hand."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from phispace.encoders.base import Encoder
from phispace.errors import InputError

Output = Literal["sigmoid", "linear"]
Kind = Literal["auto", "mirror", "published"]


class Decoder(nn.Module):
    """Codes (B, D) -> images (B, C, H, W), with a sigmoid or a linear output.

    Args:
        body: codes (B, D) -> (B, C, H, W).
        output: `sigmoid` keeps the pixels in (0, 1); `linear` takes the body's values as pixels.
    """

    def __init__(self, body: nn.Module, output: Output = "sigmoid") -> None:
        super().__init__()
        self.body = body
        self.output = output

    def logits(self, codes: Tensor) -> Tensor:
        """float32 (B, C, H, W) before the output's sigmoid, for a cross-entropy that is exact at both ends."""
        values: Tensor = self.body(codes)
        return values.float()

    def forward(self, codes: Tensor) -> Tensor:
        """Images, float32 (B, C, H, W), of codes (B, D)."""
        values = self.logits(codes)
        return values.sigmoid() if self.output == "sigmoid" else values


def make_decoder(encoder: Encoder, kind: Kind = "auto", output: Output = "sigmoid") -> Decoder:
    """The way back from an encoder's `features`, with new weights (torch's global generator).

    Args:
        encoder: decides the sizes; its weights are not touched.
        kind: `published` is the decoder that was published with this encoder, `mirror` mirrors the encoder,
            `auto` is the published one where there is one.
        output: of the decoder.

    Raises:
        InputError: no published decoder, an encoder with no way back, or a decoder that does not give its images.
    """
    from phispace.methods.decoders.way_back import mirror_body

    body = None if kind == "mirror" else encoder.decoder()
    if body is None:
        if kind == "published":
            raise InputError(
                f"No decoder was published with {type(encoder).__name__}; use method.decoder=mirror, which mirrors it."
            )
        body = mirror_body(encoder)
    decoder = Decoder(body, output)
    with torch.no_grad():
        found = tuple(decoder.eval()(torch.zeros(1, encoder.width())).shape[1:])
    expected = (encoder.channels, encoder.size, encoder.size)
    if found != expected:
        raise InputError(f"The decoder of {type(encoder).__name__} gives images of {found}; {expected} is expected.")
    return decoder.train()
