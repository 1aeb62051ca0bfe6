"""The trained network as one ONNX file that describes itself, and back."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from octet.separation.models.onnx import write_spec
from octet.separation.models.spec import ModelSpec, StftSpec
from training.network import Pocket, calibrated
from training.settings import ESTIMATED, RATE

if TYPE_CHECKING:
    from pathlib import Path

    from training.settings import Recipe

ORIGIN = (
    "Trained by the Octet project on CC0 recordings and on songs of its own; see docs/model-card.md"
)

HALF = "_half"
"""Ends the names of weights that are stored in 16 bits."""


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
            optimize=False,  # which would fold weights into constants without their names
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


def read_network(path: Path, recipe: Recipe) -> Pocket:
    """The network of an exported file, its calibration undone, to be trained on.

    Args:
        path: what `export` wrote.
        recipe: the settings that it was exported with.

    Raises:
        ValueError: the file holds other weights than this network's.
    """
    tensors = {t.name.removesuffix(HALF): t for t in onnx.load(path).graph.initializer}
    network = Pocket(recipe.spectrum, recipe.network)
    weights = {}
    for name, ours in network.state_dict().items():
        if name not in tensors or tuple(tensors[name].dims) != tuple(ours.shape):
            raise ValueError(f"{path} holds no {name} of the shape {tuple(ours.shape)}")
        values = numpy_helper.to_array(tensors[name]).astype(np.float32)
        weights[name] = torch.from_numpy(values)
    network.load_state_dict(weights)
    return calibrated(network, 1 / recipe.export.sharpness, 1.0)


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
        stored = tensor.name + HALF
        kept.append(numpy_helper.from_array(half, stored))
        casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    del graph.value_info[:]
    return model
