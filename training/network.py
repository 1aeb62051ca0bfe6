"""The network: a convolutional U-Net over bands and time that estimates masks.

It looks at the level of mid and side in every bin, gathers the bins into 64 bands (one matrix
a band), works on bands and time at four resolutions (Ronneberger et al. 2015, with the blocks
of He et al. 2016), mixes all bands in every block (as the "time-distributed fully connected"
layers of Choi et al. 2020 do), and turns each band back into factors for its bins. The factors
of the four stems sum to one. Being blind to the sign of mid and side, it treats a song with
swapped channels or turned polarity exactly alike, and silence stays silence.
"""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor, nn

from training.settings import ESTIMATED, STEMS, Network, Spectrum

FLOOR = 1e-6
"""Power that counts as nothing: -60 dB below a bin of white noise as loud as the song."""

SILENCE = -2.0
"""The level of nothing, as the network sees it: half the logarithm of FLOOR, plus 1."""


class Bands(nn.Module):
    """Bins to bands: a matrix of its own for every band."""

    def __init__(self, spectrum: Spectrum, channels: int, inputs: int = 2) -> None:
        super().__init__()
        self.bands = spectrum.bands
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(count, inputs * width, channels) * (inputs * width) ** -0.5)
            for count, width in spectrum.bands
        )
        self.bias = nn.Parameter(torch.zeros(sum(n for n, _ in spectrum.bands), 1, channels))

    def forward(self, levels: Tensor) -> Tensor:
        """(b, inputs, bins, t) to (b, bands, t, channels)."""
        b, inputs, _, t = levels.shape
        found, start = [], 0
        for (count, width), weight in zip(self.bands, self.weights, strict=True):
            part = levels[:, :, start : start + count * width].reshape(b, inputs, count, width, t)
            rows = part.permute(2, 0, 4, 1, 3).reshape(count, b * t, inputs * width)
            found.append(torch.bmm(rows, weight))
            start += count * width
        bands = torch.cat(found) + self.bias
        return bands.reshape(bands.shape[0], b, t, -1).transpose(0, 1)


class Factors(nn.Module):
    """Bands to bins: the logits of every stem but `other`, whose logit is zero.

    What the network found in a band meets the levels of the band's own bins, now, and those of
    mid a little earlier and later: too much detail to go through the network.
    """

    NEAR = 2
    """Frames from now to earlier, and to later."""

    def __init__(self, spectrum: Spectrum, channels: int, wide: int) -> None:
        super().__init__()
        self.bands = spectrum.bands
        outputs = 2 * len(ESTIMATED)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, wide)
        self.detail = Bands(spectrum, wide, inputs=4)
        for weight in self.detail.weights:
            nn.init.zeros_(weight)
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(count, wide, outputs * width) * 0.02)
            for count, width in spectrum.bands
        )
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(count, 1, outputs * width)) for count, width in spectrum.bands
        )

    def forward(self, bands: Tensor, levels: Tensor) -> Tensor:
        """(b, bands, t, channels) and (b, 2, bins, t) to factors (b, 4, 2, bins, t)."""
        b, _, t, _ = bands.shape
        earlier = nn.functional.pad(levels[:, :1], (self.NEAR, -self.NEAR), value=SILENCE)
        later = nn.functional.pad(levels[:, :1], (-self.NEAR, self.NEAR), value=SILENCE)
        detail = self.detail(torch.cat([levels, earlier, later], dim=1))
        wide = torch.relu(self.widen(self.norm(bands)) + detail).transpose(0, 1)
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


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of every band and frame, (b, channels, bands, t).

    Batch normalisation, tried first, kept the statistics of the training songs, and strangers'
    songs have others: their drums lost 0.6 dB by that alone.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        if torch.compiler.is_exporting():
            return self._spelt_out(x)
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def _spelt_out(self, x: Tensor) -> Tensor:
        """The same sums without moving the channels: a quarter faster in OpenVINO."""
        centred = x - x.mean(dim=1, keepdim=True)
        deviation = (centred.square().mean(dim=1, keepdim=True) + self.eps).sqrt()
        return centred / deviation * self.weight[:, None, None] + self.bias[:, None, None]


class Block(nn.Module):
    """Two convolutions around their input, and a matrix over all bands."""

    def __init__(self, channels: int, bands: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = ChannelNorm(channels)
        self.second = nn.Conv2d(
            channels, channels, 3, padding=(1, dilation), dilation=(1, dilation), bias=False
        )
        self.second_norm = ChannelNorm(channels)
        self.mix = nn.Linear(bands, bands)

    def forward(self, x: Tensor) -> Tensor:
        """(b, channels, bands, t) to the same shape."""
        y = torch.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y)) + self._mixed(y)
        return torch.relu(x + y)

    def _mixed(self, y: Tensor) -> Tensor:
        """Every band as a weighted sum of all, in the order of memory that training uses."""
        b, c, k, t = y.shape
        rows = y.permute(0, 2, 3, 1).reshape(b, k, t * c)
        mixed = self.mix.weight @ rows + self.mix.bias[:, None]
        return mixed.reshape(b, k, t, c).permute(0, 3, 1, 2)


class Pocket(nn.Module):
    """The whole network.

    Args:
        spectrum: the transform's settings.
        settings: the network's size.
    """

    def __init__(self, spectrum: Spectrum, settings: Network) -> None:
        super().__init__()
        self.spectrum = spectrum
        self.gain = 1.0
        bands = sum(count for count, _ in spectrum.bands)
        if sum(count * width for count, width in spectrum.bands) != spectrum.bins:
            raise ValueError("the bands do not cover the bins exactly")
        sizes = settings.channels
        self.halvings = len(sizes) - 1
        if bands % 2**self.halvings:
            raise ValueError(f"{bands} bands cannot be halved {self.halvings} times")
        heights = [bands >> level for level in range(len(sizes))]
        pairs = list(itertools.pairwise(sizes))
        around = list(zip(sizes, heights, strict=True))[:-1]
        self.enter = Bands(spectrum, sizes[0])
        self.before = nn.ModuleList(Block(size, height) for size, height in around)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.middle = nn.Sequential(*(Block(sizes[-1], heights[-1], d) for d in settings.dilations))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairs)
        self.after = nn.ModuleList(Block(size, height) for size, height in around)
        self.leave = Factors(spectrum, sizes[0], settings.wide)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch does not type it
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
        frames = power.shape[-1]
        power = nn.functional.pad(power, (0, -frames % 2**self.halvings))
        levels = 0.5 * torch.log10(power * self.gain**2 / sharing + FLOOR) + 1.0
        x = self.enter(levels).permute(0, 3, 1, 2)
        seen = []
        for block, down in zip(self.before, self.down, strict=True):
            x = block(x)
            seen.append(x)
            x = down(x)
        x = self.middle(x)
        back = list(zip(self.up, seen, self.after, strict=True))
        for up, skip, block in reversed(back):
            x = block(up(x) + skip)
        factors: Tensor = self.leave(x.permute(0, 2, 3, 1), levels)
        return factors[..., :frames]

    def forward(self, spec: Tensor) -> Tensor:
        """Separates a spectrogram, as exported.

        Args:
            spec: (b, 4, n_fft / 2, t): real and imaginary parts of left, then right, of a mix
                divided by its song's deviation.

        Returns:
            The stems' spectrograms, (b, 3 stems, 4, n_fft / 2, t), in the order of ESTIMATED.
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
        factors = factors[:, [STEMS.index(stem) for stem in ESTIMATED]]
        # Mid and side back to left and right: what stays in its channel, what crosses over.
        mid, side = factors[:, :, :1], factors[:, :, 1:]
        stays, crosses = self._spread((mid + side) * 0.5), self._spread((mid - side) * 0.5)
        crossed = torch.cat([spec[:, 2:], spec[:, :2]], dim=1)
        return stays * spec.unsqueeze(1) + crosses * crossed.unsqueeze(1)

    def _spread(self, factors: Tensor) -> Tensor:
        """Factors for every bin of the transform: (b, 3, 1, bins, t) to (b, 3, 1, n_fft / 2, t)."""
        settings = self.spectrum
        b, stems, _, _, t = factors.shape
        coarse = factors[:, :, 0, settings.fine :]
        spread = coarse.unsqueeze(3).expand(-1, -1, -1, settings.pool, -1)
        spread = spread.reshape(b, stems, -1, t)
        last = coarse[:, :, -settings.bands[-1][1] // 4 :].mean(dim=2, keepdim=True)
        above = last.expand(-1, -1, settings.n_fft // 2 - settings.top, -1)
        return torch.cat([factors[:, :, 0, : settings.fine], spread, above], dim=2).unsqueeze(2)


def calibrated(network: Pocket, sharpness: float, gain: float) -> Pocket:
    """A copy that is less sure of itself, and hears its input at another level.

    Args:
        network: the trained network.
        sharpness: multiplies the logits: factors are the network's own raised to that power,
            and brought back to a sum of one (temperature scaling: Guo et al. 2017, "On
            Calibration of Modern Neural Networks").
        gain: of what the network looks at; what it scales stays as it is.
    """
    copied = copy.deepcopy(network)
    copied.gain = network.gain * gain
    with torch.no_grad():
        for parameter in (*copied.leave.weights, *copied.leave.biases):
            parameter.mul_(sharpness)
    return copied


def parameters_of(network: nn.Module) -> int:
    """The number of parameters."""
    return sum(p.numel() for p in network.parameters())
