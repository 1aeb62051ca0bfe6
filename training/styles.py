"""The styles that songs are composed in: tempi, patterns, habits.

Lines have one mark a sixteenth. Drums: `X` loud, `x` plain, `o` soft, `.` nothing. Bass: `r`
root, `5` fifth, `3` third, `8` octave, `w` a walk through the scale. Chords: `x` held, `s`
short.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """One style; `loose` is the players' timing error in seconds, `busy` how much leads play."""

    bpm: tuple[float, float]
    drums: tuple[dict[str, str], ...]
    bass: tuple[str, ...]
    chords: tuple[str, ...]
    modes: tuple[str, ...] = ("major", "minor")
    kits: tuple[str, ...] = ("acoustic",)
    sounds: tuple[str, ...] = ("guitar", "piano", "organ")
    steps: int = 16
    swing: float = 0.0
    loose: float = 0.004
    sevenths: float = 0.2
    busy: float = 0.5
    drive: float = 0.0


STYLES = {
    "rock": Style(
        (95, 150),
        (
            {"kick": "X.......X.X.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X..X....X..X..x.", "snare": "....X.......X..o", "ride": "x.x.x.x.x.x.x.x."},
        ),
        ("r.r.r.r.r.r.r.r.", "r..r..r.r..r..5.", "r...r...r.r.5.8."),
        ("x.......x.......", "x..x..x.x..x..x.", "x.x.x.x.x.x.x.x."),
        sounds=("distorted", "guitar", "organ"), drive=0.6,
    ),
    "ballad": Style(
        (60, 85),
        (
            {"kick": "X.........x.....", "snare": "....x.......x...", "hat": "o.o.o.o.o.o.o.o."},
            {"kick": "x.......x.......", "rim": "....x.......x...", "shaker": "oooooooooooooooo"},
        ),
        ("r.......5.......", "r.........r.5...", "r..............."),
        ("x...............", "x.......x.......", "x...x...x...x..."),
        sounds=("piano", "strings", "guitar", "pad"), sevenths=0.4, busy=0.35,
    ),
    "funk": Style(
        (92, 118),
        (
            {"kick": "X..x..x...x..x..", "snare": "....X..o.o..X..o", "hat": "xoxoxoxoxoxoxoxo"},
            {"kick": "X.x.......xx....", "snare": "....X..o....X...", "hat": "x.xxx.xxx.xxx.xx"},
        ),
        ("r..r..8...r.5.8.", "r.8...r..r8...5w", "rr.8..r...w.8..5"),
        ("..s...s...s..s..", "....s..s....s...", "s..s..s..s..s.s."),
        ("dorian", "mixolydian"), sounds=("guitar", "clavinet", "brass", "organ"),
        sevenths=0.8, busy=0.55, swing=0.08,
    ),
    "house": Style(
        (118, 130),
        (
            {"kick": "X...X...X...X...", "clap": "....X.......X...", "hat": "..x...x...x...x."},
            {"kick": "X...X...X...X...", "snare": "....x.......x..o", "hat": "o.x.o.x.o.x.o.xo",
             "shaker": "oooooooooooooooo"},
        ),
        ("..r...r...r...r.", "r..r..r..r..r.8.", "r.8.r.8.r.8.r.8."),
        ("..s..s....s..s..", "x..s..s.x..s..s.", "..x...x...x...x."),
        ("minor", "dorian"), kits=("electronic",), sounds=("synth", "piano", "pad"),
        loose=0.0, sevenths=0.6,
    ),
    "hiphop": Style(
        (70, 98),
        (
            {"kick": "X.....x...X.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.xxx.x."},
            {"kick": "X..x......X..x..", "clap": "....X.......X...", "hat": "xxxoxxxoxxooxxxx"},
        ),
        ("r.....r...r.....", "r..........5..8.", "r.........r....."),
        ("x...............", "s..s......s..s..", "x.......x......."),
        ("minor", "dorian"), kits=("electronic", "acoustic"), sounds=("piano", "synth", "strings"),
        swing=0.12, sevenths=0.5, busy=0.4,
    ),
    "jazz": Style(
        (95, 170),
        (
            {"ride": "x...x..xx...x..x", "hat": "....x.......x...", "kick": "o.......o.......",
             "snare": "...o......o....."},
            {"ride": "x...x..xx...x..x", "snare": "......o....o....", "kick": "x.....o........."},
        ),
        ("r...w...5...w...", "r...3...5...w...", "r...w...w...w..."),
        ("...s......s.....", "x.....s.........", "s......s........"),
        ("dorian", "major", "mixolydian"), sounds=("piano", "guitar", "brass", "sax"),
        swing=0.3, loose=0.008, sevenths=1.0, busy=0.6,
    ),
    "reggae": Style(
        (66, 90),
        (
            {"kick": "........X.......", "snare": "........X......o", "hat": "x.x.x.x.x.x.x.xo"},
            {"kick": "X...X...X...X...", "rim": "........x.......", "hat": "x.o.x.o.x.o.x.o."},
        ),
        ("r..r..5.....8...", "r.....r..5..3...", "....r.r.5.r....."),
        ("....s.......s...", "..s...s...s...s.", "....s.s.....s.s."),
        sounds=("organ", "guitar", "piano"), swing=0.1,
    ),
    "metal": Style(
        (120, 190),
        (
            {"kick": "XxXxXxXxXxXxXxXx", "snare": "....X.......X...", "crash": "X...x...x...x..."},
            {"kick": "X.xxX.xxX.xxX.xx", "snare": "........X.......", "ride": "x.x.x.x.x.x.x.x."},
        ),
        ("rrrrrrrrrrrrrrrr", "r.rrr.rrr.rrr.rr", "r...r...r.r.r.r."),
        ("xxxxxxxxxxxxxxxx", "x.ssx.ssx.ssx.ss", "x.......x...x..."),
        ("minor",), sounds=("distorted",), drive=0.95, busy=0.6,
    ),
    "bossa": Style(
        (110, 145),
        (
            {"kick": "x..xx..xx..xx..x", "rim": "x..x...x..x..x..", "hat": "oooooooooooooooo"},
            {"shaker": "xoxoxoxoxoxoxoxo", "rim": "..x..x...x..x..."},
        ),
        ("r..5....5..r....", "r.....5.5.....r."),
        ("x..x...x..x..x..", "..x...x..x...x..", "x...x..x.....x.."),
        sounds=("guitar", "piano", "sax"), sevenths=1.0, busy=0.4,
    ),
    "synthwave": Style(
        (84, 124),
        (
            {"kick": "X...X...X...X...", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X.....x.X.......", "snare": "....X.......X...", "tom": "..............xx"},
        ),
        ("rrrrrrrrrrrrrrrr", "r.r.r.r.r.r.r.r.", "r.8.r.8.r.8.r.8."),
        ("x...............", "x.......x.......", "s.s.s.s.s.s.s.s."),
        ("minor",), kits=("electronic",), sounds=("synth", "pad"), loose=0.0,
    ),
    "folk": Style(
        (80, 130),
        (
            {},
            {"kick": "x.......x.......", "shaker": "x.o.x.o.x.o.x.o."},
            {"kick": "x...x...x...x...", "clap": "....x.......x..."},
        ),
        ("r.......5.......", "r...5...r...5...", "r..............."),
        ("x.xxx.xxx.xxx.xx", "x...x.x.x...x.x.", "x.......x......."),
        ("major", "dorian", "mixolydian"), sounds=("guitar", "banjo", "piano", "strings"),
        loose=0.008, busy=0.5,
    ),
    "waltz": Style(
        (90, 150),
        (
            {"kick": "X...........", "snare": "....o...o...", "hat": "....x...x..."},
            {"kick": "x.....x.....", "ride": "x...x...x..."},
        ),
        ("r...........", "r.......5...", "r...5...3..."),
        ("....s...s...", "x...........", "x...x...x..."),
        sounds=("piano", "strings", "guitar", "accordion"), steps=12,
    ),
    "drumnbass": Style(
        (160, 178),
        (
            {"kick": "X.........x.....", "snare": "....X..o.o..X...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X.x.......x.x...", "snare": "....X.......X..o", "ride": "x...x...x...x..."},
        ),
        ("r.......r..5....", "r...........8...", "r..r....5..8...."),
        ("x...............", "s.....s.........", "x.......x......."),
        ("minor", "dorian"),
        kits=("electronic", "acoustic"), sounds=("synth", "pad", "piano"),
    ),
    "soul": Style(
        (75, 115),
        (
            {"kick": "X..x....X.x.....", "snare": "....X.......X...",
             "tambourine": "..x...x...x...x."},
            {"kick": "X.....X...X.....", "snare": "....X..o....X..o", "hat": "x.x.x.x.x.x.x.x."},
        ),
        ("r..5..8.r..5..3.", "r.r...5.w...r.w.", "r.....r.5...8.w."),
        ("x.......x.......", "..s...s...s...s.", "x..s..x...s.x..."),
        sounds=("organ", "piano", "brass", "guitar", "strings"), sevenths=0.7, swing=0.06,
    ),
}  # fmt: skip
