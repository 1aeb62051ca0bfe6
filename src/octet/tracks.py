"""The eight tracks: their names, their order, and how each comes from the stems."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING

from octet.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy as np

STEMS = ("vocals", "drums", "bass", "other")
"""The four stems. They sum to the decoded song."""

TRACKS = (*STEMS, "original", "full", "instrumental", "acapella")
"""The eight tracks, in the order in which they are listed everywhere."""

REST = "rest"
"""What a model of further sources (guitar, piano) leaves of `other` without them."""

STEM_FILE = "stem"
"""The only track of the format of this name: a file that DJ programs read (Native Instruments'
STEMS), with the song and its four stems in it."""

IN_STEM_FILE = ("original", "drums", "bass", "other", "vocals")
"""What is in such a file, in the order that these programs expect."""

WITHOUT = "no_"
"""What the name of a track begins with that is the song without one stem: `no_drums`."""

SAME_SAMPLES = {"acapella": "vocals", "full": "original"}
"""Tracks that hold what another track holds.

An acapella is the vocals; the sum of the stems is the decoded song but for float32's rounding
(about -145 dB), as `close_the_sum` makes it. What is exact stays exact: formats that keep
every bit get a `full` of its own.
"""


_MEANT = {
    **dict.fromkeys(("karaoke", "backing", "minus", "playback", "accompaniment"), "instrumental"),
    **dict.fromkeys(("instrumentals", "no_vocal", "music", "beat"), "instrumental"),
    **dict.fromkeys(("voice", "voices", "singing", "singer", "vox", "lead"), "vocals"),
    **dict.fromkeys(("a capella", "a cappella", "a-capella", "acappella"), "acapella"),
    **dict.fromkeys(("percussion", "drumkit"), "drums"),
    **dict.fromkeys(("rest", "others", "residual", "melody"), "other"),
    **dict.fromkeys(("mix", "sum", "all"), "full"),
    **dict.fromkeys(("song", "mixture", "input"), "original"),
}
"""Words of others for tracks."""


def tracks_of(sources: Iterable[str]) -> tuple[str, ...]:
    """The tracks that a model's sources allow, in their order: the eight, its further sources, and
    where there are such, the rest.
    """
    further = tuple(name for name in sources if name not in STEMS)
    return (*TRACKS, *further, *((REST,) if further else ()))


def on_request(there: Iterable[str]) -> tuple[str, ...]:
    """The tracks that are made only where they are asked for by name: the song without a stem.

    Args:
        there: the tracks that a model allows.
    """
    sums = ("original", "full", "instrumental", "acapella", REST, STEM_FILE)
    return tuple(f"{WITHOUT}{name}" for name in there if name not in sums)


def unknown_track(name: str, there: Iterable[str]) -> SettingError:
    """The error about a track that there is not, with the one that may be meant."""
    names = tuple(there)
    known = (*names, *on_request(names))
    word = name.strip().lower()
    near = _MEANT.get(word) or next(iter(difflib.get_close_matches(word, known, 1, 0.7)), None)
    perhaps = f"Perhaps {near}: there" if near in known else "There"
    return SettingError(f"there is no track {name[:40]!a}", f"{perhaps} are {', '.join(names)}")


def close_the_sum(mix: np.ndarray, estimates: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turns a model's estimates into stems that sum to the mix.

    Args:
        mix: the decoded song, float32 of shape (channels, samples).
        estimates: at least vocals, drums and bass, each shaped like the mix. Further
            sources (guitar, piano) are handed on and stay part of `other`.

    Returns:
        The estimates, with `other` replaced by the mix minus vocals, drums and bass; and, where
        there are further sources, `rest`: `other` minus these. So vocals, drums, bass, the further
        sources and the rest sum to the mix as well.
    """
    stems = dict(estimates)
    stems["other"] = mix - estimates["vocals"] - estimates["drums"] - estimates["bass"]
    if further := [estimates[name] for name in estimates if name not in STEMS]:
        stems[REST] = stems["other"] - sum(further)
    return stems


def mix_down(stems: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tracks that are sums of stems: full, instrumental and acapella.

    Args:
        stems: the four stems, float32 of shape (channels, samples) each.
    """
    instrumental = stems["drums"] + stems["bass"] + stems["other"]
    return {
        "full": instrumental + stems["vocals"],
        "instrumental": instrumental,
        "acapella": stems["vocals"],
    }


def file_name(track: str, extension: str, song: str) -> str:
    """What a track's file is called among others of its song.

    Args:
        track: its name.
        extension: of the file, without the dot.
        song: a name of the song that may stand in a file's, see `folder_name`.

    Returns:
        `vocals.mp3`; of a stem file `song.stem.mp4`, the ending by which DJ programs know it.
    """
    return f"{song}.{track}.{extension}" if track == STEM_FILE else f"{track}.{extension}"


def download_name(track: str, extension: str, song: str) -> str:
    """What a track's file is called by itself: `song-vocals.mp3`, `song.stem.mp4`."""
    return f"{song}{'.' if track == STEM_FILE else '-'}{track}.{extension}"


def folder_name(song: Path) -> str:
    """The name of a song's folder: its file name without the ending.

    At most 240 bytes, so that a number fits behind it; never "." or "..".
    """
    name = song.stem.strip()
    if not name.strip("."):
        return "song"
    while len(os.fsencode(name)) > 240:  # characters take one to four bytes
        name = name[:-1]
    return name


def song_name(song: Path) -> str:
    """The file's name for people and programs: text without lone surrogates.

    Where a name's bytes are not UTF-8, they become U+FFFD.
    """
    return os.fsencode(song.name).decode("utf-8", "replace")
