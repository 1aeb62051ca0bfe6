"""The network: a small convolutional mask estimator over bands and time.

It looks at the level of mid and side in every bin, gathers the bins into bands (one matrix a
band), lets ten blocks of depthwise convolution over bands and time and a two-layer
perceptron over channels work on them (as in ConvNeXt, Liu et al. 2022), and turns each band
back into factors for its bins. The factors of the four stems sum to one. Being blind to the
sign of mid and side, it treats a song with swapped channels or turned polarity exactly alike,
and silence stays silence.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from training.settings import STEMS, Network, Spectrum

FLOOR = 1e-6
"""Power that counts as nothing: -60 dB below a bin of white noise as loud as the song."""


class Bands(nn.Module):
    """Bins to bands: a matrix of its own for every band."""

    def __init__(self, spectrum: Spectrum, channels: int) -> None:
        super().__init__()
        self.bands = spectrum.bands
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(count, 2 * width, channels) * (2 * width) ** -0.5)
            for count, width in spectrum.bands
        )
        self.bias = nn.Parameter(torch.zeros(sum(n for n, _ in spectrum.bands), 1, channels))

    def forward(self, levels: Tensor) -> Tensor:
        """(b, 2, bins, t) to (b, bands, t, channels)."""
        b, _, _, t = levels.shape
        found, start = [], 0
        for (count, width), weight in zip(self.bands, self.weights, strict=True):
            part = levels[:, :, start : start + count * width].reshape(b, 2, count, width, t)
            rows = part.permute(2, 0, 4, 1, 3).reshape(count, b * t, 2 * width)
            found.append(torch.bmm(rows, weight))
            start += count * width
        bands = torch.cat(found) + self.bias
        return bands.reshape(bands.shape[0], b, t, -1).transpose(0, 1)


class Factors(nn.Module):
    """Bands to bins: the logits of every stem but `other`, whose logit is zero."""

    def __init__(self, spectrum: Spectrum, channels: int) -> None:
        super().__init__()
        self.bands = spectrum.bands
        self.estimated = [i for i, stem in enumerate(STEMS) if stem != "other"]
        outputs = 2 * len(self.estimated)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, 2 * channels)
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(count, 2 * channels, outputs * width) * 0.02)
            for count, width in spectrum.bands
        )
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(count, 1, outputs * width)) for count, width in spectrum.bands
        )

    def forward(self, bands: Tensor) -> Tensor:
        """(b, bands, t, channels) to factors (b, 4, 2, bins, t)."""
        b, _, t, _ = bands.shape
        wide = torch.relu(self.widen(self.norm(bands))).transpose(0, 1)
        found, start = [], 0
        groups = zip(self.bands, self.weights, self.biases, strict=True)
        for (count, width), weight, bias in groups:
            rows = wide[start : start + count].reshape(count, b * t, -1)
            logits = (torch.bmm(rows, weight) + bias).reshape(count, b, t, -1, 2, width)
            found.append(logits.permute(1, 3, 4, 0, 5, 2).reshape(b, -1, 2, count * width, t))
            start += count
        logits = torch.cat(found, dim=3)
        parts = list(logits.unbind(1))
        parts.insert(STEMS.index("other"), torch.zeros_like(parts[0]))
        factors: Tensor = torch.softmax(torch.stack(parts, dim=1), dim=1)
        return factors


class Block(nn.Module):
    """Depthwise convolution over bands and time, then a perceptron over channels."""

    def __init__(self, settings: Network, dilation: int, bands: int | None) -> None:
        super().__init__()
        size, (high, wide) = settings.channels, settings.kernel
        self.dilation = dilation
        self.gather = nn.Conv2d(
            size, size, (high, wide), groups=size, padding=(high // 2, wide // 2)
        )
        self.norm = nn.LayerNorm(size)
        self.widen = nn.Linear(size, settings.expansion * size)
        self.narrow = nn.Linear(settings.expansion * size, size)
        self.scale = nn.Parameter(torch.full((size,), 0.2))
        self.mix = nn.Linear(bands, bands) if bands else None

    def forward(self, x: Tensor) -> Tensor:
        """(b, bands, t, channels) to the same shape."""
        y = self.norm(self._gathered(x))
        if self.mix is not None:
            y = y + self.mix(y.transpose(1, 3)).transpose(1, 3)
        more: Tensor = self.narrow(torch.relu(self.widen(y)))
        return x + self.scale * more

    def _gathered(self, x: Tensor) -> Tensor:
        """The convolution, dilated in time.

        Every `dilation`-th frame goes to a row of its own and the rows are convolved without
        dilation: the same sums as a dilated convolution's, several times faster to train on
        processors.
        """
        b, k, t, c = x.shape
        d = self.dilation
        rows = -(-t // d)
        folded = nn.functional.pad(x, (0, 0, 0, rows * d - t)).reshape(b, k, rows, d, c)
        folded = folded.permute(0, 3, 4, 1, 2).reshape(b * d, c, k, rows)
        near: Tensor = self.gather(folded.contiguous(memory_format=torch.channels_last))
        near = near.reshape(b, d, c, k, rows).permute(0, 3, 4, 1, 2)
        return near.reshape(b, k, rows * d, c)[:, :, :t]


class Pocket(nn.Module):
    """The whole network.

    Args:
        spectrum: the transform's settings.
        settings: the network's size.
    """

    def __init__(self, spectrum: Spectrum, settings: Network) -> None:
        super().__init__()
        self.spectrum = spectrum
        bands = sum(count for count, _ in spectrum.bands)
        if sum(count * width for count, width in spectrum.bands) != spectrum.bins:
            raise ValueError("the bands do not cover the bins exactly")
        self.enter = Bands(spectrum, settings.channels)
        self.blocks = nn.ModuleList(
            Block(settings, dilation, bands if i % settings.mix_every == 0 else None)
            for i, dilation in enumerate(settings.dilations)
        )
        self.leave = Factors(spectrum, settings.channels)
        sharing = torch.ones(spectrum.bins)
        sharing[spectrum.fine :] = spectrum.pool
        self.register_buffer("sharing", sharing[:, None], persistent=False)

    def factors(self, power: Tensor) -> Tensor:
        """The stems' factors.

        Args:
            power: of mid and side, summed over bins that share a factor, (b, 2, bins, t).

        Returns:
            Factors between 0 and 1 of shape (b, 4, 2, bins, t), summing to 1 over stems.
        """
        sharing = self.sharing
        assert isinstance(sharing, Tensor)  # noqa: S101 (buffers are typed Tensor | Module)
        x = self.enter(0.5 * torch.log10(power / sharing + FLOOR) + 1.0)
        for block in self.blocks:
            x = block(x)
        factors: Tensor = self.leave(x)
        return factors

    def forward(self, spec: Tensor) -> Tensor:
        """Separates a spectrogram, as exported.

        Args:
            spec: (b, 4, n_fft / 2, t): real and imaginary parts of left, then right, of a mix
                divided by its song's deviation.

        Returns:
            The stems' spectrograms, (b, 4 stems, 4, n_fft / 2, t), in the order of STEMS.
        """
        settings = self.spectrum
        seen = spec[:, :, : settings.top]
        left, right = seen[:, :2], seen[:, 2:]
        mid = (left + right).square().sum(dim=1, keepdim=True)
        side = (left - right).square().sum(dim=1, keepdim=True)
        power = torch.cat([mid, side], dim=1) * 0.25
        b, _, _, t = power.shape
        coarse = power[:, :, settings.fine :].reshape(b, 2, -1, settings.pool, t).sum(dim=3)
        factors = self.factors(torch.cat([power[:, :, : settings.fine], coarse], dim=2))
        # Mid and side back to left and right: what stays in its channel, what crosses over.
        mid, side = factors[:, :, :1], factors[:, :, 1:]
        stays, crosses = self._spread((mid + side) * 0.5), self._spread((mid - side) * 0.5)
        crossed = torch.cat([spec[:, 2:], spec[:, :2]], dim=1)
        return stays * spec.unsqueeze(1) + crosses * crossed.unsqueeze(1)

    def _spread(self, factors: Tensor) -> Tensor:
        """Factors for every bin of the transform: (b, 4, 1, bins, t) to (b, 4, 1, n_fft / 2, t)."""
        settings = self.spectrum
        b, stems, _, _, t = factors.shape
        coarse = factors[:, :, 0, settings.fine :]
        spread = coarse.unsqueeze(3).expand(-1, -1, -1, settings.pool, -1)
        spread = spread.reshape(b, stems, -1, t)
        last = coarse[:, :, -settings.bands[-1][1] // 4 :].mean(dim=2, keepdim=True)
        above = last.expand(-1, -1, settings.n_fft // 2 - settings.top, -1)
        return torch.cat([factors[:, :, 0, : settings.fine], spread, above], dim=2).unsqueeze(2)


def softened(network: Pocket, sharpness: float) -> Pocket:
    """A copy whose logits are multiplied by `sharpness`.

    Its factors are the network's own raised to that power, and brought back to a sum of one
    (temperature scaling: Guo et al. 2017, "On Calibration of Modern Neural Networks").
    """
    soft = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in (*soft.leave.weights, *soft.leave.biases):
            parameter.mul_(sharpness)
    return soft


def parameters_of(network: nn.Module) -> int:
    """The number of parameters."""
    return sum(p.numel() for p in network.parameters())
