from __future__ import annotations

import re
from typing import Any

import pytest

from octet.errors import ModelPolicyError, UnknownModelError
from octet.separation.models.registry import REGISTRY, check_policy, find


def test_the_models_that_everybody_may_use_are_the_default_and_spleeter() -> None:
    assert [name for name, entry in REGISTRY.items() if entry.commercial] == [
        "pocket",
        "spleeter",
    ]


def test_each_entry_states_licence_source_and_files() -> None:
    for name, entry in REGISTRY.items():
        assert entry.name == name
        assert entry.licence
        assert entry.source
        assert entry.description
        assert entry.bundled == (not entry.checkpoints and entry.archive is None)
        for checkpoint in entry.checkpoints:
            assert re.fullmatch(r"[0-9a-f]{8}", checkpoint.signature)
            assert re.fullmatch(r"([0-9a-f]{64})?", checkpoint.sha256)


def test_spleeter_comes_with_deezers_notice_and_a_whole_hash() -> None:
    entry = REGISTRY["spleeter"]

    assert entry.archive is not None
    assert re.fullmatch(r"[0-9a-f]{64}", entry.archive.sha256)
    assert "Deezer SA" in entry.notice
    assert "README" in entry.licence


@pytest.mark.demucs
def test_it_says_what_the_package_demucs_says() -> None:
    # Given the bags and addresses that demucs 4.1.0 ships,
    pytest.importorskip("torch", reason="needs the extra `demucs`")
    pretrained: Any = pytest.importorskip("demucs.pretrained")
    hf: Any = pytest.importorskip("demucs.hf")
    yaml = pytest.importorskip("yaml")
    addresses = pretrained._parse_remote_files(pretrained.REMOTE_ROOT / "files.txt")

    for name, entry in REGISTRY.items():
        if not entry.repository:
            continue
        bag = yaml.safe_load((pretrained.REMOTE_ROOT / f"{name}.yaml").read_text())

        # then the registry has the same members, weights, segments and places.
        assert [item.signature for item in entry.checkpoints] == bag["models"]
        assert [list(row) for row in entry.weights] == bag.get("weights", [])
        assert entry.segment == bag.get("segment")
        assert entry.repository == f"{hf.DEFAULT_NAMESPACE}/{hf.hf_repo_name(name)}"
        for item in entry.checkpoints:
            assert addresses[item.signature].endswith(f"/{item.signature}-{item.pickle_sha256}.th")


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(UnknownModelError, match="htdemucs_6s"):
        find("htdemux")


def test_a_licence_that_forbids_commercial_use_is_refused_where_only_that_counts() -> None:
    check_policy("any", "mine", "CC-BY-NC-4.0", False)
    check_policy("commercial", "mine", "MIT", True)
    with pytest.raises(ModelPolicyError, match="CC-BY-NC"):
        check_policy("commercial", "mine", "CC-BY-NC-4.0", False)
