"""A network that was loaded by some runtime: the one interface of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np

    from octet.separation.models.spec import ModelSpec

RuntimeName = Literal["openvino", "torch"]
Device = Literal["cpu", "cuda", "mps"]
Precision = Literal["fp32", "bf16", "fp16"]


class Running(Protocol):
    """A batch that was started."""

    def wait(self) -> None:
        """Until the network is done with it."""

    def stems(self) -> np.ndarray:
        """Waits for the result: float32, (b, S, 2, n), the caller's to keep."""


class Network(Protocol):
    """A loaded network: a batch of segments of a mix in, stems out.

    The work is split so that its parts can overlap in threads: `prepare` (transforms of the
    input), `start` (the network itself), and the `stems` of what was started (transforms of
    the output). Each part may run in a thread of its own, at the same time as the others.

    Attributes:
        spec: what the network takes and gives.
        name: of the runtime.
        device: where it computes.
        precision: of its arithmetic.
        loaded_from: file or description, for people.
        width: how many batches may usefully be under way at once.
        batch: how many segments to hand over at a time; may become less.
    """

    spec: ModelSpec
    name: RuntimeName
    device: Device
    precision: Precision
    loaded_from: str
    width: int
    batch: int

    def prepare(self, mix: np.ndarray, fade: np.ndarray | None = None) -> Any:
        """Turns a mix into what `start` takes.

        Args:
            mix: float32 (b, 2, n), normalised; n is a valid length.
            fade: of a mask model, and of no other: see `octet.separation.masks`.
        """

    def start(self, prepared: Any) -> Running:
        """Sets the network to work, and returns at once where that is possible."""

    def exact(self) -> Network:
        """The same network in fp32, loaded at the first call."""

    def interrupt(self) -> None:
        """Ends what is under way as soon as possible; its `stems` may then raise anything."""

    def drain(self) -> None:
        """Ends what is under way, and returns when nothing is. Results are lost."""


def infer(network: Network, mix: np.ndarray) -> np.ndarray:
    """Runs a network once, from segments (b, 2, n) to stems (b, S, 2, n), all float32."""
    return network.start(network.prepare(mix)).stems()
