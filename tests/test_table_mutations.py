"""Seeded mutations of a good table: read right or refused, never silently different."""

import random
import unicodedata
from collections import Counter

import numpy as np
import pytest

from uva_tf.core.errors import InputError
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.layouts import gaze
from uva_tf.gaze.options import GazeOptions

WIDTH, HEIGHT, FRAMES, STEP = 400, 300, 50, 40  # ms a frame
COLUMNS = ["video", "observer", "onset_ms", "duration_ms", "x", "y"]
PEOPLE = ["Jän", "Jön", "P 3", "p 3"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with one clip."""
    folder = tmp_path_factory.mktemp("mutations")
    (folder / "videos").mkdir()
    with VideoWriter(folder / "videos" / "caf\xe9.mp4", 1000 / STEP, WIDTH, HEIGHT) as video:
        for _ in range(FRAMES):
            video.write(np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    return folder


def good_rows(rng):
    """Fixations of four people, one after the other, as values by column."""
    rows = []
    for person in PEOPLE:
        onset = rng.uniform(0, 60)
        while onset < 1900:
            duration = rng.randrange(90, 260)
            place = round(rng.uniform(20, 380), 1) + 0.25, round(rng.uniform(20, 280), 1) + 0.25
            rows.append(["caf\xe9", person, round(onset, 1), duration, *place])
            onset += duration + rng.randrange(10, 40)
    return rows


def seen(rows):
    """By frame the places that people look at, computed from the rows alone."""
    frames = []
    for n in range(FRAMES):
        starts, ends = n * STEP, (n + 1) * STEP
        frames.append(
            sorted(
                (round(x / WIDTH, 4), round(y / HEIGHT, 4))
                for _, _, onset, duration, x, y in rows
                if onset < ends and onset + duration > starts
            )
        )
    return frames


def scaled(rows, **factors):
    """Rows with some columns multiplied."""
    return [
        [v * factors.get(c, 1) if c in factors else v for c, v in zip(COLUMNS, row, strict=True)]
        for row in rows
    ]


def fractions(rows):
    return scaled(rows, x=1 / WIDTH, y=1 / HEIGHT)


def percent(rows):
    return scaled(rows, x=100 / WIDTH, y=100 / HEIGHT)


def later(rows, offset):
    return [[*row[:2], row[2] + offset, *row[3:]] for row in rows]


# What is done to all values, the options that undo it, if any.
UNITS = {
    "fractions": (fractions, {"units": "fractions"}),
    "percent": (percent, {"units": "percent"}),
    "seconds": (lambda rows: scaled(rows, onset_ms=1e-3, duration_ms=1e-3), {"times": "s"}),
    "microseconds": (lambda rows: scaled(rows, onset_ms=1e3, duration_ms=1e3), {"times": "us"}),
    "nanoseconds": (lambda rows: scaled(rows, onset_ms=1e6, duration_ms=1e6), {"times": "ns"}),
    "onsets in seconds": (lambda rows: scaled(rows, onset_ms=1e-3), None),
    "durations in seconds": (lambda rows: scaled(rows, duration_ms=1e-3), None),
    "durations in microseconds": (lambda rows: scaled(rows, duration_ms=1e3), None),
    "epoch": (lambda rows: later(rows, 1.7e12), None),
    "an earlier clock": (lambda rows: later(rows, 123_456.0), None),
    "x in fractions": (lambda rows: scaled(rows, x=1 / WIDTH), None),
    "ten times as large": (lambda rows: scaled(rows, x=10, y=10), None),
    "centred": (lambda rows: [[*r[:4], r[4] - 200, r[5] - 150] for r in rows], None),
}


def as_text(rng, rows, said):
    """The rows as a table, written in one of the ways that programs write tables."""
    separator = rng.choice([",", ",", ";", "\t", "|"])
    decimal = separator != "," and rng.random() < 0.4
    columns = list(COLUMNS)
    rng.shuffle(columns)
    if rng.random() < 0.3:
        columns.insert(rng.randrange(7), "pupil")
    if rng.random() < 0.1:
        columns.append(rng.choice(COLUMNS))  # refused
        said.append("a column twice")
    pad = rng.random() < 0.3
    quote = rng.random() < 0.2
    name = rng.choice(["caf\xe9", "caf\xe9.mp4", unicodedata.normalize("NFD", "caf\xe9")])

    def cell(column, row):
        value = {**dict(zip(COLUMNS, row, strict=True)), "video": name, "pupil": 3.5}[column]
        text = value if isinstance(value, str) else np.format_float_positional(value, trim="-")
        text = text.replace(".", ",") if decimal and not isinstance(value, str) else text
        text = f" {text}  " if pad else text
        return f'"{text}"' if quote else text

    tail = separator * rng.choice([0, 0, 2])
    lines = [separator.join(columns) + tail]
    lines += [separator.join(cell(column, row) for column in columns) + tail for row in rows]
    if rng.random() < 0.3:
        lines.insert(rng.randrange(1, len(lines)), separator * (len(columns) - 1))
    if rng.random() < 0.2:
        lines.insert(0, f"sep={separator}")
    text = rng.choice(["\n", "\r\n", "\r"]).join([*lines, ""])
    encodings = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]
    encoding = rng.choice([*encodings, "cp1252"] if name.isascii() or len(name) != 5 else encodings)
    return text.encode(encoding, "replace" if "e\u0301" in name else "strict")


def mutate(seed):
    """A mutated table: its bytes, what it should be read as, whether it must be refused."""
    rng = random.Random(seed)
    rows = good_rows(rng)
    expected, left_out, said = list(rows), 0, []
    unit = rng.choice(list(UNITS)) if rng.random() < 0.5 else None
    written = UNITS[unit][0](rows) if unit else list(rows)
    if rng.random() < 0.3:
        for n in rng.sample(range(len(rows)), 3):
            expected[n] = None
            gap = rng.choice(["", "NaN", "NA", ".", "n/a"])
            written[n] = [*written[n][:4], gap, gap]
            left_out += 1
    if rng.random() < 0.3:
        again = rng.sample([row for row, kept in zip(written, expected, strict=True) if kept], 4)
        written = [*written, *again]
        left_out += 4
    if rng.random() < 0.2:
        written += [["caf\xe9", "P 3", 100.5 + n, 200, 0, 0] for n in range(3)]
        left_out += 3
    rng.shuffle(written)
    content = as_text(rng, written, said)
    expected = seen([row for row in expected if row])
    return content, expected, left_out, unit, bool(said)


def outcome(root, content, options):
    """What a table is read as, by frame, and how many rows were left out; or why it is refused."""
    (root / "fixations.csv").write_bytes(content)
    try:
        (recording,) = gaze(root, options)
        frames = [
            sorted((round(float(x), 4), round(float(y), 4)) for x, y in frame.fixations.points)
            for frame in recording.read()
        ]
    except InputError as error:
        assert "\n" not in str(error)
        return str(error), 0
    return frames, recording.left_out.total()


def check(root, seeds):
    counts = Counter()
    for seed in seeds:
        content, expected, left_out, unit, refused = mutate(seed)
        stated = UNITS[unit][1] if unit else {}
        for options in [{}, stated] if unit and stated else [{}]:
            found, out = outcome(root, content, GazeOptions(**options))
            if isinstance(found, str):
                counts["refused"] += 1
                assert unit or refused, (seed, found)
                assert not options or refused, (seed, unit, found)
                continue
            counts["read right, as stated" if options else "read right"] += 1
            assert not refused, seed
            assert options or unit is None, (seed, unit)
            for frame, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
                same = len(ours) == len(theirs) and np.allclose(ours, theirs, atol=2e-4)
                assert same, (seed, unit, frame)
            assert out == left_out, (seed, unit)
    print(dict(counts))
    return counts


def test_a_mutated_table_is_read_right_or_refused(root):
    assert check(root, range(40))["read right"] > 5


@pytest.mark.slow
def test_200_mutated_tables_are_read_right_or_refused(root):
    assert check(root, range(1000, 1200))["read right"] > 30
