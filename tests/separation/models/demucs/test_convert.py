from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from octet.separation.models.demucs.convert import VERSION, cached
from octet.separation.models.onnx import write_spec
from octet.separation.models.spec import About
from tests.separation.models.test_spec import SPEC

if TYPE_CHECKING:
    from octet.separation.models.cache import Cache

SHA256 = "a" * 64
ABOUT = About("mine", "MIT", "a test")


def test_a_converted_model_is_found_by_its_checkpoint_and_has_todays_name(cache: Cache) -> None:
    path = cache.converted(f"{SHA256}-v{VERSION}")
    path.parent.mkdir(parents=True)
    write_spec(path, SPEC)

    named = replace(SPEC, name="mine", licence="MIT", origin="a test")
    assert cached(cache, SHA256, ABOUT) == (path, named)
    # Another checkpoint, another segment, or a hash that nobody knows is another model.
    assert cached(cache, "b" * 64, ABOUT) is None
    assert cached(cache, SHA256, replace(ABOUT, segment=44)) is None
    assert cached(cache, "", ABOUT) is None


@pytest.mark.parametrize("content", [b"", b"damaged", b"\x08\x07"])
def test_a_converted_model_that_is_damaged_counts_as_missing(cache: Cache, content: bytes) -> None:
    path = cache.converted(f"{SHA256}-v{VERSION}")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)

    assert cached(cache, SHA256, ABOUT) is None
