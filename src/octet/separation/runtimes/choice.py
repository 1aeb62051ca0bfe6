"""Which runtime computes: OpenVINO on processors, PyTorch on GPUs; the choice and its reason."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from octet.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from octet.separation.runtimes.network import Device, Precision, RuntimeName

T = TypeVar("T")

_GPU_NAMES = {"cuda": "an NVIDIA GPU with CUDA", "mps": "an Apple GPU (MPS)"}


@dataclass(frozen=True)
class Choice:
    """What computes, and why."""

    runtime: RuntimeName
    device: Device
    precision: Precision
    device_name: str
    reason: str
    index: int = 0
    """Which of several GPUs."""

    @property
    def place(self) -> str:
        """The device, and which of several: `cpu`, `cuda`, `cuda:1`."""
        return f"{self.device}:{self.index}" if self.index else self.device


def choose(
    device: str = "auto",
    precision: str = "auto",
    *,
    available: Collection[RuntimeName] = ("openvino", "torch"),
    required: bool = True,
) -> Choice:
    """Decides where and how to compute.

    A GPU is used if there is one and PyTorch can use it; asked for by name, it is used or
    refused, never replaced. On processors, OpenVINO is preferred.

    Args:
        device: auto, cpu, cuda, cuda:1 (the second GPU) or mps.
        precision: auto, fp32, bf16 or fp16. Auto is bf16 on processors that have it, fp16 on
            GPUs, and fp32 elsewhere.
        available: the runtimes for which the model is at hand.
        required: whether this model must have that device and precision. If not, because they
            were set for another, a model that exists for processors alone runs there, and in
            a precision that is to be had; a GPU that is missing is an error all the same.

    Raises:
        DeviceError: the device or the precision is not to be had here.
    """
    asked, device, index = device, *_split(device)
    if device not in ("auto", "cpu", *_GPU_NAMES):
        raise DeviceError(f"there is no device {asked!r}", "Choose auto, cpu, cuda, cuda:1 or mps.")
    if precision not in ("auto", "fp32", "bf16", "fp16"):
        raise DeviceError(
            f"there is no precision {precision!r}", "Choose auto, fp32, bf16 or fp16."
        )
    if device in _GPU_NAMES and "torch" not in available:
        if not required:
            return choose("auto", precision, available=available, required=False)
        raise DeviceError(
            f"this model cannot run on {device}: it exists for OpenVINO only",
            "Use --device cpu, or a model of Demucs'.",
        )
    if device in _GPU_NAMES or (device == "auto" and "torch" in available and gpu_in_sight()):
        found = _gpu(device, index, precision, required)
        if found is not None:
            return found
    why = "asked for" if device == "cpu" else _why_no_gpu(available)
    return _processor(precision, why, available, required)


def gpu_in_sight() -> bool:
    """Whether PyTorch is installed and hardware for it present. Imports nothing heavy."""
    if importlib.util.find_spec("torch") is None:
        return False
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def _why_no_gpu(available: Collection[RuntimeName]) -> str:
    if "torch" not in available:
        return "the model exists for OpenVINO only"
    if importlib.util.find_spec("torch") is None:
        return "PyTorch, which GPUs need, is not installed"
    return "no GPU that PyTorch can use was found"


def _arithmetic(of: Callable[[str], T], precision: str, required: bool) -> T:
    """What `of` gives for the precision; for `auto`, where that is not to be had nor required."""
    try:
        return of(precision)
    except DeviceError:
        if required:
            raise
        return of("auto")


def _split(device: str) -> tuple[str, int]:
    """Kind and number of a device; a number that is none leaves it as it is."""
    kind, colon, number = device.partition(":")
    return (kind, int(number)) if colon and kind == "cuda" and number.isdecimal() else (device, 0)


def _gpu(device: str, index: int, precision: str, required: bool) -> Choice | None:
    """A choice of a GPU; None if any would do and there is none."""
    if importlib.util.find_spec("torch") is None:
        raise DeviceError(
            f"{device} needs PyTorch, which is not installed", "Install octet-stems[demucs]."
        )
    from octet.separation.runtimes import torch as runtime

    found = runtime.gpus()
    wanted: tuple[Device, ...] = ("cuda", "mps")
    for kind in wanted:
        if device in ("auto", kind) and kind in found:
            names = found[kind]
            if index >= len(names):
                there = ", ".join(f"{kind}:{i} ({name})" for i, name in enumerate(names))
                raise DeviceError(f"there is no {kind}:{index}", f"PyTorch finds {there}.")
            of = partial(runtime.gpu_precision, kind, index=index)
            arithmetic = _arithmetic(of, precision, required)
            reason = "a GPU is present" if device == "auto" else "asked for"
            return Choice("torch", kind, arithmetic, names[index], reason, index)
    if device == "auto":
        return None
    others = ", ".join(f"{kind} ({names[0]})" for kind, names in found.items()) or "no GPU"
    raise DeviceError(
        f"{_GPU_NAMES[device]} was asked for, but PyTorch {runtime.version()} finds {others}",
        "Use --device auto or cpu, or install PyTorch and drivers for your GPU.",
    )


def _processor(
    precision: str, why: str, available: Collection[RuntimeName], required: bool
) -> Choice:
    if "openvino" in available:
        from octet.separation.runtimes import openvino

        arithmetic, because = _arithmetic(openvino.cpu_precision, precision, required)
        return Choice("openvino", "cpu", arithmetic, openvino.cpu_name(), f"{why}; {because}")
    if required and precision not in ("auto", "fp32"):
        raise DeviceError(
            f"PyTorch on a processor computes in fp32 here, not in {precision}",
            "Convert the model for OpenVINO, or use --precision fp32.",
        )
    return Choice(
        "torch", "cpu", "fp32", platform.processor() or platform.machine(),
        f"{why}; the model is not converted for OpenVINO",
    )  # fmt: skip
