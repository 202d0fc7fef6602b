"""The generator of DCGAN: codes to images by transposed convolutions."""

from __future__ import annotations

from torch import Tensor, nn

from phispace.encoders.dcgan import dcgan_start_, halved
from phispace.encoders.norm import BatchNorm2d
from phispace.encoders.upward import Unflatten


class Generator(nn.Module):
    """Codes (B, D) -> images (B, C, size, size) in [0, 1].

    A matrix to the smallest map, then transposed convolutions 4x4 of stride 2, each with half the channels, batch
    normalisation and ReLU but after the last, which ends in (tanh + 1) / 2.

    Args:
        code: D.
        channels, size: of the images; the sides met on the way are those of the discriminator in reverse.
        width: channels before the last convolution.

    Source: Radford, Metz and Chintala 2016 (arXiv 1511.06434), section 3 and figure 1; their tanh's range -1 to 1 is
    the images' range 0 to 1.
    """

    def __init__(self, code: int, channels: int, size: int, width: int) -> None:
        super().__init__()
        sides = halved(size)[::-1]
        inputs = width * 2 ** (len(sides) - 2)
        parts: list[nn.Module] = [
            nn.Linear(code, inputs * sides[0] ** 2, bias=False),
            Unflatten((inputs, sides[0], sides[0])),
            BatchNorm2d(inputs, eps=1e-5, momentum=0.1),
            nn.ReLU(inplace=True),
        ]
        for _ in sides[1:-1]:
            parts += [
                nn.ConvTranspose2d(inputs, inputs // 2, 4, stride=2, padding=1, bias=False),
                BatchNorm2d(inputs // 2, eps=1e-5, momentum=0.1),
                nn.ReLU(inplace=True),
            ]
            inputs //= 2
        parts += [nn.ConvTranspose2d(inputs, channels, 4, stride=2, padding=1), nn.Tanh()]
        self.code = code
        self.body = nn.Sequential(*parts)
        dcgan_start_(self)

    def forward(self, codes: Tensor) -> Tensor:
        """float32 images, whatever precision the network computes in."""
        values: Tensor = self.body(codes)
        return (values.float() + 1) / 2
