"""Spleeter's network: one U-Net for each stem, written as ONNX from the arrays of a checkpoint.

Hennequin, Khlif, Voituret, Moussallam: "Spleeter: a fast and efficient music source separation
tool with pre-trained models", JOSS 5(50), 2154, 2020, doi 10.21105/joss.02154. The U-Net is
that of Jansson et al., ISMIR 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from octet.errors import ModelDamagedError
from octet.separation.models.graph import Graph
from octet.separation.models.spec import About, ModelSpec, StftSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Activations = Literal["leaky", "elu"]

SAMPLERATE = 44_100
FRAMES = 512
STFT = StftSpec(n_fft=4096, hop=1024, padding="none", bins=1024)
SEGMENT = (FRAMES - 1) * STFT.hop + STFT.n_fft

DOWN = (2, 16, 32, 64, 128, 256, 512)
"""Channels between the convolutions on the way down."""
UP = ((512, 256), (512, 128), (256, 64), (128, 32), (64, 16), (32, 1))
"""Channels into and out of the transposed convolutions."""

_EPSILON = 1e-3
_CUT = [1, 1, 2, 2]
"""Before and after in time and frequency: what TensorFlow pads (and crops) for `same`."""


@dataclass(frozen=True)
class Variant:
    """One of Spleeter's models.

    Attributes:
        sources: the stems, in the order of its networks.
        activations: `leaky`: LeakyReLU (0.2) on the way down, ReLU on the way up; `elu`: ELU.
        head: `sigmoid` of each stem, or `softmax` over the stems.
    """

    sources: tuple[str, ...]
    activations: Activations
    head: Literal["sigmoid", "softmax"]


TWO = Variant(("vocals", "accompaniment"), "leaky", "sigmoid")
FOUR = Variant(("vocals", "drums", "bass", "other"), "elu", "sigmoid")
FIVE = Variant(("vocals", "piano", "drums", "bass", "other"), "elu", "softmax")


def shapes() -> dict[str, tuple[int, ...]]:
    """The arrays of one stem's network that are used, by their names, in PyTorch's layout."""
    return dict(_shapes())


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    for k in range(1, 7):
        yield f"down{k}_conv.1.weight", (DOWN[k], DOWN[k - 1], 5, 5)
        yield f"down{k}_conv.1.bias", (DOWN[k],)
        if k < 6:  # the last one's is never applied
            yield from ((f"down{k}_act.0.{name}", (DOWN[k],)) for name in _NORM)
    for k, (taken, given) in enumerate(UP, 1):
        yield f"up{k}.0.weight", (taken, given, 5, 5)
        yield f"up{k}.0.bias", (given,)
        yield from ((f"up{k}.3.{name}", (given,)) for name in _NORM)
    yield "up7.0.weight", (2, 1, 4, 4)
    yield "up7.0.bias", (2,)


_NORM = ("weight", "bias", "running_mean", "running_var")


def describe(variant: Variant, about: About) -> ModelSpec:
    """What the network of a variant takes and gives."""
    return ModelSpec(
        name=about.name,
        sources=variant.sources,
        samplerate=SAMPLERATE,
        segment=SEGMENT,
        kind="mask",
        stft=STFT,
        overlap=0.0,
        normalize=False,
        licence=about.licence,
        origin=about.origin,
    )


def build(variant: Variant, stems: Sequence[Mapping[str, np.ndarray]]) -> Graph:
    """The network of a variant: magnitudes to the shares of the stems in them.

    Args:
        variant: which.
        stems: the arrays of each stem's network, named and shaped as `shapes` says.

    Raises:
        ModelDamagedError: an array is missing, has another shape, or holds what is no number.
    """
    graph = Graph("spleeter")
    magnitudes = graph.input("magnitudes", (1, 2, FRAMES, STFT.bins))
    axis = graph.constant(np.array([1], np.int64))
    logits = [
        graph.add("Unsqueeze", _UNet(graph, weights, variant.activations)(magnitudes), axis)
        for weights in stems
    ]
    joined = graph.add("Concat", *logits, axis=1)
    if variant.head == "softmax":
        shares = graph.add("Softmax", joined, axis=1)
    else:
        shares = graph.add("Sigmoid", joined)
    graph.output(shares, "shares", (1, len(stems), 2, FRAMES, STFT.bins))
    return graph


class _UNet:
    """One stem's network, from magnitudes (1, 2, frames, bins) to what its head is made of."""

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, np.ndarray],
        activations: Activations,
    ) -> None:
        self._graph = graph
        self._weights = _checked(weights)
        self._activations = activations

    def __call__(self, value: str) -> str:
        skips = []
        for k in range(1, 7):
            # The skip is the convolution's own output, and so is what goes up from the bottom.
            skip = self._convolution(value, f"down{k}_conv.1", strides=[2, 2], pads=_CUT)
            skips.append(skip)
            if k < 6:
                value = self._activation(self._norm(skip, f"down{k}_act.0"), down=True)
        value = skips.pop()
        for k in range(1, 7):
            raised = self._raise(value, f"up{k}.0")
            value = self._norm(self._activation(raised, down=False), f"up{k}.3")
            if skips:
                value = self._graph.add("Concat", skips.pop(), value, axis=1)
        return self._convolution(value, "up7.0", dilations=[2, 2], pads=[3, 3, 3, 3])

    def _constant(self, name: str) -> str:
        return self._graph.constant(self._weights[name].astype(np.float32))

    def _parameters(self, name: str) -> tuple[str, str]:
        return self._constant(f"{name}.weight"), self._constant(f"{name}.bias")

    def _convolution(self, value: str, name: str, **options: list[int]) -> str:
        return self._graph.add("Conv", value, *self._parameters(name), **options)

    def _raise(self, value: str, name: str) -> str:
        return self._graph.add(
            "ConvTranspose", value, *self._parameters(name), strides=[2, 2], pads=_CUT
        )

    def _norm(self, value: str, name: str) -> str:
        parts = [self._constant(f"{name}.{part}") for part in _NORM]
        return self._graph.add("BatchNormalization", value, *parts, epsilon=_EPSILON)

    def _activation(self, value: str, *, down: bool) -> str:
        if self._activations == "elu":
            return self._graph.add("Elu", value, alpha=1.0)
        if down:
            return self._graph.add("LeakyRelu", value, alpha=0.2)
        return self._graph.add("Relu", value)


def _checked(weights: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    for name, shape in shapes().items():
        array = weights.get(name)
        if array is None or array.shape != shape:
            found = "is missing" if array is None else f"has the shape {array.shape}, not {shape}"
            raise ModelDamagedError(f"Spleeter's array {name} {found}", "Fetch the model again.")
        if not np.isfinite(array).all():
            raise ModelDamagedError(f"Spleeter's array {name} holds what is no number")
    return weights
