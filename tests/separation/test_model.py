from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from octet.separation.model import ModelChoice, Passes, Passthrough
from octet.settings import SeparationSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_settings_name_a_model_and_where_it_runs(tmp_path: Path) -> None:
    settings = read_settings(
        SeparationSettings,
        model="htdemucs",
        device="cuda",
        precision="fp16",
        model_policy="commercial",
        trust_checkpoint=True,
        cache=tmp_path,
    )

    choice = ModelChoice.from_settings(settings, required=False)

    expected = ModelChoice("htdemucs", "cuda", "fp16", "commercial", True, tmp_path, required=False)
    assert choice == expected


def test_what_stands_in_for_a_model_leaves_the_song_to_the_rest(
    song_of: Callable[..., Any],
) -> None:
    told: list[float] = []
    song = song_of(1_000_000)

    blocks = list(Passthrough().stems(song, Passes(on_progress=told.append)))

    assert sum(block.shape[-1] for block in blocks) == song.samples
    assert all(block.shape[:2] == (3, 2) and not block.any() for block in blocks)
    assert blocks[0].dtype == np.float32
    assert told == sorted(told)
    assert told[-1] == 1
