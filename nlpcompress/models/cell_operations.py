"""The operations that edges of cells are made of, by the names that DARTS's code has for them.

Source: Liu et al. 2019 (DARTS), section 3.1 and the released code: separable convolutions twice,
dilated ones once, each after a ReLU and before a norm.
Differs: norms have scales while a network is searched, and follow poolings afterwards too, so that
an operation that is left computes what it did.
"""

from collections.abc import Callable

from torch import Tensor, nn


class Separable(nn.Sequential):
    """A filter of each channel and a product of channels, so many `times`."""

    def __init__(
        self, channels: int, stride: int, *, kernel: int, dilation: int = 1, times: int = 1
    ) -> None:
        layers: list[nn.Module] = []
        for time in range(times):
            own = stride if time == 0 else 1
            layers += [
                nn.ReLU(),
                nn.Conv2d(
                    channels,
                    channels,
                    kernel,
                    own,
                    padding=dilation * (kernel // 2),
                    dilation=dilation,
                    groups=channels,
                    bias=False,
                ),
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
            ]
        super().__init__(*layers)


class Pool(nn.Sequential):
    """The greatest or the mean of three by three."""

    def __init__(self, channels: int, stride: int, *, greatest: bool) -> None:
        pool = (
            nn.MaxPool2d(3, stride, 1)
            if greatest
            else nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        )
        super().__init__(pool, nn.BatchNorm2d(channels))


class Skip(nn.Module):
    """The maps as they are, or at half the sides by a product of channels."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        narrow = [nn.ReLU(), nn.Conv2d(channels, channels, 1, stride, bias=False)]
        layers = [*narrow, nn.BatchNorm2d(channels)] if stride > 1 else []
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: Tensor) -> Tensor:
        """`(B, C, H, W)`."""
        return self.layers(maps)


class Nothing(nn.Module):
    """Zeros, of which an edge may be."""

    def __init__(self, _: int, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, maps: Tensor) -> Tensor:
        """`(B, C, H, W)`."""
        return maps[:, :, :: self.stride, :: self.stride] * 0


OPERATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "none": Nothing,
    "max_pool_3x3": lambda channels, stride: Pool(channels, stride, greatest=True),
    "avg_pool_3x3": lambda channels, stride: Pool(channels, stride, greatest=False),
    "skip_connect": Skip,
    "sep_conv_3x3": lambda channels, stride: Separable(channels, stride, kernel=3, times=2),
    "sep_conv_5x5": lambda channels, stride: Separable(channels, stride, kernel=5, times=2),
    "dil_conv_3x3": lambda channels, stride: Separable(channels, stride, kernel=3, dilation=2),
    "dil_conv_5x5": lambda channels, stride: Separable(channels, stride, kernel=5, dilation=2),
}
"""Name → what makes it, of channels and stride."""
