"""What BS-RoFormer and Mel-Band RoFormer share: bands, attention along time and along bands, masks.

W.-T. Lu, J.-C. Wang, Q. Kong, Y.-N. Hung: "Music Source Separation with Band-Split RoPE
Transformer", arXiv 2309.02612; J.-C. Wang, W.-T. Lu, M. Won: "Mel-Band RoFormer for Music Source
Separation", arXiv 2310.01809; J. Su and others: "RoFormer", arXiv 2104.09864 (the rotation).

Modules bear the names that they have in published checkpoints. What is computed is the same as
there, in an order that suits processors: features stay where they are, (batch, frames, bands,
dim), and only queries, keys and values are turned to the axis along which is attended.

Importing this needs PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from octet.separation.models.frameworks.bands import Bands

_TINY = 1e-26
"""Keeps silence from being divided by zero. Published networks bound the norm, by 1e-12."""

_TIME, _BANDS = 1, 2
"""The axes of (batch, frames, bands, dim)."""


@dataclass(frozen=True)
class Size:
    """How large a network is, and which of two ways it takes where the two kinds differ.

    Attributes:
        dim: features of a band in a frame.
        depth: how often is attended along time and along bands.
        stems: how many are estimated.
        heads, head: of attention, and the features of each; the latter an even number.
        time_layers, band_layers: of attention, each time.
        mask_layers: hidden layers of the networks that make masks.
        expansion: how many times `dim` such a layer has.
        norms: whether every pass along an axis ends in a norm, instead of one in the end.
        skips: whether every round takes in the results of all before it.
    """

    dim: int
    depth: int
    stems: int
    heads: int = 8
    head: int = 64
    time_layers: int = 2
    band_layers: int = 2
    mask_layers: int = 1
    expansion: int = 4
    norms: bool = False
    skips: bool = False


class Roformer(nn.Module):
    """The network between a spectrum and those of its stems.

    Args:
        size: how large it is.
        bands: which frequencies each band sees.
        silent_dc: stems have nothing at 0 Hz.
    """

    def __init__(self, size: Size, bands: Bands, *, silent_dc: bool = False) -> None:
        super().__init__()
        self._bands, self._skips, self._silent_dc = bands, size.skips, silent_dc
        # One for all layers of a kind, as in published checkpoints.
        along_time, along_bands = Rotary(size.head), Rotary(size.head)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                (
                    Transformer(size, size.time_layers, along_time, _TIME),
                    Transformer(size, size.band_layers, along_bands, _BANDS),
                )
            )
            for _ in range(size.depth)
        )
        self.final_norm = nn.Identity() if size.norms else RmsNorm(size.dim)
        # A frequency is four numbers: left real, left imaginary, right real, right imaginary.
        widths = [4 * width for width in bands.widths]
        self.band_split = BandSplit(widths, size.dim)
        self.mask_estimators = nn.ModuleList(MaskEstimator(size, widths) for _ in range(size.stems))

    def forward(self, spec: torch.Tensor) -> torch.Tensor:
        """The stems' spectra.

        Args:
            spec: (b, 4, bins, frames), of any scale: left real, left imaginary, right real,
                right imaginary.

        Returns:
            (b, stems, 4, bins, frames), in the same scale.
        """
        x = self.band_split(self._gathered(spec.permute(0, 3, 2, 1)).flatten(2))
        before: list[torch.Tensor] = []
        for pair in self.layers:
            x = sum(before, x) if self._skips else x
            for along in cast("nn.ModuleList", pair):
                x = along(x)
            before = [*before, x] if self._skips else before
        x = self.final_norm(x)
        masks = torch.stack([estimate(x) for estimate in self.mask_estimators], 1)
        return self._applied(self._joined(masks), spec)

    def _gathered(self, spec: torch.Tensor) -> torch.Tensor:
        """(b, frames, bins, 4) as the bands see it, one after the other."""
        if self._bands.apart:
            return spec
        return spec.index_select(2, torch.tensor(self._bands.seen, device=spec.device))

    def _joined(self, masks: torch.Tensor) -> torch.Tensor:
        """Masks of all bands, (b, stems, frames, n), as one for each frequency: the bands' mean.

        Returns:
            (b, stems, frames, bins, 4).
        """
        masks = torch.unflatten(masks, -1, (-1, 4))
        if self._bands.apart:
            return masks
        total: torch.Tensor | None = None
        for places, shares in zip(self._bands.places, self._bands.shares, strict=True):
            part = masks.index_select(3, torch.tensor(places, device=masks.device))
            part = part * torch.tensor(shares, device=masks.device)[:, None]
            total = part if total is None else total + part
        assert total is not None  # noqa: S101  # every frequency is in a band
        return total

    def _applied(self, masks: torch.Tensor, spec: torch.Tensor) -> torch.Tensor:
        """The complex product of masks (b, stems, frames, bins, 4) and spectra (b, 4, bins, n)."""
        masks = torch.unflatten(masks.permute(0, 1, 4, 3, 2), 2, (2, 2))
        real, imaginary = masks.unbind(3)
        given_real, given_imaginary = torch.unflatten(spec, 1, (1, 2, 2)).unbind(3)
        stems = torch.stack(
            (
                given_real * real - given_imaginary * imaginary,
                given_real * imaginary + given_imaginary * real,
            ),
            3,
        ).flatten(2, 3)
        if self._silent_dc:
            stems = torch.cat((torch.zeros_like(stems[..., :1, :]), stems[..., 1:, :]), -2)
        return stems


class RmsNorm(nn.Module):
    """Features divided by the root of their mean square, times a gain each."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Over the last axis."""
        # A sum, as so few numbers need no mean in two steps (octet.separation.models.norms).
        squares = x.float().square().sum(-1, keepdim=True)
        return x * torch.rsqrt(squares / x.shape[-1] + _TINY) * self.gamma


class Rotary(nn.Module):
    """The angles by which queries and keys are turned at each position."""

    def __init__(self, head: int) -> None:
        super().__init__()
        self.freqs = nn.Parameter(10000 ** (-torch.arange(0, head, 2) / head), requires_grad=False)

    def forward(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines, (length, head), those of a pair half a head apart."""
        positions = torch.arange(length, device=self.freqs.device, dtype=self.freqs.dtype)
        angles = positions[:, None] * self.freqs
        angles = torch.cat((angles, angles), -1)
        return angles.cos(), angles.sin()


class Attention(nn.Module):
    """Attention along one axis, each head's result behind a gate."""

    def __init__(self, size: Size, rotary: Rotary, axis: int) -> None:
        super().__init__()
        self._heads, self._head, self._axis = size.heads, size.head, axis
        inner = size.heads * size.head
        self.rotary_embed = rotary
        self.norm = RmsNorm(size.dim)
        self.to_qkv = nn.Linear(size.dim, 3 * inner, bias=False)
        self.to_gates = nn.Linear(size.dim, size.heads)
        self.to_out = nn.Sequential(nn.Linear(inner, size.dim, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, frames, bands, dim), and so returned."""
        x = self.norm(x)
        three = functional.linear(x, self._halved())
        three = torch.unflatten(three, -1, (3, self._heads, self._head))
        # (3, b, the other axis, heads, the axis to attend along, head)
        other = _TIME + _BANDS - self._axis
        three = three.permute(3, 0, other, 4, self._axis, 5)
        shape = three.shape[1:]
        query, key, value = three.flatten(1, 2).unbind(0)
        cos, sin = self.rotary_embed(query.shape[-2])
        query, key = _rotated(query, cos, sin), _rotated(key, cos, sin)
        heard = functional.scaled_dot_product_attention(query, key, value).reshape(shape)
        # And back: (b, frames, bands, heads, head).
        order = (0, 3, 1, 2, 4) if self._axis == _TIME else (0, 1, 3, 2, 4)
        heard = heard.permute(*order) * self.to_gates(x).sigmoid()[..., None]
        out: torch.Tensor = self.to_out(heard.flatten(-2))
        return out

    def _halved(self) -> torch.Tensor:
        """The weights of queries, keys and values, the former two in another order.

        Checkpoints turn neighbouring features together. Which features are turned together does
        not matter to attention, where they are in the same order in queries and keys; and halves
        of a head are turned faster than neighbours.
        """
        inner = self._heads * self._head
        turned, value = torch.split(self.to_qkv.weight, [2 * inner, inner])
        pairs = torch.unflatten(turned, 0, (-1, self._head // 2, 2))
        return torch.cat((pairs.transpose(1, 2).flatten(0, 2), value))


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """(..., n, head) turned, each half by the other."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


class FeedForward(nn.Module):
    """Two layers on each band of each frame."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        # The fourth is a dropout in training.
        self.net = nn.Sequential(
            RmsNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Identity(), nn.Linear(4 * dim, dim)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., dim), and so returned."""
        out: torch.Tensor = self.net(x)
        return out


class Transformer(nn.Module):
    """Layers of attention along one axis, and of two-layer networks between them."""

    def __init__(self, size: Size, layers: int, rotary: Rotary, axis: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList((Attention(size, rotary, axis), FeedForward(size.dim)))
            for _ in range(layers)
        )
        self.norm = RmsNorm(size.dim) if size.norms else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, frames, bands, dim), and so returned."""
        for layer in self.layers:
            for part in cast("nn.ModuleList", layer):  # attention, and a network of two layers
                x = x + part(x)
        out: torch.Tensor = self.norm(x)
        return out


class BandSplit(nn.Module):
    """Features of each band out of its frequencies."""

    def __init__(self, widths: list[int], dim: int) -> None:
        super().__init__()
        self._widths = widths
        self.to_features = nn.ModuleList(
            nn.Sequential(RmsNorm(width), nn.Linear(width, dim)) for width in widths
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, frames, all widths) to (b, frames, bands, dim)."""
        parts = zip(torch.split(x, self._widths, -1), self.to_features, strict=True)
        return torch.stack([features(part) for part, features in parts], 2)


class MaskEstimator(nn.Module):
    """One stem's masks of all bands."""

    def __init__(self, size: Size, widths: list[int]) -> None:
        super().__init__()
        self.to_freqs = nn.ModuleList(
            nn.Sequential(_mask_network(size, width), nn.GLU(-1)) for width in widths
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, frames, bands, dim) to (b, frames, all widths)."""
        bands = zip(x.unbind(2), self.to_freqs, strict=True)
        return torch.cat([network(band) for band, network in bands], -1)


def _mask_network(size: Size, width: int) -> nn.Sequential:
    sizes = [size.dim, *[size.dim * size.expansion] * size.mask_layers]
    hidden: list[nn.Module] = []
    for given, made in pairwise(sizes):
        hidden += [nn.Linear(given, made), nn.Tanh()]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], 2 * width))
