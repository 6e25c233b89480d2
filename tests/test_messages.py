"""Messages of an experiment: which clip was shown, from when to when."""

import pytest

from uva_tf.core.errors import InputError
from uva_tf.gaze.exports.messages import NAMED_ONLY, ClipNames, Message, Section, shown

NAMES = ClipNames(("street", "talk", "clip_end"))
LASTS = 9000  # ms


def seen(*sent, around=(), onset=""):
    """Clip, begin and end of what messages (time and text) say in a recording from 0 on."""
    within, around = ([Message(*one) for one in part] for part in (sent, around))
    found = shown(Section("anna.asc", 0, LASTS, within, around), NAMES, onset)
    return [(one.clip, one.begins, one.ends) for one in found]


ENDED = [("street", 600, 4600), ("talk", 5600, 8600)]


@pytest.mark.parametrize(
    "end",
    [
        "VIDEO_END {}.mp4",
        "{} finished",
        "stop video {}",
        "STOPTIME {}.mp4",
        "stopped playing the movie ../end/{}.mp4",
    ],
)
def test_the_clip_that_an_end_names_began_at_the_onset_before(end):
    told = [(600, "VIDEO_START"), (4600, end.format("street"))]
    told += [(5600, "VIDEO_START"), (8600, end.format("talk"))]
    assert seen(*told) == ENDED
    assert seen(*told, onset="START") == ENDED
    # Cut off in a third clip, of which nothing is known.
    assert seen(*told, (8700, "VIDEO_START")) == [*ENDED, ("", 8700, LASTS)]


def test_ends_beside_ends():
    told = [(600, "VIDEO_START"), (4600, "VIDEO_END"), (4601, "street.mp4 finished")]
    assert seen(*told) == [("street", 600, 4600)]
    told = [(600, "SYNCTIME"), (4600, "street.mp4 finished"), (4601, "VIDEO_END street")]
    assert seen(*told) == [("street", 600, 4600)]
    assert seen((600, "street"), (4600, "street finished")) == [("street", 600, 4600)]


def test_an_end_without_an_onset_is_refused():
    for told in (
        [(4600, "street.mp4 finished")],
        [(200, "loading street.mp4"), (4600, "VIDEO_END street.mp4")],
        [(600, "VIDEO_START"), (4600, "VIDEO_END street.mp4"), (8600, "VIDEO_END talk.mp4")],
    ):
        with pytest.raises(InputError, match=r"anna.asc: '.*' at \d600 ms ends a clip.*--onset$"):
            seen(*told)


@pytest.mark.parametrize("onset", ["VIDEO_START street", "street started", "SYNCTIME street.avi"])
@pytest.mark.parametrize("end", ["VIDEO_END street.mp4", "VIDEO_END"])
def test_a_clip_that_is_only_named_does_not_begin_while_another_is_shown(onset, end):
    for other in ("preloading talk.mp4", "talk"):
        told = [(600, onset), (1100, other), (4600, end)]
        assert seen(*told) == [("street", 600, 4600)]


def test_names_near_onsets_that_name_nothing():
    first, last = (600, "VIDEO_START"), (4600, "VIDEO_END")
    loading = (300, "load street"), first, (1100, "preload talk"), last
    assert seen(*loading) == [("street", 600, 4600)]
    section = Section("", 0, LASTS, [Message(*one) for one in loading])
    assert NAMED_ONLY in shown(section, NAMES)[0].notes
    # The next clip is named during the only one, which a variable names.
    variable = [(9100, "!V TRIAL_VAR video street.mp4")]
    assert seen(*loading[1:], around=variable) == [("street", 600, 4600)]
    # Names of both clips, before their onsets, and after their ends.
    told = [(300, "next: street"), first, last, (5300, "next: talk"), (5600, "VIDEO_START")]
    assert seen(*told) == [("street", 600, 4600), ("talk", 5600, LASTS)]
    told = [first, last, (4700, "saw street"), (5600, "VIDEO_START"), (8600, "VIDEO_END")]
    assert seen(*told, (8700, "saw talk")) == ENDED


def test_the_same_clip_twice():
    told = [(600, "VIDEO_START street"), (2600, "VIDEO_END"), (5600, "VIDEO_START street")]
    assert seen(*told) == [("street", 600, 2600), ("street", 5600, LASTS)]


def test_names_of_clips_say_nothing_of_their_ends():
    assert seen((600, "VIDEO_START clip_end.mp4")) == [("clip_end", 600, LASTS)]
    assert seen((600, "!V VFRAME 1 0 0 ../video_end/street.mp4")) == [("street", 600, LASTS)]


@pytest.mark.parametrize("text", ["var video_start 5", "!V TRIAL_VAR display on", "TRIALID street"])
def test_what_describes_a_trial_is_no_onset(text):
    (one,) = seen((600, text), (700, "SYNCTIME"))
    assert one[1:] == (700, LASTS)
