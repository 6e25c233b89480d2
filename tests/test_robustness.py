"""The table of what a model keeps on clips from a worse camera."""

from dataclasses import replace

import numpy as np
import pytest

from uva_tf.commands import robustness as command
from uva_tf.core.errors import InputError
from uva_tf.data.fixations import Fixations
from uva_tf.data.records import Record
from uva_tf.evaluation.map_sources import open_map_source
from uva_tf.studies import robustness
from uva_tf.studies.scoring import score
from uva_tf.weights import shipped_model

pytestmark = pytest.mark.usefixtures("small_grid")


def clip(levels, name="a"):
    """Records of grey frames, and the level of each."""
    nobody = Fixations(np.zeros((0, 2), np.float32), np.zeros(0, np.int64))
    return [
        Record(name, number, np.full((8, 8, 3), level, np.uint8), 1.0, nobody)
        for number, level in enumerate(levels, start=1)
    ]


def echo(records):
    """A source that draws each frame beside the one before it: their levels."""
    last = None
    for record in records:
        level = int(record.frame[0, 0, 0])
        yield np.array([[level, level if last is None else last]], np.uint8)
        last = level


def drawn(change, levels=(10, 20, 30, 40, 50)):
    maps = list(robustness.changed(echo, change)(iter(clip(levels))))
    assert len(maps) == len(levels)
    return [tuple(map(int, one[0])) for one in maps]


def test_a_slower_camera_leaves_frames_out_and_keeps_its_map_meanwhile():
    assert drawn(robustness.every_nth(1)) == [(10, 10), (20, 10), (30, 20), (40, 30), (50, 40)]
    assert drawn(robustness.every_nth(2)) == [(10, 10), (10, 10), (30, 10), (30, 10), (50, 30)]


def test_a_frame_shown_twice_is_its_own_neighbour():
    assert drawn(robustness.twice) == [(n, n) for n in (10, 20, 30, 40, 50)]


def test_after_a_cut_every_neighbour_is_of_the_other_clip():
    (elsewhere,) = clip([200], "b")
    cut = drawn(robustness.after_a_cut(elsewhere))
    assert cut == [(n, 200) for n in (10, 20, 30, 40, 50)]


def test_pictures_change_as_their_names_say():
    (other,) = clip([0], "b")
    colours = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    (record,) = clip([0])
    record = replace(record, frame=colours)
    seen = {}
    for name, change in robustness.conditions(other).items():
        *_, (last, _) = change([record])
        again = [one for one, _ in change([record])][-1]
        np.testing.assert_array_equal(last.frame, again.frame)  # the same noise each time
        assert (last.frame.shape, last.frame.dtype) == (colours.shape, np.uint8)
        seen[name] = last.frame.astype(float)
    np.testing.assert_array_equal(seen["as they are"], colours)
    assert np.ptp(seen["grey"], axis=2).max() == 0
    assert seen["an eighth of the light"].mean() == pytest.approx(colours.mean() / 8, rel=0.05)
    inner = (colours > 60) & (colours < 195)  # which noise does not push out of range
    assert np.std((seen["noise of 20 levels"] - colours)[inner]) == pytest.approx(20, rel=0.05)
    assert np.abs(seen["JPEG of quality 10"] - colours).mean() > 20


def test_the_table_compares_with_the_clips_as_they_are(shards, tmp_path, capsys):
    model = shipped_model("uva-32-int8-step")
    arguments = ["--model", str(model), "--data", str(shards.folder), "--out"]
    assert command.main([*arguments, str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "table.md").read_text()
    rows = {
        cells[0]: cells[1:]
        for line in text.splitlines()
        if line.startswith("|") and (cells := [cell.strip() for cell in line.split("|")[1:-1]])
    }
    assert rows["as they are"][3] == "1.000"
    assert set(robustness.conditions(clip([0])[0])) < set(rows)
    assert "uva-tf robustness" in text
    assert text in capsys.readouterr().out + "\n"
    with pytest.raises(InputError, match="exists already"):
        command.main.__wrapped__([*arguments, str(tmp_path / "out")])


def test_conditions_that_take_turns_do_not_mix_their_frames(shards):
    model, name = shipped_model("uva-32-int8-step"), robustness.AS_THEY_ARE
    settings = {"every": 4, "progress": lambda clips, total: clips}
    found = robustness.score_conditions(model, [shards.folder], **settings)
    alone = score(
        [shards.folder], lambda data: {name: open_map_source(model, data.size)}, **settings
    )
    np.testing.assert_array_equal(found.rows[name].scores, alone.rows[name].scores)
    still, slow = (found.rows[row].scores for row in ("every frame twice", "every 2nd frame"))
    assert not np.array_equal(still, slow)
