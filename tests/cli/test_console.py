"""What commands print: on one line, without sequences or markup of others, and valid JSON."""

from __future__ import annotations

import json
import math
import os

import pytest

from octet.cli.console import fail, note, output_lost, printable, say, say_json, say_table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe – 練習 🎵", "Größe – 練習 🎵"),
        ("two\nlines\tand\x1b[2J", "two\\nlines\\tand\\x1b[2J"),
        (os.fsdecode(b"caf\xe9"), "caf\\udce9"),
        ("[/foo] [bold]x[/bold] :smile:", "[/foo] [bold]x[/bold] :smile:"),
    ],
)
def test_text_of_others_is_shown_on_one_line_as_it_is(capsys, text, shown):
    assert printable(text) == shown
    # whichever way it is printed
    say(text)
    note(text)
    fail(text)
    say_table([(text, "x")], header=("name", "other"))
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == shown
    assert printed.err.splitlines() == [shown, f"octet: {shown}"]
    assert "".join(printed.out.splitlines()[2].split()) == "".join(f"{shown} x".split())
    assert not output_lost()


def test_long_cells_go_on_in_the_next_line(capsys):
    say_table([("name", "word " * 60), ("other", "2.5")], header=("a", "b"), right=1)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).count("word") == 60
    assert lines[-1].endswith(" 2.5")


def test_json_is_json(capsys):
    value = {"name": "練習", "stray": "\udce9", "level": -3.5}
    say_json(value)
    say_json(value, indent=None)
    printed = capsys.readouterr().out
    assert json.loads(printed.splitlines()[-1]) == value
    assert len(printed.splitlines()) == 6
    # and what is no number is not printed as one
    with pytest.raises(ValueError, match="not JSON compliant"):
        say_json({"level": math.nan})
