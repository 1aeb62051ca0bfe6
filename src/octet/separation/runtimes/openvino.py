"""Networks on processors, by OpenVINO."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov

from octet.errors import DeviceError, ModelDamagedError
from octet.separation.masks import Masking
from octet.separation.runtimes.cpu import available_cores, return_large_blocks, streams_for
from octet.separation.stft import Stft

if TYPE_CHECKING:
    from pathlib import Path

    from octet.separation.models.spec import ModelSpec
    from octet.separation.runtimes.network import Device, Precision, RuntimeName

_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


def cpu_name() -> str:
    """The processor's name."""
    return str(ov.Core().get_property("CPU", "FULL_DEVICE_NAME"))


def cpu_precision(asked: str) -> tuple[Precision, str]:
    """The arithmetic to use on this processor, and why.

    Args:
        asked: auto, fp32, bf16 or fp16.

    Raises:
        DeviceError: the processor lacks it. (OpenVINO would compute in fp32 without a word.)
    """
    has: list[str] = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if asked == "auto":
        if "BF16" in has:
            return "bf16", "the processor computes in bf16"
        return "fp32", "the processor has no bf16"
    precision: Precision | None = next((known for known in _HINTS if known == asked), None)
    if precision is None or precision.upper() not in has:
        raise DeviceError(
            f"this processor ({cpu_name()}) cannot compute in {asked}",
            "Use --precision auto or fp32.",
        )
    return precision, f"{precision} was asked for"


@dataclass(frozen=True)
class _Prepared:
    """A network's inputs for a segment of `length` samples, and the network for that length."""

    inputs: list[np.ndarray]
    length: int
    compiled: Any
    masked: tuple[np.ndarray, np.ndarray] | None = None
    """The spectra and the fade, where the network gives masks."""


class OpenVinoNetwork:
    """A converted model on the processor. See `octet.separation.runtimes.network.Network`.

    Args:
        path: the ONNX file.
        spec: what the network takes and gives.
        precision: as `cpu_precision` decided.
        threads: how many to compute with; 0 is as many as this process may use.

    Raises:
        ModelDamagedError: the file is not what `spec` says, or OpenVINO cannot use it.
    """

    name: RuntimeName = "openvino"
    device: Device = "cpu"

    def __init__(
        self,
        path: Path,
        spec: ModelSpec,
        precision: Precision = "fp32",
        *,
        threads: int = 0,
    ) -> None:
        return_large_blocks()
        self.spec = spec
        self.precision = precision
        self.loaded_from = str(path)
        self.batch = 1
        cores = threads or available_cores()
        self.width = streams_for(path.stat().st_size, cores)
        self._path = path
        masks = self.spec.kind == "mask"
        self._stft = Stft(self.spec.stft) if self.spec.stft and not masks else None
        self._masking = Masking(self.spec.stft) if self.spec.stft and masks else None
        self._core = ov.Core()
        self._config: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": cores,
            "NUM_STREAMS": str(self.width),
            # Two workers on one machine would pin their threads to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._usual = self.spec.valid_length(self.spec.segment)
        self._compiled = self._compile(self._usual)
        self._exact: OpenVinoNetwork | None = None
        self.running: set[_Running] = set()

    def prepare(self, mix: np.ndarray, fade: np.ndarray | None = None) -> _Prepared:
        """The inputs for one segment, (1, 2, n): its spectrum, itself, or both.

        A length other than the segment's (the end of a song, for some models, whose result
        depends on the length) is compiled for this once, while earlier segments are computed;
        its memory is freed with it. One network for any length would need no second
        compilation, but hold all weights twice, and take as long for each new length.
        """
        usual = mix.shape[-1] == self._usual
        compiled = self._compiled if usual else self._compile(mix.shape[-1])
        if self._masking is not None:
            spectra = self._masking.spectra(mix)
            shown = [self._masking.magnitudes(spectra)]
            if fade is None:
                fade = np.ones((len(mix), self.spec.frames), np.float32)
            return _Prepared(shown, mix.shape[-1], compiled, (spectra, fade))
        spectrum = [self._stft.forward(mix)] if self._stft else []
        wave = [] if self.spec.kind == "spectral" else [mix]
        return _Prepared(spectrum + wave, mix.shape[-1], compiled)

    def start(self, prepared: _Prepared) -> _Running:
        """Starts the network on what `prepare` gave."""
        running = _Running(self, prepared)
        self.running.add(running)
        return running

    def exact(self) -> OpenVinoNetwork:
        """The same network in fp32, loaded at the first call."""
        if self._exact is None:
            self._exact = OpenVinoNetwork(
                self._path, self.spec, threads=self._config["INFERENCE_NUM_THREADS"]
            )
            self._exact.running = self.running  # what interrupts one interrupts both
        return self._exact

    def interrupt(self) -> None:
        """Cancels what is under way; OpenVINO stops after the layer that it is at."""
        for running in tuple(self.running):
            running.request.cancel()

    def drain(self) -> None:
        """Ends what is under way, and returns when nothing is."""
        self.interrupt()
        for running in tuple(self.running):
            with contextlib.suppress(RuntimeError):  # it was cancelled
                running.wait()
        self.running.clear()

    def finish(self, outputs: list[np.ndarray], prepared: _Prepared) -> np.ndarray:
        """Stems from the outputs: shares, a spectrum, a waveform, or the latter two in order."""
        if self._masking is not None and prepared.masked is not None:
            return self._masking.stems(outputs[0], *prepared.masked)
        if self._stft is None:
            return outputs[0]
        stems = self._stft.inverse(outputs[0], prepared.length)
        if self.spec.kind == "hybrid":
            stems += outputs[1]
        return stems

    def _compile(self, length: int) -> Any:
        """The network for segments of this length."""
        try:
            model = self._core.read_model(self._path)
            inputs, outputs = self._shapes(length)
            ports = [port for _, port in _ports(model.inputs)]
            ranks = [len(port.partial_shape) for port in ports]
            self._check(ranks == [len(shape) for shape in inputs], f"inputs of ranks {ranks}")
            model.reshape(dict(zip(ports, inputs, strict=True)))
            compiled = self._core.compile_model(model, "CPU", self._config)
            shapes = [port.partial_shape for _, port in _ports(compiled.outputs)]
            fits = [str(shape) for shape in shapes] == [str(ov.PartialShape(o)) for o in outputs]
            self._check(fits, f"outputs {', '.join(map(str, shapes))}, not {outputs}")
            return compiled
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ModelDamagedError(
                f"OpenVINO cannot use {self._path.name} for {length} samples: {reason}",
                "Fetch or convert it again.",
            ) from error

    def _shapes(self, length: int) -> tuple[list[list[int]], list[list[int]]]:
        """What goes in and comes out by the description, the spectrum first."""
        stems, inputs, outputs = len(self.spec.sources), [], []
        if self._masking is not None:
            seen = [2, self.spec.frames, self._masking.spec.bins]
            return [[1, *seen]], [[1, stems, *seen]]
        if self._stft is not None:
            spectrum = [4, self._stft.spec.bins, self._stft.frames(length)]
            inputs.append([1, *spectrum])
            outputs.append([1, stems, *spectrum])
        if self.spec.kind != "spectral":
            inputs.append([1, 2, length])
            outputs.append([1, stems, 2, length])
        return inputs, outputs

    def _check(self, fits: bool, what: str) -> None:
        if not fits:
            raise ModelDamagedError(
                f"{self._path.name} has {what}, which is not what its description says",
                "Use the model as its authors published it, or convert it again.",
            )


class _Running:
    """One inference. Its outputs are arrays of its own, which OpenVINO writes to."""

    def __init__(self, network: OpenVinoNetwork, prepared: _Prepared) -> None:
        self._network, compiled = network, prepared.compiled
        self._prepared = prepared
        self._outputs = [np.empty(port.shape, np.float32) for _, port in _ports(compiled.outputs)]
        # OpenVINO reads and writes these in place: they have to live as long as the request.
        self._inputs = [np.ascontiguousarray(array) for array in prepared.inputs]
        self.request = compiled.create_infer_request()
        for (index, _), array in zip(_ports(compiled.inputs), self._inputs, strict=True):
            self.request.set_input_tensor(index, ov.Tensor(array, shared_memory=True))
        for (index, _), array in zip(_ports(compiled.outputs), self._outputs, strict=True):
            self.request.set_output_tensor(index, ov.Tensor(array, shared_memory=True))
        self.request.start_async()

    def wait(self) -> None:
        """Until the network is done with it."""
        self.request.wait()
        self._network.running.discard(self)

    def stems(self) -> np.ndarray:
        """Float32, (1, S, 2, n)."""
        self.wait()
        return self._network.finish(self._outputs, self._prepared)


def _ports(ports: Any) -> list[tuple[int, Any]]:
    """Inputs or outputs with their indices, the spectrum first: it has a dimension more."""
    return sorted(enumerate(ports), key=lambda port: -len(port[1].partial_shape))
