"""The way from a vector to a map and from a small map to a large one, for decoders."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Upsample(nn.Module):
    """(B, C, h, w) -> (B, C, *size): pixel i becomes the pixels i s ... i s + s - 1, where a stride of s took it from.

    What a pooling left over at the border (the last row of 11 when it went to 5) repeats the last pixel; what a stride
    rounded up (7 to 4) is cut off.
    """

    def __init__(self, scale: tuple[int, int], size: tuple[int, int]) -> None:
        super().__init__()
        self.scale = (float(scale[0]), float(scale[1]))
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        # Not `interpolate(size=...)`: where they do not divide, it spreads the surplus over the whole side.
        x = F.interpolate(x, scale_factor=self.scale, mode="nearest")
        rows, columns = self.size[0] - x.shape[2], self.size[1] - x.shape[3]
        if rows > 0 or columns > 0:
            x = F.pad(x, (0, max(columns, 0), 0, max(rows, 0)), mode="replicate")
        return x[:, :, : self.size[0], : self.size[1]] if rows < 0 or columns < 0 else x

    def extra_repr(self) -> str:
        return f"scale={self.scale}, size={self.size}"


class Unflatten(nn.Module):
    """(B, h w C) -> (B, C, h, w), lying channels_last in memory: no copy for the convolution that follows."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        channels, height, width = self.shape
        return x.reshape(-1, height, width, channels).permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        return f"shape={self.shape}"
