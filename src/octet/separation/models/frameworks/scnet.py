"""SCNet, from the spectrum of a song to those of its stems.

Tong, Zhu, Chen, Kang, Jiang, Li, Wu, Meng: "SCNet: Sparse Compression Network for Music Source
Separation", ICASSP 2024, arXiv 2401.13276. Three bands of the spectrum are compressed by different
factors, the low one not at all; between encoder and decoder, layers of two LSTMs each (along
frequency, then along time) work in turn on time and on the spectrum of time. Parameters are named
as in the authors' checkpoints.

Importing this needs PyTorch.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from octet.errors import ModelDamagedError
from octet.separation.models.spec import StftSpec

if TYPE_CHECKING:
    from octet.separation.models.frameworks.config import Config
    from octet.separation.models.spec import About, ModelSpec

BANDS = 3


@dataclass(frozen=True)
class _Band:
    """One of the three parts of the spectrum.

    Attributes:
        upto: the share of frequencies below its upper end.
        stride: how many frequencies become one.
        kernel: of the convolution that does so.
        depth: layers that follow.
    """

    upto: float
    stride: int
    kernel: int
    depth: int

    def padding(self, length: int) -> tuple[int, int]:
        """Zeros before and after a band of so many frequencies, so that nothing is left over."""
        total = self.kernel - 1 if self.stride == 1 else -length % self.stride
        return total // 2, total - total // 2

    def compressed(self, length: int) -> int:
        """How many frequencies are left of `length`."""
        return (length + sum(self.padding(length)) - self.kernel) // self.stride + 1


@dataclass(frozen=True)
class _Shape:
    """The numbers of a network."""

    dims: tuple[int, ...]
    bands: tuple[_Band, ...]
    compress: int
    kernel: int
    layers: int
    expand: int

    def lengths(self, bins: int) -> list[int]:
        """How many frequencies each band has of so many."""
        ends = [0, *(min(math.ceil(bins * band.upto), bins) for band in self.bands)]
        ends[-1] = bins
        return [end - start for start, end in itertools.pairwise(ends)]


def build(config: Config, about: About) -> tuple[nn.Module, ModelSpec]:
    """See `octet.separation.models.frameworks.architectures.Architecture.build`."""
    options = config.options()
    options.ignore("sources")  # which `training.instruments` names, too
    n_fft = options.whole("nfft", 64, 2**14)
    hop = options.whole("hop_size", 16, 2**13)
    options.whole("win_size", n_fft, n_fft, n_fft)
    options.whole("audio_channels", 2, 2, 2)
    normalized = options.flag("normalized", True)
    shape = _shape(config)
    for name in _NAMES:
        options.ignore(name)
    options.close()
    # The Fourier transform along time wants an even number of frames, and one is centred on
    # the segment's end: an odd number of hops, of which the last one is not the segment's alone.
    hops = config.segment // hop + 1
    hops += 1 - hops % 2
    spec = config.describe(
        about,
        # The authors name no window to PyTorch, which then takes none.
        StftSpec(n_fft, hop, "center", n_fft // 2 + 1, "rectangular"),
        tail=hops * hop - config.segment,
    )
    scale = 1.0 if normalized else math.sqrt(n_fft)
    return ScNet(shape, len(config.sources), n_fft // 2 + 1, hops + 1, scale), spec


_NAMES = (
    *("dims", "band_SR", "band_stride", "band_kernel", "conv_depths"),
    *("compress", "conv_kernel", "num_dplayer", "expand"),
)


def _shape(config: Config) -> _Shape:
    options = config.options()
    shares = options.numbers("band_SR", 0.001, 1, count=BANDS)
    strides = options.wholes("band_stride", 1, 64, count=BANDS)
    kernels = options.wholes("band_kernel", 1, 64, count=BANDS)
    depths = options.wholes("conv_depths", 1, 16, count=BANDS)
    if sum(shares) > 1.001 or any(k < s for k, s in zip(kernels, strides, strict=True)):
        raise ModelDamagedError(f"{config.file}: the bands of the network do not fit together")
    upto = (shares[0], shares[0] + shares[1], 1.0)
    bands = tuple(_Band(*band) for band in zip(upto, strides, kernels, depths, strict=True))
    shape = _Shape(
        dims=options.wholes("dims", 4, 1024),
        bands=bands,
        compress=options.whole("compress", 1, 64, 4),
        kernel=options.whole("conv_kernel", 1, 15, 3),
        layers=options.whole("num_dplayer", 2, 32, 6),
        expand=options.whole("expand", 1, 8, 1),
    )
    fits = (
        2 <= len(shape.dims) <= 8
        and shape.dims[0] == 4
        and min(shape.dims) >= shape.compress
        and shape.kernel % 2 == 1
        and shape.layers % 2 == 0
    )
    if not fits:
        raise ModelDamagedError(f"{config.file}: the sizes of the network do not fit together")
    return shape


class ScNet(nn.Module):
    """The network. Takes (b, 4, bins, frames), gives (b, S, 4, bins, frames), float32.

    Args:
        shape: its numbers.
        sources: how many stems.
        bins: of the spectrum.
        frames: of a segment, an even number.
        scale: what the spectrum is multiplied by before, and divided by after.

    Raises:
        ModelDamagedError: a band has no frequencies left.
    """

    def __init__(
        self, shape: _Shape, sources: int, bins: int, frames: int, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.scale = scale
        self.encoder = nn.ModuleList()
        decoder: list[nn.Module] = []
        for index, (taken, given) in enumerate(itertools.pairwise(shape.dims)):
            lengths = shape.lengths(bins)
            squeezed = [
                band.compressed(length) if length else 0
                for band, length in zip(shape.bands, lengths, strict=True)
            ]
            if min(squeezed) < 1:
                raise ModelDamagedError("the network's bands have no frequencies left")
            self.encoder.append(_Encoder(shape, taken, given, lengths))
            back = taken if index else taken * sources
            decoder.append(nn.Sequential(_Fusion(given), _Widen(shape, given, back, lengths)))
            bins = sum(squeezed)
        self.separation_net = _Separation(shape, frames)
        self.decoder = nn.ModuleList(reversed(decoder))

    def forward(self, spec: torch.Tensor) -> torch.Tensor:
        """(b, 4, bins, frames) -> (b, S, 4, bins, frames)."""
        x = spec * self.scale
        skips = []
        for encoder in self.encoder:
            x, skip = encoder(x)
            skips.append(skip)
        x = self.separation_net(x)
        for decoder in self.decoder:
            x = decoder(x + skips.pop())
        batch, _, bins, frames = x.shape
        stems: torch.Tensor = (x / self.scale).reshape(batch, -1, 4, bins, frames)
        return stems


class _Encoder(nn.Module):
    """Compresses the bands, each by its own factor, and joins them to one spectrum."""

    def __init__(self, shape: _Shape, taken: int, given: int, lengths: list[int]) -> None:
        super().__init__()
        self.SDlayer = _Squeeze(shape, taken, given, lengths)
        self.conv_modules = nn.ModuleList(
            _Residual(given, band.depth, shape.compress, shape.kernel) for band in shape.bands
        )
        self.globalconv = nn.Conv2d(given, given, 3, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The spectrum after and before the convolution over all bands."""
        bands = zip(self.SDlayer(x), self.conv_modules, strict=True)
        skip = torch.cat([functional.gelu(residual(band)) for band, residual in bands], dim=2)
        return self.globalconv(skip), skip


class _Squeeze(nn.Module):
    """One convolution along frequency for each band."""

    def __init__(self, shape: _Shape, taken: int, given: int, lengths: list[int]) -> None:
        super().__init__()
        self.lengths = lengths
        self.pads = [band.padding(n) for band, n in zip(shape.bands, lengths, strict=True)]
        self.convs = nn.ModuleList(
            nn.Conv2d(taken, given, (band.kernel, 1), (band.stride, 1)) for band in shape.bands
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(b, taken, bins, frames) -> for each band (b, given, fewer bins, frames)."""
        parts = zip(self.convs, torch.split(x, self.lengths, dim=2), self.pads, strict=True)
        return [conv(functional.pad(part, (0, 0, *pads))) for conv, part, pads in parts]


class _Residual(nn.Module):
    """Small convolutions along time, the same for each frequency, added to their input."""

    def __init__(self, channels: int, depth: int, compress: int, kernel: int) -> None:
        super().__init__()
        hidden = channels // compress
        around = kernel // 2
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, channels),
                nn.Conv1d(channels, 2 * hidden, kernel, padding=around),
                nn.GLU(1),
                nn.Conv1d(hidden, hidden, kernel, padding=around, groups=hidden),
                nn.GroupNorm(1, hidden),
                nn.SiLU(),
                nn.Conv1d(hidden, channels, 1),
            )
            for _ in range(depth)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, channels, bins, frames) -> the same."""
        batch, channels, bins, frames = x.shape
        rows = x.transpose(1, 2).reshape(batch * bins, channels, frames)
        for layer in self.layers:
            rows = rows + layer(rows)
        return rows.reshape(batch, bins, channels, frames).transpose(1, 2)


class _Fusion(nn.Module):
    """A gated convolution of what comes up with what was kept on the way down."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, channels, bins, frames) -> the same."""
        # The authors hand the input over twice: one convolution with both weights' sum does it.
        one, other = self.conv.weight.chunk(2, dim=1)
        gated = functional.conv2d(x, one + other, self.conv.bias, padding=1)
        return functional.glu(gated, dim=1)


class _Widen(nn.Module):
    """One transposed convolution along frequency for each band, cut to the length it had."""

    def __init__(self, shape: _Shape, taken: int, given: int, lengths: list[int]) -> None:
        super().__init__()
        self.lengths = lengths
        self.squeezed = [b.compressed(n) for b, n in zip(shape.bands, lengths, strict=True)]
        self.convtrs = nn.ModuleList(
            nn.ConvTranspose2d(taken, given, (band.kernel, 1), (band.stride, 1))
            for band in shape.bands
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, taken, fewer bins, frames) -> (b, given, bins, frames)."""
        bands = []
        for conv, part, length in zip(
            self.convtrs, torch.split(x, self.squeezed, dim=2), self.lengths, strict=True
        ):
            wide = conv(part)
            start = abs(length - wide.shape[2]) // 2
            bands.append(wide[:, :, start : start + length])
        return torch.cat(bands, dim=2)


class _Separation(nn.Module):
    """Pairs of layers: one on the frames, one on their Fourier transform along time."""

    def __init__(self, shape: _Shape, frames: int) -> None:
        super().__init__()
        channels = shape.dims[-1]
        self.dp_modules = nn.ModuleList(
            _DualPath(channels * (1 + index % 2), shape.expand) for index in range(shape.layers)
        )
        self.turn = _TimeFourier(frames)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, channels, bins, frames) -> the same."""
        for index, layer in enumerate(self.dp_modules):
            x = layer(x)
            x = self.turn.back(x) if index % 2 else self.turn.forth(x)
        return x


class _DualPath(nn.Module):
    """An LSTM along frequency and one along time, each added to its input."""

    def __init__(self, channels: int, expand: int) -> None:
        super().__init__()
        hidden = channels * expand
        self.lstm_layers = nn.ModuleList(
            nn.LSTM(channels, hidden, bidirectional=True, batch_first=True) for _ in range(2)
        )
        self.linear_layers = nn.ModuleList(nn.Linear(2 * hidden, channels) for _ in range(2))
        self.norm_layers = nn.ModuleList(nn.GroupNorm(1, channels) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, channels, bins, frames) -> the same."""
        batch, channels, bins, frames = x.shape
        rows = self.norm_layers[0](x).permute(0, 3, 2, 1).reshape(batch * frames, bins, channels)
        rows = self.linear_layers[0](self.lstm_layers[0](rows)[0])
        x = x + rows.reshape(batch, frames, bins, channels).permute(0, 3, 2, 1)
        rows = self.norm_layers[1](x).permute(0, 2, 3, 1).reshape(batch * bins, frames, channels)
        rows = self.linear_layers[1](self.lstm_layers[1](rows)[0])
        added: torch.Tensor = rows.reshape(batch, bins, frames, channels).permute(0, 3, 1, 2)
        return x + added


class _TimeFourier(nn.Module):
    """The unitary Fourier transform along time, as products with its matrices.

    Real and imaginary parts lie behind each other in the channels. A product is what every
    runtime has, and takes a small part of the LSTMs' time.
    """

    real: torch.Tensor
    imaginary: torch.Tensor
    from_real: torch.Tensor
    from_imaginary: torch.Tensor

    def __init__(self, frames: int) -> None:
        super().__init__()
        half = frames // 2 + 1
        turns = np.outer(np.arange(frames), np.arange(half)) % frames * (2 * np.pi / frames)
        # All but the first and the last frequency stand for two.
        twice = np.full(half, 2.0)
        twice[[0, -1]] = 1.0
        scale = 1 / np.sqrt(frames)
        for name, matrix in (
            ("real", np.cos(turns) * scale),
            ("imaginary", -np.sin(turns) * scale),
            ("from_real", (np.cos(turns) * scale * twice).T),
            ("from_imaginary", (-np.sin(turns) * scale * twice).T),
        ):
            tensor = torch.tensor(np.ascontiguousarray(matrix), dtype=torch.float32)
            self.register_buffer(name, tensor, persistent=False)

    def forth(self, x: torch.Tensor) -> torch.Tensor:
        """(..., channels, bins, frames) -> (..., 2 * channels, bins, frames / 2 + 1)."""
        return torch.cat([x @ self.real, x @ self.imaginary], dim=-3)

    def back(self, x: torch.Tensor) -> torch.Tensor:
        """The inverse."""
        real, imaginary = x.chunk(2, dim=-3)
        return real @ self.from_real + imaginary @ self.from_imaginary
