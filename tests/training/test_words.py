from __future__ import annotations

from training.composer import Note
from training.words import groups


def note(start, length=0.5):
    return Note(start, length, 60, 1.0)


def test_a_rest_begins_a_new_breath():
    found = groups([note(0), note(0.5), note(1.4)])

    assert [len(group) for group in found] == [2, 1]


def test_a_breath_lasts_six_seconds_at_most():
    found = groups([note(0.5 * i) for i in range(20)])

    assert all(group[-1].start - group[0].start <= 6 for group in found)
    assert sum(len(group) for group in found) == 20


def test_no_notes_no_breath():
    assert groups([]) == []
