from __future__ import annotations

import subprocess
import sys

import openvino
import pytest

from octet.errors import DeviceError
from octet.separation.runtimes.choice import choose, gpu_in_sight


def test_a_processor_asked_for_computes_with_openvino():
    choice = choose("cpu", "fp32")

    assert (choice.runtime, choice.device, choice.precision) == ("openvino", "cpu", "fp32")
    assert choice.device_name
    assert "asked for" in choice.reason


def test_without_a_gpu_the_processor_is_chosen_and_the_reason_said():
    if gpu_in_sight():
        pytest.skip("this machine has a GPU")

    choice = choose()

    assert choice.device == "cpu"
    assert "GPU" in choice.reason


def test_a_model_that_exists_for_openvino_alone_runs_on_the_processor():
    choice = choose(available=["openvino"])

    assert choice.runtime == "openvino"
    assert "OpenVINO only" in choice.reason


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_asked_for_is_never_replaced(device):
    torch = pytest.importorskip("torch", reason="needs the extra `demucs`")
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if there[device]:
        assert choose(device).device == device
    else:
        with pytest.raises(DeviceError, match="finds"):
            choose(device)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_cannot_run_what_exists_for_openvino_alone(device):
    with pytest.raises(DeviceError, match="OpenVINO only"):
        choose(device, available=["openvino"])


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_set_for_another_model_does_not_keep_this_one_from_the_processor(device):
    choice = choose(device, available=["openvino"], required=False)

    assert (choice.runtime, choice.device) == ("openvino", "cpu")
    assert "OpenVINO only" in choice.reason


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_precision_set_for_another_model_is_used_where_it_is_to_be_had(precision):
    has = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")

    choice = choose("cuda", precision, available=["openvino"], required=False)

    expected = precision if precision.upper() in has else choose("cpu").precision
    assert (choice.device, choice.precision) == ("cpu", expected)


def test_a_gpu_that_is_missing_is_an_error_whatever_it_was_set_for():
    torch = pytest.importorskip("torch", reason="needs the extra `demucs`")
    if torch.cuda.is_available():
        pytest.skip("this machine has an NVIDIA GPU")

    with pytest.raises(DeviceError, match="finds"):
        choose("cuda", required=False)


@pytest.mark.demucs
def test_a_model_that_is_not_converted_runs_in_pytorch():
    pytest.importorskip("torch", reason="needs the extra `demucs`")

    choice = choose("cpu", available=["torch"])

    assert (choice.runtime, choice.precision) == ("torch", "fp32")
    with pytest.raises(DeviceError, match="fp16"):
        choose("cpu", "fp16", available=["torch"])


@pytest.mark.parametrize(("device", "precision"), [("tpu", "auto"), ("cpu", "int8")])
def test_unknown_names_are_refused(device, precision):
    with pytest.raises(DeviceError, match="there is no"):
        choose(device, precision)


def test_choosing_a_processor_does_not_import_pytorch():
    code = (
        "import sys; from octet.separation.runtimes.choice import choose; choose('cpu');"
        "sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_one_of_several_gpus_can_be_chosen(monkeypatch):
    runtime = pytest.importorskip(
        "octet.separation.runtimes.torch", reason="needs the extra `demucs`"
    )
    # given a machine on which PyTorch finds two GPUs
    monkeypatch.setattr(runtime, "gpus", lambda: {"cuda": ["first", "second"]})
    # then each can be named, and a third is not there
    choices = [choose(device, "fp32") for device in ("cuda", "cuda:0", "cuda:1")]
    assert [(one.place, one.device_name) for one in choices] == [
        ("cuda", "first"),
        ("cuda", "first"),
        ("cuda:1", "second"),
    ]
    with pytest.raises(DeviceError, match=r"there is no cuda:2. .* cuda:1 \(second\)"):
        choose("cuda:2")


@pytest.mark.parametrize("device", ["cpu:1", "cuda:", "cuda:x", "cuda:-1"])
def test_what_is_no_number_of_a_gpu(device):
    with pytest.raises(DeviceError, match="there is no device"):
        choose(device)
