"""Checkpoints that Octet knows by name: what their YAML files say.

The hashes are of the checkpoints alone; what describes the networks is therefore written here,
with the few numbers of each that are not the architecture's own.
"""

from __future__ import annotations

from typing import Any

_VOCALS = {"instruments": ["vocals", "other"], "target_instrument": "vocals"}
_ROFORMER = {
    "stereo": True,
    "num_stems": 1,
    "time_transformer_depth": 1,
    "freq_transformer_depth": 1,
    "heads": 8,
    "dim_head": 64,
    "stft_n_fft": 2048,
    "stft_hop_length": 441,
    "mask_estimator_depth": 2,
}

_BANDS = [2] * 24 + [4] * 12 + [12] * 8 + [24] * 8 + [48] * 8 + [128, 129]

MELBAND: dict[str, Any] = {
    "audio": {"sample_rate": 44_100, "chunk_size": 352_800},
    "model": {**_ROFORMER, "dim": 384, "depth": 6, "num_bands": 60},
    "training": _VOCALS,
}
BS_ROFORMER: dict[str, Any] = {
    "audio": {"sample_rate": 44_100, "chunk_size": 352_800},
    "model": {**_ROFORMER, "dim": 512, "depth": 12, "freqs_per_bands": _BANDS},
    "training": _VOCALS,
}
