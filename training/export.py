"""The trained network as one ONNX file that describes itself."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from octet.separation.converted import ModelSpec, StftSpec, write_spec
from training.settings import ESTIMATED, RATE

if TYPE_CHECKING:
    from pathlib import Path

    from training.network import Pocket
    from training.settings import Recipe

ORIGIN = (
    "Trained by the Octet project on CC0 recordings and on songs of its own; see docs/model-card.md"
)


def description(recipe: Recipe) -> ModelSpec:
    """What the file says about itself."""
    spectrum = recipe.spectrum
    return ModelSpec(
        name="pocket",
        sources=ESTIMATED,
        samplerate=RATE,
        segment=recipe.export.frames * spectrum.hop,
        kind="spectral",
        stft=StftSpec(spectrum.n_fft, spectrum.hop, "demucs", spectrum.n_fft // 2),
        fixed=True,
        overlap=recipe.export.overlap,
        normalize=True,
        center=False,
        licence="CC0-1.0",
        origin=ORIGIN,
    )


def export(network: Pocket, recipe: Recipe, path: Path) -> None:
    """Writes the network, its weights halved to 16 bits; the file appears whole, by rename.

    Args:
        network: the trained network.
        recipe: all settings.
        path: where to write the ONNX file.
    """
    bins, frames = recipe.spectrum.n_fft // 2, recipe.export.frames
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            network.eval(),
            (torch.zeros(1, 4, bins, frames),),
            dynamo=True,
            input_names=["spec"],
            output_names=["spec_out"],
            verbose=False,
        )
    assert program is not None  # noqa: S101 (None only without dynamo)
    model = halved(bare(program.model_proto))
    partial = path.with_suffix(".part")
    partial.write_bytes(model.SerializeToString())
    write_spec(partial, description(recipe))
    partial.rename(path)


def bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without what the exporter notes about every node: stack traces, paths of this machine."""
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    return model


def halved(model: onnx.ModelProto, *, smallest: int = 512) -> onnx.ModelProto:
    """Stores weights in 16 bits; the network still computes in 32.

    Args:
        model: an ONNX model; changed in place.
        smallest: tensors of fewer values stay as they are.
    """
    graph = model.graph
    casts, kept = [], []
    for tensor in graph.initializer:
        size = int(np.prod(tensor.dims))
        if tensor.data_type != TensorProto.FLOAT or size < smallest:
            kept.append(tensor)
            continue
        half = numpy_helper.to_array(tensor).astype(np.float16)
        stored = f"{tensor.name}_half"
        kept.append(numpy_helper.from_array(half, stored))
        casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    del graph.value_info[:]
    return model
