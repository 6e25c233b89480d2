"""Frames and their maps, handed to sinks while others are made; and what ends a stream."""

import csv
import errno
import threading

import cv2
import numpy as np
import pytest

from uva_tf.core.frames import Frame
from uva_tf.runtime.annotate import ahead, annotate
from uva_tf.runtime.sinks import Sink, Stopped, write_maps, write_places


class Echo:
    """A predictor whose map is the frame's mean."""

    def run(self, frames):
        for frame in frames:
            yield np.full((4, 4), int(frame.pixels.mean()), np.uint8)


class Late:
    """One whose map of a frame comes with the next frame, as with `next` pairing."""

    def run(self, frames):
        waiting = []
        for frame in frames:
            waiting.append(np.full((4, 4), int(frame.pixels.mean()), np.uint8))
            if len(waiting) > 1:
                yield waiting.pop(0)
        yield from waiting


class Stills:
    """A source of three grey frames, which may end in an error."""

    live = False

    def __init__(self, error=None):
        self.error = error

    def timed(self):
        for number, value in enumerate((10, 20, 30)):
            yield Frame(np.full((12, 20, 3), value, np.uint8), number / 25)
        if self.error:
            raise self.error


def note(seen):
    return Sink(
        lambda frame, attention: (int(frame.pixels[0, 0, 0]), int(attention[0, 0])), seen.append
    )


def fail(value, error):
    """A sink that takes maps until one of this value."""

    def take(attention):
        if attention[0, 0] == value:
            raise error

    return Sink(lambda frame, attention: attention, take)


class TestAnnotate:
    @pytest.mark.parametrize("predictor", [Echo(), Late()])
    def test_hands_each_frame_with_its_own_map(self, predictor):
        seen = []
        assert annotate(Stills(), predictor, [note(seen)]) == (3, None)
        assert seen == [(10, 10), (20, 20), (30, 30)]

    def test_a_sink_can_stop_the_stream(self):
        assert annotate(Stills(), Echo(), [fail(20, Stopped)]) == (1, None)

    def test_a_source_that_breaks_off_is_told_after_its_frames(self):
        seen, error = [], OSError("unplugged")
        assert annotate(Stills(error), Echo(), [note(seen)]) == (3, error)
        assert len(seen) == 3

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
    def test_a_sink_that_fails_leaves_the_frames_before(self, error):
        seen = []
        assert annotate(Stills(), Echo(), [fail(30, error), note(seen)]) == (2, error)
        assert seen == [(10, 10), (20, 20)]

    def test_a_failure_before_the_first_frame_is_raised(self):
        with pytest.raises(OSError, match="full"):
            annotate(Stills(), Echo(), [fail(10, OSError("full"))])

    def test_a_defect_is_not_taken_for_an_ending(self):
        with pytest.raises(ZeroDivisionError):
            annotate(Stills(ZeroDivisionError()), Echo(), [])


class TestAhead:
    def test_keeps_order_and_makes_no_more_than_asked(self):
        made, closed = [], []

        def items():
            try:
                for number in range(100):
                    made.append(number)
                    yield number
            finally:
                closed.append(threading.current_thread())

        stream = ahead(items(), 3)
        assert [next(stream) for _ in range(5)] == [0, 1, 2, 3, 4]
        stream.close()
        assert len(made) <= 5 + 3
        assert closed == [threading.current_thread()]  # not by the thread that makes them, later

    def test_makes_items_while_others_are_used(self):
        second = threading.Event()

        def items():
            yield 1
            second.set()
            yield 2

        stream = ahead(items(), 2)
        assert next(stream) == 1
        assert second.wait(timeout=30)  # though nobody asked for it yet

    def test_raises_what_the_making_raises_in_its_place(self):
        def items():
            yield 1
            raise ValueError("broken")

        stream = ahead(items(), 4)
        assert next(stream) == 1
        with pytest.raises(ValueError, match="broken"):
            next(stream)


class TestMaps:
    def test_are_numbered_grey_and_of_the_frames_size(self, tmp_path):
        annotate(Stills(), Echo(), [write_maps(tmp_path)])
        assert sorted(p.name for p in tmp_path.iterdir()) == [f"00000{n}.png" for n in (1, 2, 3)]
        picture = cv2.imread(str(tmp_path / "000002.png"), cv2.IMREAD_UNCHANGED)
        assert (picture.shape, picture.dtype, picture.max()) == ((12, 20), np.uint8, 20)


class Full:
    """A file on a disk with room for so many bytes."""

    def __init__(self, room):
        self.room, self.content = room, b""

    def tell(self):
        return len(self.content)

    def write(self, row):
        part = row[: self.room - len(self.content)]
        if not part:
            raise OSError(errno.ENOSPC, "full")
        self.content += part
        return len(part)

    def truncate(self, size):
        self.content = self.content[:size]


class TestPlacesTable:
    def test_has_a_row_for_each_frame(self, tmp_path):
        attention = np.zeros((4, 4), np.uint8)
        attention[1, 2] = 255
        path = tmp_path / "places.csv"
        with path.open("wb", buffering=0) as stream:
            sink = write_places(stream)
            for frame in Stills().timed():
                sink.take(sink.make(frame, attention))
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert rows[1] == {
            "frame": "2",
            "seconds": "0.040",
            "peak_x": "12.5",
            "peak_y": "4.5",
            "centroid_x": "12.5",
            "centroid_y": "4.5",
        }
        assert len(rows) == 3

    def test_on_a_full_disk_keeps_whole_rows(self):
        frame, attention = next(Stills().timed()), np.full((4, 4), 255, np.uint8)
        whole = Full(1000)
        sink = write_places(whole)
        row = sink.make(frame, attention)
        sink.take(row)
        disk = Full(len(whole.content) + 5)
        sink = write_places(disk)
        sink.take(row)
        with pytest.raises(OSError, match="full"):
            sink.take(row)
        assert disk.content == whole.content
