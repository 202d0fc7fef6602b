"""The deep network of the published variational autoencoders."""

from __future__ import annotations

from phispace.encoders.options import Count, Widths
from phispace.encoders.vae_simple import VAESimple


class VAEDeep(VAESimple):
    """`VAESimple` with wider and more layers: conv 32, conv 128, dense 1024, 256 and 32, a linear code of 2.

    Layers and options: those of `VAESimple`.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        convolutions: Widths = (32, 128),
        dense: Widths = (1024, 256, 32),
        code: Count = 2,
    ) -> None:
        super().__init__(channels, size, convolutions=convolutions, dense=dense, code=code)
