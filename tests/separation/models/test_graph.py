from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openvino

from octet.separation.models.graph import Graph, varint

if TYPE_CHECKING:
    from pathlib import Path


def test_a_graph_is_a_file_that_openvino_computes(tmp_path: Path) -> None:
    # Given a convolution with attributes of each kind after it,
    graph = Graph("small")
    taken = graph.input("x", (1, 2, 5))
    kernel = graph.constant(np.arange(12, dtype=np.float32).reshape(2, 2, 3))
    value = graph.add("Conv", taken, kernel, pads=[1, 1])
    value = graph.add("LeakyRelu", value, alpha=0.5)
    graph.output(graph.add("Softmax", value, axis=1), "y", (1, 2, 5))
    graph.write(tmp_path / "small.onnx")

    # when it is run, then it gives what numpy gives.
    x = np.random.default_rng(0).standard_normal((1, 2, 5)).astype(np.float32)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    given = openvino.compile_model(tmp_path / "small.onnx", "CPU", options)(x)[0]
    padded = np.pad(x[0], ((0, 0), (1, 1)))
    weights = np.arange(12).reshape(2, 2, 3)
    wanted = np.array(
        [[(padded[:, at : at + 3] * one).sum() for at in range(5)] for one in weights]
    )
    wanted = np.exp(np.where(wanted < 0, 0.5 * wanted, wanted))
    assert np.allclose(given[0], wanted / wanted.sum(axis=0), atol=1e-5)


def test_whole_numbers_are_seven_bits_a_byte() -> None:
    assert (varint(0), varint(127), varint(300)) == (b"\0", b"\x7f", b"\xac\x02")
