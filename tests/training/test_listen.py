"""The bundled model's stems have no seams, and silence stays silence."""

from __future__ import annotations

import numpy as np

from octet.separation.model import ModelChoice
from octet.separation.models.loading import load
from training.demo_song import stems
from training.listen import borders, jumps, listen, share_above, steps
from training.settings import RATE


def test_the_bundled_model_leaves_no_seams_and_no_noise():
    # given a song of half a minute, with silence after it
    song = sum(stems().values(), np.zeros((2, 1), np.float32))
    # when the bundled model separates it
    found = listen(load(ModelChoice("pocket", device="cpu")), song)
    # then silence is silent in every stem
    assert max(stem["silence"] for stem in found.values()) < -80
    # and nothing happens at the segments' borders that does not happen elsewhere
    assert min(stem["borders"] for stem in found.values()) >= 5
    for measure in ("jumps", "steps"):
        assert np.mean([stem[measure] for stem in found.values()]) < 0.1


def test_a_click_and_a_drop_out_at_a_border_are_seen():
    # given a minute of noise that has a click at every border, and falls silent after it
    rng = np.random.default_rng(0)
    clean = np.cumsum(rng.normal(0, 0.01, (2, 60 * RATE)), axis=1).astype(np.float32) % 0.1
    places, others = borders(clean.shape[1]), rng.integers(RATE, 59 * RATE, 1000)
    broken = clean.copy()
    for place in places:
        broken[:, place] += 2
        broken[:, place + 1 : place + RATE // 20] = 0
    # when jumps and steps are measured, then all borders stand out
    assert share_above(jumps(broken, places), jumps(clean, others)) == 1
    assert share_above(steps(broken, places), steps(clean, others)) == 1
    # and without the defects few do
    assert share_above(jumps(clean, places), jumps(clean, others)) < 0.2
    assert share_above(steps(clean, places), steps(clean, others)) < 0.2
