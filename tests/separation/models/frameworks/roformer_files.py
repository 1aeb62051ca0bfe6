"""Checkpoints of tiny RoFormers with seeded weights, and the YAML files beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

N_FFT, HOP, SEGMENT = 64, 16, 16 * 200

BS = f"""
audio: {{chunk_size: {SEGMENT}, num_channels: 2, sample_rate: 44100}}
model:
  dim: 16
  depth: 1
  stereo: true
  num_stems: 2
  time_transformer_depth: 1
  freq_transformer_depth: 1
  linear_transformer_depth: 0
  freqs_per_bands: !!python/tuple [1, 4, 12, 16]
  heads: 2
  dim_head: 8
  attn_dropout: 0.1
  flash_attn: true
  sage_attention: true
  stft_n_fft: {N_FFT}
  stft_hop_length: {HOP}
  stft_win_length: {N_FFT}
  stft_normalized: false
  mask_estimator_depth: 2
  multi_stft_resolutions_window_sizes: !!python/tuple [4096, 2048]
training:
  instruments: [Vocals, Instrumental]
  target_instrument: null
inference: {{num_overlap: 2}}
"""
MEL = f"""
model:
  dim: 16
  depth: 1
  stereo: true
  num_stems: 1
  time_transformer_depth: 1
  freq_transformer_depth: 1
  num_bands: 4
  heads: 2
  dim_head: 8
  stft_n_fft: {N_FFT}
  stft_hop_length: {HOP}
  stft_win_length: {N_FFT}
  mask_estimator_depth: 1
training: {{instruments: [vocals, other], target_instrument: vocals}}
inference: {{chunk_size: {SEGMENT}}}
"""


def content(**model: Any) -> dict[str, Any]:
    """What a YAML file of four stems and a licence holds."""
    from octet.separation.models.folder import parse_yaml

    whole = parse_yaml("tiny.yaml", BS.encode())
    whole["model"] |= {"num_stems": 4, **model}
    whole["training"]["instruments"] = ["drums", "bass", "other", "vocals"]
    return whole | {"licence": "MIT"}


def config(text: str) -> Any:
    """The configuration that a YAML file holds."""
    from octet.separation.models.folder import parse_yaml
    from octet.separation.models.frameworks.config import Config

    return Config.read("tiny.yaml", parse_yaml("tiny.yaml", text.encode()))


def build(text: str) -> Any:
    """The network that a YAML file describes, and what it takes and gives."""
    import torch

    from octet.separation.models.frameworks.architectures import architecture_of
    from octet.separation.models.spec import About

    described = config(text)
    with torch.device("meta"):
        return architecture_of(described).build(described, About("tiny"))


def network(text: str) -> Any:
    """The network that a YAML file describes, with seeded weights of which all are heard."""
    torch: Any = pytest.importorskip("torch", reason="needs PyTorch")
    made = build(text)[0].to_empty(device="cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weights in made.named_parameters():
            if name.endswith("freqs"):
                weights.copy_(10000 ** (-torch.arange(weights.numel()) / weights.numel()))
            elif name.endswith("gamma"):
                weights.copy_(1 + torch.randn_like(weights) * 0.3)
            else:
                weights.copy_(torch.randn_like(weights) * 1.5 / weights.shape[-1] ** 0.5)
    return made.eval()


def state(text: str) -> dict[str, Any]:
    """The weights of that network."""
    return {name: tensor.clone() for name, tensor in network(text).state_dict().items()}


def folder(path: Path, text: str, *, pickled: bool = False) -> Path:
    """A folder as the training frameworks' models are published."""
    from safetensors.torch import save_file

    path.mkdir()
    (path / "config_tiny.yaml").write_text(text, encoding="utf-8")
    if pickled:
        import torch

        torch.save({"state_dict": state(text), "epoch": 3}, path / "tiny.ckpt")
    else:
        save_file(state(text), path / "tiny.safetensors")
    return path
