"""Networks on GPUs, by PyTorch; on processors where a network is not converted."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch

from octet.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import numpy as np

    from octet.separation.models.spec import ModelSpec
    from octet.separation.runtimes.network import Device, Precision, RuntimeName

logger = logging.getLogger(__name__)

_BATCH: dict[Device, int] = {"cuda": 8, "mps": 2, "cpu": 1}
"""Segments at a time to begin with. When the memory does not do, it is halved."""

_DTYPES: dict[Precision, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16}


def version() -> str:
    """PyTorch's version."""
    return str(torch.__version__)


def gpus() -> dict[Device, list[str]]:
    """The kinds of GPU that PyTorch can use here, with the names of those of each kind."""
    found: dict[Device, list[str]] = {}
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        found["cuda"] = [torch.cuda.get_device_name(index) for index in range(count)]
    if torch.backends.mps.is_available():
        found["mps"] = ["Apple GPU"]
    return found


def gpu_precision(device: Device, asked: str, index: int = 0) -> Precision:
    """The arithmetic to use on a GPU.

    Args:
        device: cuda or mps.
        asked: auto (then fp16), fp32, bf16 or fp16.
        index: which of several.

    Raises:
        DeviceError: bf16 was asked for, and the GPU lacks it.
    """
    if asked == "fp32":
        return "fp32"
    if asked != "bf16":
        return "fp16"
    if device != "cuda" or not _has_bf16(index):
        raise DeviceError(
            f"this GPU ({device}) cannot compute in bf16", "Use --precision auto, fp16 or fp32."
        )
    return "bf16"


def _has_bf16(index: int) -> bool:
    with torch.cuda.device(index):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


class TorchNetwork:
    """A PyTorch module, from segments to stems. See `octet.separation.runtimes.network.Network`.

    Args:
        module: takes float32 (b, 2, n) on the device, gives (b, S, 2, n). A torch.nn.Module
            is moved to the device and set to evaluation.
        spec: what it takes and gives.
        device: cuda, mps or cpu.
        precision: in half precision the module runs under autocast.
        batch: segments at a time; 0 is what suits the device.
        index: which of several GPUs.
        threads: how many to compute with on a processor; 0 is PyTorch's own choice.
        loaded_from: file or description, for people.
    """

    name: RuntimeName = "torch"

    def __init__(
        self,
        module: Callable[[torch.Tensor], torch.Tensor],
        spec: ModelSpec,
        device: Device = "cpu",
        precision: Precision = "fp32",
        *,
        batch: int = 0,
        index: int = 0,
        threads: int = 0,
        loaded_from: str = "",
    ) -> None:
        if threads and device == "cpu":
            torch.set_num_threads(threads)
        self._index = index
        self._place = torch.device(device, index) if device == "cuda" else torch.device(device)
        self.spec = spec
        self.device = device
        self.precision = precision
        self.loaded_from = loaded_from
        self.batch = batch or _BATCH[device]
        # On CUDA the next batch is queued while the results of the last one travel.
        self.width = 2 if device == "cuda" else 1
        self._module = module
        if isinstance(module, torch.nn.Module):
            module.to(self._place).eval()

    def prepare(self, mix: np.ndarray, _fade: np.ndarray | None = None) -> torch.Tensor:
        """Puts a batch (b, 2, n) where the device can fetch it by itself."""
        tensor = torch.from_numpy(mix)
        return tensor.pin_memory() if self.device == "cuda" else tensor

    def start(self, prepared: torch.Tensor) -> _Running:
        """Sets the device to work; on CUDA this returns before it is done."""
        with torch.inference_mode(), self._arithmetic():
            mix = prepared.to(self._place, non_blocking=True)
            return _Running(self._run(mix).float(), kept=prepared)

    def exact(self) -> TorchNetwork:
        """The same module, computing in fp32."""
        return TorchNetwork(
            self._module,
            self.spec,
            self.device,
            batch=self.batch,
            index=self._index,
            loaded_from=self.loaded_from,
        )

    def interrupt(self) -> None:
        """Does nothing: PyTorch cannot be stopped within a batch."""

    def drain(self) -> None:
        """Does nothing: PyTorch keeps what the device still uses."""

    def _arithmetic(self) -> AbstractContextManager[object]:
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device, dtype=_DTYPES[self.precision])

    def _run(self, mix: torch.Tensor) -> torch.Tensor:
        """Runs the module on as many segments at a time as the device's memory holds.

        Raises:
            DeviceError: it does not hold one.
        """
        while True:
            try:
                return torch.cat([self._module(part) for part in torch.split(mix, self.batch)])
            except torch.OutOfMemoryError as error:
                tried = min(self.batch, len(mix))
                if tried == 1:
                    raise DeviceError(
                        f"the memory of {self._place} does not hold one segment of this model",
                        "Use --device cpu, or --precision fp16.",
                    ) from error
            # Only here, after the exception is gone, are its tensors free.
            self.batch = tried // 2
            logger.warning(
                "Out of memory on %s with %d segments at a time; going on with %d",
                self.device,
                tried,
                self.batch,
            )
            if self.device == "cuda":
                with torch.cuda.device(self._place):
                    torch.cuda.empty_cache()


class _Running:
    """A batch under way. On CUDA its result travels to pinned memory meanwhile."""

    def __init__(self, result: torch.Tensor, kept: torch.Tensor) -> None:
        self._kept = kept  # the device may still be reading it
        self._done: torch.cuda.Event | None = None
        if result.is_cuda:
            self._result = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
            self._result.copy_(result, non_blocking=True)
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # PyTorch's gap
            self._done.record(torch.cuda.current_stream(result.device))
        else:
            self._result = result.cpu()

    def wait(self) -> None:
        """Until the device is done with it."""
        if self._done is not None:
            self._done.synchronize()

    def stems(self) -> np.ndarray:
        """Float32, (b, S, 2, n)."""
        self.wait()
        stems: np.ndarray = self._result.numpy()
        return stems
