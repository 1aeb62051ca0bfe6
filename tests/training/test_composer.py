from __future__ import annotations

import numpy as np
import pytest

from training.composer import Composer
from training.styles import STYLES


@pytest.mark.parametrize("style", sorted(STYLES))
def test_every_style_gives_a_song_within_its_length(style):
    song = Composer(np.random.default_rng(3), bars=8, style=style).song()

    roles = {part.role for part in song.parts}
    assert {"bass", "voice"} <= roles
    for part in song.parts:
        assert part.notes
        assert all(0 <= note.start < song.seconds for note in part.notes)
        assert all(0 < note.velocity <= 1 and note.length > 0 for note in part.notes)
        assert list(part.notes) == sorted(part.notes, key=lambda n: (n.start, n.pitch, n.piece))


def test_the_same_seed_gives_the_same_song():
    songs = [Composer(np.random.default_rng(11), bars=8).song() for _ in range(2)]

    assert songs[0] == songs[1]


def test_another_seed_gives_another_song():
    one, other = (Composer(np.random.default_rng(seed), bars=8).song() for seed in (1, 2))

    assert one.parts != other.parts


def test_the_bass_plays_in_the_bass():
    for seed in range(20):
        song = Composer(np.random.default_rng(seed), bars=8).song()
        pitches = [n.pitch for part in song.parts if part.role == "bass" for n in part.notes]

        assert min(pitches) >= 26
        assert np.median(pitches) < 52


def test_a_struck_bass_is_a_song_of_low_notes_alone():
    for seed in range(20):
        [part] = Composer(np.random.default_rng(seed), bars=8).struck_bass().parts

        assert (part.stem, part.role) == ("bass", "boom")
        assert len(part.notes) >= 8
        assert all(26 <= note.pitch < 48 for note in part.notes)


def test_a_harmony_keeps_to_the_scale():
    composer = Composer(np.random.default_rng(5), bars=8, style="folk")
    voice = composer.melody("voice", "vocals", 64, busy=0.5)

    harmony = composer.harmony(voice)

    scale = {(composer.key + step) % 12 for step in composer.scale}
    assert len(harmony.notes) == len(voice.notes)
    assert {note.pitch % 12 for note in harmony.notes} <= scale
