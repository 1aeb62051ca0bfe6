from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import openvino
import pytest

from octet.errors import ModelDamagedError
from octet.separation.models.spec import About
from octet.separation.models.spleeter.network import FRAMES, TWO, build, describe

if TYPE_CHECKING:
    from pathlib import Path


def reference(weights: dict[str, np.ndarray], magnitudes: np.ndarray) -> Any:
    """One stem's network in PyTorch, from the table in Spleeter's paper and its source."""
    torch = pytest.importorskip("torch", reason="needs the extra `demucs`")
    pad, run = torch.nn.functional.pad, torch.nn.functional
    arrays = {name: torch.from_numpy(value) for name, value in weights.items()}

    def norm(value: Any, name: str) -> Any:
        parts = ("running_mean", "running_var", "weight", "bias")
        return run.batch_norm(value, *(arrays[f"{name}.{part}"] for part in parts), False, 0, 1e-3)

    def of(name: str) -> tuple[Any, Any]:
        return arrays[f"{name}.weight"], arrays[f"{name}.bias"]

    value, skips = torch.from_numpy(magnitudes), []
    for k in range(1, 7):
        skips.append(run.conv2d(pad(value, (1, 2, 1, 2)), *of(f"down{k}_conv.1"), stride=2))
        if k < 6:
            value = run.leaky_relu(norm(skips[-1], f"down{k}_act.0"), 0.2)
    value = skips.pop()
    for k in range(1, 7):
        raised = run.conv_transpose2d(value, *of(f"up{k}.0"), stride=2)[..., 1:-2, 1:-2]
        value = norm(run.relu(raised), f"up{k}.3")
        value = torch.cat([skips.pop(), value], 1) if skips else value
    return run.conv2d(value, *of("up7.0"), dilation=2, padding=3)


def test_two_stems_equal_a_network_in_pytorch(stems: list[Any], tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra `demucs`")
    noise = np.random.default_rng(5).standard_normal((1, 2, FRAMES, 1024))
    magnitudes = np.abs(noise).astype(np.float32)

    build(TWO, stems).write(tmp_path / "two.onnx")
    compiled = openvino.compile_model(
        tmp_path / "two.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    shares = compiled(magnitudes)[0]

    with torch.inference_mode():
        wanted = torch.sigmoid(torch.stack([reference(one, magnitudes) for one in stems], 1))
    assert shares.std() > 0.01
    assert np.abs(shares - wanted.numpy()).max() < 1e-4


def test_the_description_is_of_whole_frames() -> None:
    spec = describe(TWO, About("spleeter"))

    assert spec.frames == FRAMES
    assert spec.sources == ("vocals", "accompaniment")


@pytest.mark.parametrize("wrong", [None, np.zeros(3, np.float32), np.full(2, np.nan, np.float32)])
def test_an_array_that_does_not_fit_is_named(stems: list[Any], wrong: Any) -> None:
    arrays = {**stems[0], "up7.0.bias": wrong}

    with pytest.raises(ModelDamagedError, match=r"up7\.0\.bias"):
        build(TWO, [arrays, arrays])
