"""Tiny SCNet checkpoints with their YAML, and what such a network makes of a song, worked out anew.

The reference follows the paper and the published names of the weights with PyTorch's functions
alone: its own transforms, its own LSTMs, the Fourier transform along time by `torch.fft`.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from octet.separation.models.frameworks.config import Config

torch: Any = pytest.importorskip("torch", reason="needs the extra `models`: pip install torch")
functional: Any = pytest.importorskip("torch.nn.functional")

from octet.separation.models.frameworks.scnet import build  # noqa: E402  # needs torch
from octet.separation.models.spec import About  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

N_FFT, HOP = 256, 64
SEGMENT = 9_990
"""Not a whole number of hops: silence follows until the frames are an even number."""
SHARES, STRIDES, KERNELS, DEPTHS = (0.175, 0.392, 0.433), (1, 4, 16), (3, 4, 16), (2, 1, 1)
SOURCES = ("drums", "bass", "other", "vocals")


def content(**model: Any) -> dict[str, Any]:
    """What the YAML file of a tiny network holds."""
    numbers = {
        "sources": list(SOURCES),
        "audio_channels": 2,
        "dims": [4, 8, 16],
        "nfft": N_FFT,
        "hop_size": HOP,
        "win_size": N_FFT,
        "normalized": True,
        "band_SR": list(SHARES),
        "band_stride": list(STRIDES),
        "band_kernel": list(KERNELS),
        "conv_depths": list(DEPTHS),
        "compress": 4,
        "conv_kernel": 3,
        "num_dplayer": 2,
        "expand": 1,
    }
    return {
        "audio": {"chunk_size": SEGMENT, "num_channels": 2, "sample_rate": 44_100},
        "model": numbers | model,
        "training": {"instruments": list(SOURCES), "target_instrument": None, "lr": 0.0005},
        "inference": {"num_overlap": 4, "normalize": False},
        "licence": "MIT",
    }


def network(seed: int = 0, **model: Any) -> Any:
    """A network with weights at random, none of them at a value that would hide it."""
    torch.manual_seed(seed)
    made, _ = build(Config.read("tiny.yaml", content(**model)), About("tiny"))
    for name, weight in made.named_parameters():
        if weight.ndim == 1:
            torch.nn.init.normal_(weight, 1.0 if "norm" in name or ".4." in name else 0.0, 0.1)
    return made.eval()


def folder(path: Path, state: Any, description: dict[str, Any] | None = None) -> Path:
    """A folder with a checkpoint as safetensors, and its YAML."""
    save_file = pytest.importorskip("safetensors.torch").save_file
    path.mkdir()
    save_file(dict(state), path / "tiny.safetensors")
    (path / "tiny.yaml").write_text(yaml.safe_dump(description or content()), encoding="utf-8")
    return path


def reference(state: dict[str, Any], mix: Any, layers: int = 2) -> Any:
    """The stems (S, 2, n) of a segment (2, n)."""
    length = mix.shape[-1]
    silence = HOP - length % HOP
    if (length + silence) // HOP % 2 == 0:
        silence += HOP
    mix = functional.pad(mix, (0, silence))
    transform = {"n_fft": N_FFT, "hop_length": HOP, "normalized": True}
    transform["window"] = torch.ones(N_FFT)
    spectra = torch.view_as_real(torch.stft(mix, **transform, return_complex=True))
    x = spectra.permute(0, 3, 1, 2).reshape(1, 4, *spectra.shape[1:3])
    kept = []
    for index in range(2):
        sizes = _sizes(x.shape[2])
        at = f"encoder.{index}"
        bands = []
        for band, given in enumerate(x.split(sizes, dim=2)):
            part = _squeeze(partial(_get, state, f"{at}.SDlayer.convs.{band}"), given, band)
            for layer in range(DEPTHS[band]):
                get = partial(_get, state, f"{at}.conv_modules.{band}.layers.{layer}")
                part += _residual(get, part)
            bands.append(functional.gelu(part))
        kept.append((torch.cat(bands, 2), [band.shape[2] for band in bands], sizes))
        x = functional.conv2d(kept[-1][0], *_pair(state, f"{at}.globalconv"), padding=1)
    for layer in range(layers):
        x = _dual_path(state, f"separation_net.dp_modules.{layer}", x)
        if layer % 2:
            half = x.shape[1] // 2
            x = torch.fft.irfft(torch.complex(x[:, :half], x[:, half:]), dim=3, norm="ortho")
        else:
            turned = torch.fft.rfft(x, dim=3, norm="ortho")
            x = torch.cat([turned.real, turned.imag], dim=1)
    for index in range(2):
        skip, squeezed, sizes = kept.pop()
        x = torch.cat([x + skip, x + skip], dim=1)
        x = functional.conv2d(x, *_pair(state, f"decoder.{index}.0.conv"), padding=1)
        x = functional.glu(x, dim=1)
        wide = []
        for band, part in enumerate(x.split(squeezed, dim=2)):
            weights = _pair(state, f"decoder.{index}.1.convtrs.{band}")
            full = functional.conv_transpose2d(part, *weights, stride=(STRIDES[band], 1))
            wide.append(full.narrow(2, (full.shape[2] - sizes[band]) // 2, sizes[band]))
        x = torch.cat(wide, dim=2)
    parts = x.reshape(8, 2, *x.shape[2:]).permute(0, 2, 3, 1).contiguous()
    waves = torch.istft(torch.view_as_complex(parts), **transform)
    return waves.reshape(4, 2, -1)[..., :length].detach()


def _sizes(bins: int) -> list[int]:
    low, mid = math.ceil(bins * SHARES[0]), math.ceil(bins * (SHARES[0] + SHARES[1]))
    return [low, mid - low, bins - mid]


def _get(state: dict[str, Any], at: str, name: str) -> Any:
    return state[f"{at}.{name}"]


def _pair(state: dict[str, Any], at: str) -> tuple[Any, Any]:
    return state[f"{at}.weight"], state[f"{at}.bias"]


def _squeeze(get: Any, part: Any, band: int) -> Any:
    missing = KERNELS[band] - 1 if STRIDES[band] == 1 else -part.shape[2] % STRIDES[band]
    part = functional.pad(part, (0, 0, missing // 2, missing - missing // 2))
    return functional.conv2d(part, get("weight"), get("bias"), stride=(STRIDES[band], 1))


def _residual(get: Any, part: Any) -> Any:
    """Each frequency by itself: (1, channels, bins, frames)."""
    rows = []
    for row in part.unbind(2):
        y = functional.group_norm(row, 1, get("0.weight"), get("0.bias"))
        y = functional.glu(functional.conv1d(y, get("1.weight"), get("1.bias"), padding=1), 1)
        y = functional.conv1d(y, get("3.weight"), get("3.bias"), padding=1, groups=y.shape[1])
        y = functional.group_norm(y, 1, get("4.weight"), get("4.bias"))
        rows.append(functional.conv1d(y * y.sigmoid(), get("6.weight"), get("6.bias")))
    return torch.stack(rows, dim=2)


def _dual_path(state: dict[str, Any], at: str, x: Any) -> Any:
    for axis, order in enumerate(((3, 0, 2, 1), (2, 0, 3, 1))):
        weights = _pair(state, f"{at}.norm_layers.{axis}")
        rows = functional.group_norm(x, 1, *weights).permute(*order)[:, 0]
        lstm = torch.nn.LSTM(rows.shape[-1], rows.shape[-1], bidirectional=True, batch_first=True)
        prefix = f"{at}.lstm_layers.{axis}."
        lstm.load_state_dict(
            {key.removeprefix(prefix): w for key, w in state.items() if key.startswith(prefix)}
        )
        rows = functional.linear(lstm(rows)[0], *_pair(state, f"{at}.linear_layers.{axis}"))
        back = rows[:, None].permute(*(order.index(place) for place in range(4)))
        x = x + back
    return x
