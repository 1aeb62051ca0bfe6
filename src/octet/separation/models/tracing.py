"""PyTorch modules written as ONNX files.

Importing this needs PyTorch and onnxscript.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING, Any

import torch

from octet.errors import ModelError
from octet.separation.models import norms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_HINT = "Use another model."


def write_onnx(
    module: torch.nn.Module,
    inputs: Mapping[str, torch.Tensor],
    outputs: Sequence[str],
    path: Path,
    *,
    name: str,
    dynamic_shapes: Any = None,
    translations: Mapping[Any, Any] | None = None,
) -> None:
    """Writes a module's computation to `path`, weights as float32, norms and means exact.

    Args:
        module: takes the inputs in order, and gives the outputs.
        inputs: examples, by name.
        outputs: their names.
        path: the file.
        name: of the model, for people.
        dynamic_shapes: of the inputs, as `torch.export` takes them; None fixes all sizes.
        translations: of operators of one's own, `torch.onnx.export(custom_translation_table=...)`.

    Raises:
        ModelError: PyTorch cannot export it.
    """
    table = norms.translations() | dict(translations or {})
    try:
        with torch.no_grad(), _quiet(), _plain_attention(), norms.exact_norms():
            program = torch.onnx.export(
                module.eval(),
                tuple(inputs.values()),
                dynamo=True,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=dynamic_shapes,
                custom_translation_table=table,
                optimize=False,
                verbose=False,
            )
            if program is None:
                raise ModelError("PyTorch gave no ONNX program")
            program.save(path, external_data=False)
    except torch.onnx.errors.OnnxExporterError as error:
        reason = (str(error.__cause__ or error).strip().splitlines() or ["unknown"])[0]
        raise ModelError(f"{name} cannot be converted ({reason[:200]})", _HINT) from error


@contextlib.contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention as separate operators: the fused one cannot be exported."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes, which concern its authors."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
