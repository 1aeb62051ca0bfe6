"""Options of other programs answer with what to use instead."""

from __future__ import annotations

import inspect

import pytest

from octet.cli.foreign import FOREIGN
from octet.cli.separate import separate
from tests.cli.test_separate import octet


@pytest.mark.parametrize(
    ("options", "instead"),
    [
        (["--segment", "10"], "memory does not grow with the song"),
        (["-j", "4"], "--threads"),
        (["--single_stem", "Vocals"], "--tracks vocals"),
        (["-p", "spleeter:2stems"], "--model spleeter+pocket"),
    ],
)
def test_an_option_of_another_program_says_what_to_use(tmp_path, options, instead):
    done = octet("separate", "song.mp3", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"octet: {options[0]} is an option of another program: ")
    assert instead in done.stderr


def test_none_of_them_is_an_option_of_octet() -> None:
    own: list[str] = []
    for name, parameter in inspect.signature(separate).parameters.items():
        for option in getattr(parameter.annotation, "__metadata__", ()):
            if not option.hidden:
                first = [option.default] if isinstance(option.default, str) else []
                given = [*first, *(getattr(option, "param_decls", None) or ())]
                own += given or [f"--{name.replace('_', '-')}"]
    assert "--model" in own
    names = [name for one in FOREIGN for name in one.names]
    assert not {*names} & {*own}
    assert len({*names}) == len(names)
    # and what they say names options that there are
    said = {word.strip("':,") for one in FOREIGN for word in one.instead.split()}
    options = {word for word in said if word.startswith("-")}
    assert options - {"-"} <= {*own}
