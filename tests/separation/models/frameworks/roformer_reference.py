"""RoFormers step by step, as their papers have them: what the tests hold Octet's against.

Nothing here is shared with what it is compared to: pairs are turned as complex numbers, attention
is a softmax of products, masks are summed up frequency by frequency, the transform is PyTorch's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def separate(
    state: Mapping[str, torch.Tensor],
    mix: torch.Tensor,
    bands: Sequence[Sequence[int]],
    *,
    heads: int,
    n_fft: int,
    hop: int,
    skips: bool = False,
) -> torch.Tensor:
    """The stems (stems, 2, n) of a mix (2, n).

    Args:
        state: the weights, by their names in published checkpoints.
        mix: float32.
        bands: of each, the frequencies that it sees.
        heads: of attention.
        n_fft, hop: of the transform.
        skips: every round takes in the results of those before it.
    """
    window = torch.hann_window(n_fft)
    spec = torch.stft(mix, n_fft, hop, window=window, return_complex=True)
    x = _features(state, spec, bands)
    rounds = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
    results: list[torch.Tensor] = []
    for number in range(rounds):
        for result in results if skips else ():
            x = x + result
        for axis in (0, 1):  # along time, then along bands
            x = _transformer(state, f"layers.{number}.{axis}", x, heads).transpose(0, 1)
        results.append(x)
    if "final_norm.gamma" in state:
        x = _norm(x, state["final_norm.gamma"])
    stems = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("mask_"))
    masks = [_masks(state, f"mask_estimators.{stem}", x, bands, spec) for stem in range(stems)]
    made = [torch.istft(spec * m, n_fft, hop, window=window, length=mix.shape[-1]) for m in masks]
    return torch.stack(made)


def _features(
    state: Mapping[str, torch.Tensor], spec: torch.Tensor, bands: Sequence[Sequence[int]]
) -> torch.Tensor:
    """(bands, frames, dim)."""
    made = []
    for number, band in enumerate(bands):
        # For each frequency left and right, of each real and imaginary.
        seen = torch.view_as_real(spec[:, band]).permute(2, 1, 0, 3).flatten(1)
        name = f"band_split.to_features.{number}"
        made.append(_layer(state, f"{name}.1", _norm(seen, state[f"{name}.0.gamma"])))
    return torch.stack(made)


def _transformer(
    state: Mapping[str, torch.Tensor], name: str, x: torch.Tensor, heads: int
) -> torch.Tensor:
    number = 0
    while f"{name}.layers.{number}.0.norm.gamma" in state:
        layer = f"{name}.layers.{number}"
        x = x + _attention(state, f"{layer}.0", x, heads)
        hidden = _norm(x, state[f"{layer}.1.net.0.gamma"])
        hidden = torch.nn.functional.gelu(_layer(state, f"{layer}.1.net.1", hidden))
        x = x + _layer(state, f"{layer}.1.net.4", hidden)
        number += 1
    return _norm(x, state[f"{name}.norm.gamma"]) if f"{name}.norm.gamma" in state else x


def _attention(
    state: Mapping[str, torch.Tensor], name: str, x: torch.Tensor, heads: int
) -> torch.Tensor:
    x = _norm(x, state[f"{name}.norm.gamma"])
    query, key, value = (
        part.unflatten(-1, (heads, -1)).transpose(1, 2)
        for part in (x @ state[f"{name}.to_qkv.weight"].T).chunk(3, -1)
    )
    angles = torch.outer(torch.arange(x.shape[1]), state[f"{name}.rotary_embed.freqs"])
    turn = torch.polar(torch.ones_like(angles), angles)
    query, key = (
        torch.view_as_real(torch.view_as_complex(part.unflatten(-1, (-1, 2)).contiguous()) * turn)
        for part in (query, key)
    )
    likeness = query.flatten(-2) @ key.flatten(-2).transpose(-1, -2) / value.shape[-1] ** 0.5
    heard = likeness.softmax(-1) @ value
    gates = _layer(state, f"{name}.to_gates", x).sigmoid().transpose(1, 2)[..., None]
    heard = (heard * gates).transpose(1, 2).flatten(-2)
    out: torch.Tensor = heard @ state[f"{name}.to_out.0.weight"].T
    return out


def _masks(
    state: Mapping[str, torch.Tensor],
    name: str,
    x: torch.Tensor,
    bands: Sequence[Sequence[int]],
    spec: torch.Tensor,
) -> torch.Tensor:
    """One stem's mask, complex (2, bins, frames): the mean of those of all bands."""
    total, count = torch.zeros_like(spec), torch.zeros(spec.shape[1])
    for number, band in enumerate(bands):
        hidden, index = x[number], 0
        network = f"{name}.to_freqs.{number}.0"
        while f"{network}.{index + 2}.weight" in state:
            hidden = _layer(state, f"{network}.{index}", hidden).tanh()
            index += 2
        value, gate = _layer(state, f"{network}.{index}", hidden).chunk(2, -1)
        mask = (value * gate.sigmoid()).unflatten(-1, (len(band), 2, 2)).permute(2, 1, 0, 3)
        total[:, band] += torch.view_as_complex(mask.contiguous())
        count[band] += 1
    mean: torch.Tensor = total / count[:, None]
    return mean


def _norm(x: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
    normal: torch.Tensor = torch.nn.functional.normalize(x, dim=-1)
    return normal * math.sqrt(x.shape[-1]) * gamma


def _layer(state: Mapping[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])
