"""What the benchmarks work on: songs of any length, and a checkpoint of htdemucs' real size.

The weights are random (seeded): speed and memory do not depend on what a network has learnt.
"""

from __future__ import annotations

import hashlib
import wave
from pathlib import Path

import numpy as np

RATE = 44100
FOLDER = Path(__file__).parent / "work"


def song(seconds: int) -> Path:
    """A WAV file of `seconds`, 44.1 kHz, stereo, 16 bits: chords, a beat, and noise."""
    path = FOLDER / f"song-{seconds}.wav"
    if path.exists():
        return path
    FOLDER.mkdir(exist_ok=True)
    rng = np.random.default_rng(8)
    unfinished = path.with_suffix(".part")
    with wave.open(str(unfinished), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for second in range(seconds):
            file.writeframes(_second(second, rng).tobytes())
    unfinished.rename(path)
    return path


def _second(number: int, rng: np.random.Generator) -> np.ndarray:
    time = number + np.arange(RATE) / RATE
    root = 110 * 2 ** (((number // 2) * 5 % 12) / 12)
    chord = sum(np.sin(2 * np.pi * root * step * time) / step for step in (1, 1.25, 1.5, 2, 3))
    beat = np.exp(-((time * 2) % 1) * 18)
    kick = beat * np.sin(2 * np.pi * 55 * time)
    hiss = beat[:, None] * rng.standard_normal((RATE, 2)) * 0.2
    voice = np.sin(2 * np.pi * 3 * root * time + 4 * np.sin(2 * np.pi * 5.5 * time))
    mix = (0.12 * chord + 0.4 * kick + 0.1 * voice)[:, None] * (1.0, 0.9) + hiss
    return np.asarray(np.clip(mix, -1, 1) * 32767, "<i2")


def checkpoint() -> Path:
    """A folder with a bag of one HTDemucs of the real size: 42 million seeded weights."""
    folder = FOLDER / "htdemucs-sized"
    if (folder / "sized.yaml").exists():
        return folder
    import torch
    from demucs import states
    from demucs.htdemucs import HTDemucs

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(8)
    network = HTDemucs(
        sources=["drums", "bass", "other", "vocals"],
        channels=48,
        bottom_channels=512,
        t_layers=5,
        segment=7.8,
    )
    unfinished = folder / "checkpoint.part"
    args, kwargs = network._init_args_kwargs
    package = {
        "klass": HTDemucs,
        "args": args,
        "kwargs": kwargs,
        "state": states.get_state(network, None, half=True),  # type: ignore[no-untyped-call]  # demucs has no types
        "training_args": {},
    }
    torch.save(package, unfinished)
    digest = hashlib.sha256(unfinished.read_bytes()).hexdigest()[:8]
    unfinished.rename(folder / f"5eed0001-{digest}.th")
    (folder / "sized.yaml").write_text("models: ['5eed0001']\n")
    return folder
