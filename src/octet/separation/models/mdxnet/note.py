"""The note that lies beside an MDX-Net file: the few numbers that the file does not tell.

    n_fft: 7680
    hop: 1024
    bins: 3072
    stem: vocals
    compensation: 1.009

Kim, Choi, Chung, Lee, Jung: "KUIELab-MDX-Net: a two-stream neural network for music demixing",
arXiv 2111.12203. UVR keeps these numbers in a list of its own (`model_data.json`), whose names
of them are understood as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from octet.errors import ModelDamagedError
from octet.separation.models.spec import MAX_TEXT, ModelSpec, StftSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

Stem = Literal["vocals", "instrumental"]

SAMPLERATE = 44_100
HOP = 1024
FRAMES = 256
"""Of a segment, where neither the file nor its note says."""
MAX_NUMBERS = 2**26
"""Of one segment's spectrum: twenty times what the largest of these networks takes."""
MAX_COMPENSATION = 4.0

_STEMS: dict[str, Stem] = {
    "vocals": "vocals",
    "instrumental": "instrumental",
    "inst": "instrumental",
}
_UVR = {
    "mdx_n_fft_scale_set": "n_fft",
    "mdx_dim_f_set": "bins",
    "primary_stem": "stem",
    "compensate": "compensation",
}
_NUMBERS = ("n_fft", "hop", "bins", "frames")
_KNOWN = (*_NUMBERS, "stem", "compensation", "name", "licence", "source")
_IGNORED = ("mdx_dim_t_set", "is_karaoke", "is_bv_model")
_HINT = (
    "Beside an MDX-Net file lies a note in YAML: n_fft, stem (vocals or instrumental), and where "
    "they differ from the usual hop, bins, frames, compensation; name, licence and source besides."
)


@dataclass(frozen=True)
class Note:
    """What a note says.

    Attributes:
        n_fft: length of a frame in samples.
        stem: which one the network estimates.
        hop: from one frame to the next, in samples.
        bins: frequencies that the network sees; None leaves it to the file.
        frames: of a segment; None leaves it to the file.
        compensation: what the estimate is multiplied by.
        name: of the model; empty for the file's.
        licence: SPDX identifier or a sentence, or empty.
        source: where the file comes from, or empty.
    """

    n_fft: int
    stem: Stem
    hop: int = HOP
    bins: int | None = None
    frames: int | None = None
    compensation: float = 1.0
    name: str = ""
    licence: str = ""
    source: str = ""

    @classmethod
    def read(cls, file: str, content: Mapping[str, Any]) -> Note:
        """The note out of a mapping, as YAML gives it.

        Args:
            file: its name, for people.
            content: what it holds.

        Raises:
            ModelDamagedError: something is missing, unknown or out of range.
        """
        given: dict[str, Any] = {}
        for key, value in content.items():
            name = _UVR.get(key, key) if isinstance(key, str) else "(no text)"
            if name in _IGNORED:
                continue
            if name not in _KNOWN or name in given:
                raise ModelDamagedError(
                    f"{file} names {name[:40]!a}, which is no part of it", _HINT
                )
            given[name] = value
        for name in ("n_fft", "stem"):
            if name not in given:
                raise ModelDamagedError(f"{file} does not say {name}", _HINT)
        return cls(**{name: _checked(file, name, value) for name, value in given.items()})

    def describe(self, shape: tuple[int | None, int | None], name: str) -> ModelSpec:
        """What a network of this input takes and gives, once it is an Octet model.

        It gives the vocals: what an estimate of the instrumental leaves of the song.

        Args:
            shape: bins and frames of its input; None where the file leaves them open.
            name: of the model, unless the note has one.

        Raises:
            ModelDamagedError: file and note contradict each other, or are beyond all size.
        """
        sizes = {}
        for what, stated, noted in zip(("bins", "frames"), shape, self._sizes, strict=True):
            if None not in (stated, noted) and stated != noted:
                raise ModelDamagedError(
                    f"the network of {name} takes {stated} {what}, and its note says {noted}", _HINT
                )
            sizes[what] = stated or noted or (self.n_fft // 2 if what == "bins" else FRAMES)
        if 4 * sizes["bins"] * sizes["frames"] > MAX_NUMBERS or sizes["frames"] < 2:
            raise ModelDamagedError(
                f"{name} takes segments of {sizes['frames']} frames with {sizes['bins']} bins",
                _HINT,
            )
        return ModelSpec(
            name=self.name or name,
            sources=("vocals",),
            samplerate=SAMPLERATE,
            segment=self.hop * (sizes["frames"] - 1),
            kind="spectral",
            stft=StftSpec(self.n_fft, self.hop, "center", sizes["bins"]),
            normalize=False,
            licence=self.licence,
            origin=self.source,
        )

    @property
    def _sizes(self) -> tuple[int | None, int | None]:
        return self.bins, self.frames


def _checked(file: str, name: str, value: Any) -> Any:
    """A value of the note, once it is what its name asks for."""
    if name in _NUMBERS:
        if type(value) is int and 1 <= value <= 2**20:
            return value
        reason = "is no whole number from 1 to a million"
    elif name == "stem":
        if isinstance(value, str) and value.casefold() in _STEMS:
            return _STEMS[value.casefold()]
        reason = "is neither vocals nor instrumental"
    elif name == "compensation":
        # Written so that it refuses what is not a number at all (NaN).
        if type(value) in (int, float) and 0 < value <= MAX_COMPENSATION:
            return float(value)
        reason = f"is no number above 0 and up to {MAX_COMPENSATION:g}"
    else:
        if isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable():
            return value
        reason = "is no line of text"
    raise ModelDamagedError(f"{file}: {name} {reason}", _HINT)
