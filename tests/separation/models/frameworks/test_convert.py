from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

torch: Any = pytest.importorskip("torch", reason="needs the extra `models`: pip install torch")

from octet.errors import (  # noqa: E402  # needs torch
    ModelDamagedError,
    ModelError,
    ModelPolicyError,
    UntrustedModelError,
)
from octet.separation.model import ModelChoice  # noqa: E402
from octet.separation.models.resolve import resolve  # noqa: E402
from tests.separation.models.frameworks.files import content, folder, network  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from octet.separation.models.cache import Cache

pytestmark = [pytest.mark.frameworks, pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return folder(tmp_path / "tiny", network().state_dict())


def test_a_folder_is_converted_once_and_then_runs_without_pytorch(tiny: Path, cache: Cache) -> None:
    choice = ModelChoice(tiny, policy="commercial", cache=cache.folder)
    model = resolve(choice)
    (member,) = model.members
    assert (model.name, model.licence) == ("tiny", "MIT")
    assert model.sources == ("drums", "bass", "other", "vocals")
    assert model.loaded_from == f"converted, {member.path}"

    script = (
        "import sys; from pathlib import Path\n"
        "from octet.separation.model import ModelChoice\n"
        "from octet.separation.models.resolve import resolve\n"
        "folder, cache = map(Path, sys.argv[1:])\n"
        "model = resolve(ModelChoice(folder, cache=cache))\n"
        "print(model.members[0].path, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tiny), str(cache.folder)]
    again = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert again.split() == [str(member.path), "False"]

    # Another segment is another model, and a damaged file is made again.
    described = content()
    described["audio"]["chunk_size"] = 2_000
    (tiny / "tiny.yaml").write_text(yaml.safe_dump(described))
    other = resolve(choice).members[0]
    assert other.path not in (None, member.path)
    assert other.spec.segment == 2_000
    assert other.path is not None
    other.path.write_bytes(b"damaged")
    assert resolve(choice).members[0] == other


def test_pytorch_gets_the_network_with_the_transforms_around_it(tiny: Path, cache: Cache) -> None:
    (member,) = resolve(ModelChoice(tiny, cache=cache.folder), "torch").members

    assert member.path is None
    length = member.spec.valid_length(member.spec.segment)
    with torch.no_grad():
        assert member.network(torch.zeros(2, 2, length)).shape == (2, 4, 2, length)


def test_a_pickle_needs_trust_and_nothing_is_kept_of_a_hostile_one(
    tiny: Path, cache: Cache, tmp_path: Path
) -> None:
    (tiny / "tiny.safetensors").unlink()
    torch.save(network().state_dict(), tiny / "tiny.ckpt")
    choice = ModelChoice(tiny, cache=cache.folder)

    with pytest.raises(UntrustedModelError, match="trust-checkpoint"):
        resolve(choice)
    trusted = replace(choice, trust_checkpoint=True)
    assert resolve(trusted, "torch").members[0].network is not None

    torch.save({"state_dict": network().state_dict(), "more": print}, tiny / "tiny.ckpt")
    with pytest.raises(UntrustedModelError, match="more than weights"):
        resolve(trusted)
    assert not list(cache.folder.rglob("*.onnx"))
    assert not list(cache.folder.rglob("*.part"))


def test_a_checkpoint_of_another_network_is_told_in_one_line(tiny: Path, cache: Cache) -> None:
    (tiny / "tiny.yaml").write_text(yaml.safe_dump(content(dims=[4, 8, 12])))

    with pytest.raises(ModelDamagedError, match="another shape"):
        resolve(ModelChoice(tiny, cache=cache.folder))
    assert not list(cache.folder.rglob("*.onnx"))


def test_a_folder_without_a_licence_is_refused_where_only_commercial_use_counts(
    tiny: Path, cache: Cache
) -> None:
    described = content()
    del described["licence"]
    (tiny / "tiny.yaml").write_text(yaml.safe_dump(described))

    with pytest.raises(ModelPolicyError):
        resolve(ModelChoice(tiny, policy="commercial", cache=cache.folder))


def test_an_architecture_that_is_not_known_is_said_to_be_so(tiny: Path, cache: Cache) -> None:
    described = content()
    described["model"] = {"num_subbands": 4}
    (tiny / "tiny.yaml").write_text(yaml.safe_dump(described))

    with pytest.raises(ModelError, match="does not know"):
        resolve(ModelChoice(tiny, cache=cache.folder))
