"""The options of a job."""

from __future__ import annotations

import pytest

from octet.api.submission import read_options
from octet.errors import OctetError


def test_what_is_given_of_a_recipe_is_handed_on_and_nothing_else() -> None:
    options = read_options(
        {"model": "htdemucs", "bits": "24", "tracks": "vocals, drums", "name": "x", "shifts": "2"}
    )

    assert options.given == {
        "model": "htdemucs",
        "bits": 24,
        "tracks": ["vocals", "drums"],
        "shifts": 2,
    }
    assert read_options({}).given == {}


@pytest.mark.parametrize("given", [{"tracks": 5}, {"name": ["a"]}, {"bits": "17"}, {"shifts": 0.5}])
def test_nonsense_is_told_by_its_place(given: dict[str, object]) -> None:
    with pytest.raises(OctetError) as caught:
        read_options(given)
    assert str(caught.value).startswith(next(iter(given)))
