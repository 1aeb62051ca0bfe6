"""Two models as one: the first takes the vocals out, the second separates the rest."""

import threading
import tracemalloc

import numpy as np
import pytest

from octet.errors import CancelledError, ModelError, OutputError, SettingError
from octet.results import manifest
from octet.separation.cascade import Cascade
from octet.separation.model import Passes
from octet.separation.separator import Separator
from tests.separation.sources import Shares
from tests.separation.test_separator import music, read, write


def named(model, name, licence="MIT", commercial=True):
    model.identity = manifest.Model(name, f"hash of {name}", licence, commercial)
    return model


def voices(**shares):
    """Takes half of the song for its vocals."""
    return named(Shares(vocals=0.5, **shares), "voices")


def band():
    """Takes shares of what it is given, some of it for vocals."""
    return named(Shares(drums=0.5, bass=0.25, vocals=0.125), "band", "CC0-1.0")


class Failing(Shares):
    """Fails in the middle of the song."""

    def stems(self, song, passes=Passes()):  # noqa: B008  # frozen
        blocks = super().stems(song, passes)
        yield next(blocks)
        raise ModelError("it broke")


def joined(model, song, **passes):
    return np.concatenate([*model.stems(song, Passes(**passes))], axis=-1)


def test_the_second_model_separates_what_the_first_one_leaves(song_of, tmp_path):
    # given a first model that takes half of the song
    song = song_of(70_000)
    # when both have separated it
    found = joined(Cascade(voices(), band()), song, scratch=tmp_path)
    # then the vocals are the first one's, and the second one's shares are of the other half
    assert Cascade(voices(), band()).sources == ("vocals", "drums", "bass")
    assert np.allclose(found[0], 0.5 * song.audio, atol=1e-6)
    assert np.allclose(found[1], 0.25 * song.audio, atol=1e-6)
    assert np.allclose(found[2], 0.125 * song.audio, atol=1e-6)
    # and nothing is left in the scratch folder
    assert not [*tmp_path.iterdir()]


def test_the_rest_has_a_mean_and_a_deviation_of_its_own(song_of, tmp_path):
    # given a second model that looks at what it is to separate
    song, seen = song_of(50_000), []

    class Looking(Shares):
        def stems(self, song, passes=Passes()):  # noqa: B008  # frozen
            seen.append((song.rate, song.samples, song.mean, song.deviation))
            return super().stems(song, passes)

    joined(Cascade(voices(), Looking()), song, scratch=tmp_path)
    # then they are the halved song's
    rest = (44_100, 50_000, 0.5 * song.mean, 0.5 * song.deviation)
    assert seen == [pytest.approx(rest, rel=1e-5)]


def test_progress_goes_over_both_and_only_up(song_of, tmp_path):
    told: list[float] = []
    joined(Cascade(voices(), band()), song_of(70_000), on_progress=told.append, scratch=tmp_path)

    assert told == sorted(told)
    assert told[0] < 0.5
    assert told[-1] == pytest.approx(1.0)


def test_a_song_that_is_cancelled_ends_in_either_pass(song_of, tmp_path):
    # given somebody who cancels in the first model's time, or in the second one's
    for stop_at in (0.1, 0.9):

        def tell(share, stop_at=stop_at):
            if share >= stop_at:
                raise CancelledError("enough")

        # then the separation ends with that, and frees its file
        with pytest.raises(CancelledError):
            joined(Cascade(voices(), band()), song_of(200_000), on_progress=tell, scratch=tmp_path)


def test_closing_early_and_errors_leave_nothing(song_of, tmp_path):
    threads = threading.active_count()
    blocks = Cascade(voices(), band()).stems(song_of(90_000), Passes(scratch=tmp_path))
    next(blocks)
    blocks.close()
    shares = {"vocals": 0.5, "drums": 0.1, "bass": 0.1}
    for pair in ((Failing(**shares), band()), (voices(), Failing(**shares))):
        with pytest.raises(ModelError, match="it broke"):
            joined(Cascade(*pair), song_of(90_000), scratch=tmp_path)
    assert threading.active_count() == threads


def test_a_scratch_folder_that_cannot_be_written_is_said(song_of, tmp_path):
    with pytest.raises(OutputError):
        joined(Cascade(voices(), band()), song_of(1000), scratch=tmp_path / "none")


def test_memory_does_not_grow_with_the_song(tmp_path):
    # given a song of ten minutes that no memory holds
    class Long:
        rate, samples, mean, deviation = 44_100, 600 * 44_100, 0.0, 1.0

        def read(self, start, count):
            return np.full((2, count), 0.25, np.float32)

    # when it is separated, block by block
    tracemalloc.start()
    done = sum(
        b.shape[-1] for b in Cascade(voices(), band()).stems(Long(), Passes(scratch=tmp_path))
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # then the 210 MB of it were never there
    assert done == Long.samples
    assert peak < 20e6


def test_both_stand_in_the_manifest_and_the_tracks_sum_to_the_song(tmp_path):
    # given a song, when a cascade has separated it
    song = write(tmp_path / "song.wav", music(60_001), bits=16)
    separator = Separator(Cascade(voices(), band()), format="wav", bits=32, scratch=tmp_path)
    receipt = separator.separate(song, tmp_path / "out")
    # then the manifest names both, the hash of both, and the licence that allows less
    assert receipt.model.name == receipt.settings["model"] == "voices+band"
    assert len(receipt.model.sha256) == 64
    assert (receipt.model.licence, receipt.model.commercial) == ("MIT", True)
    # and the four stems are the song
    assert receipt.null_db < -140
    stems = [
        read(tmp_path / "out" / f"{n}.wav", tmp_path) for n in ("vocals", "drums", "bass", "other")
    ]
    assert np.allclose(sum(stems), read(song, tmp_path), atol=1e-6)


def test_what_computes_is_said_of_both_where_they_differ():
    first, second = voices(), band()
    second.runtime = {"name": "torch", "device": "cuda", "precision": "fp32", "fp32_segments": "3"}

    assert Cascade(first, second).runtime == {
        "name": "none+torch",
        "device": "cpu+cuda",
        "precision": "fp32",
        "fp32_segments": "3",
    }


def test_two_models_that_make_no_cascade_are_refused():
    # no vocals, no drums, another rate
    with pytest.raises(SettingError, match="gives no vocals"):
        Cascade(named(Shares(drums=0.5), "drummer"), band())
    with pytest.raises(SettingError, match="gives no drums"):
        Cascade(voices(), voices())
    slow = band()
    slow.samplerate = 16_000
    with pytest.raises(SettingError, match="16000 Hz"):
        Cascade(voices(), slow)


def test_a_song_of_another_rate_is_refused(song_of):
    with pytest.raises(SettingError, match="48000 Hz"):
        Cascade(voices(), band()).stems(song_of(100, rate=48_000))
