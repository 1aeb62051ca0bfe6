"""The bundled model separates as well as it did: no change may lose quality unnoticed."""

import pytest

from octet.separation.model import ModelChoice
from octet.separation.models.loading import load
from training.demo_song import stems
from training.evaluate import evaluate_song
from training.settings import RATE

STORED = {"vocals": 0.86, "drums": 6.83, "bass": 4.14, "other": -2.63}
"""SDR in dB of the demo song's seconds 14 to 26, whose true stems this project renders itself.

Measured with the model of 25 November 2026, in bf16; fp32 differs by 0.02 dB. A new model brings
new figures.
"""


def test_the_bundled_model_holds_its_figures():
    # given twelve seconds of a song whose stems are known
    excerpt = {name: audio[:, 14 * RATE : 26 * RATE] for name, audio in stems().items()}
    # when their sum is separated by the bundled model
    scores = evaluate_song(load(ModelChoice("pocket", device="cpu")), excerpt)
    # then every stem is as good as it was, and much better than the mix
    assert scores["song"] == pytest.approx(STORED, abs=0.3)
    for stem, figure in scores["song"].items():
        assert figure > scores["mix_song"][stem] + 4
