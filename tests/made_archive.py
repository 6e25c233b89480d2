"""Short clips for archives, `python tests/made_archive.py DIR [COUNT] [BROKEN]`, or a long film,
`python tests/made_archive.py FILM.mp4 MINUTES`.

Ten synthetic clips of two seconds are drawn, and copied under as many names as are wanted. The
broken ones, spread evenly, are cut short within their first half, so that none can be opened. A
film shows such clips one after another, each backwards after forwards.
"""

import sys
from pathlib import Path

import cv2

from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.synthetic import HEIGHT, RATE, WIDTH, draw, scene

DRAWN, LENGTH = 10, 50


def make(folder, count=300, broken=10):
    """Write clips, and return the names of the broken ones."""
    folder.mkdir(parents=True)
    drawn = []
    for number in range(min(count, DRAWN)):
        path = folder / "drawn.mp4"
        with VideoWriter(path, RATE, WIDTH, HEIGHT) as video:
            for frame in draw(scene(number, seed=1, length=LENGTH)):
                video.write(frame)
        drawn.append(path.read_bytes())
        path.unlink()
    bad = {count * number // broken for number in range(broken)} if broken else set()
    for number in range(count):
        content = drawn[number % len(drawn)]
        part = content[:300] if number in bad else content
        (folder / f"clip{number:03d}.mp4").write_bytes(part)
    return [f"clip{number:03d}.mp4" for number in sorted(bad)]


def make_film(path, minutes):
    """Write a film with its sides twice a clip's."""
    left, number = minutes * 60 * RATE, 0
    with VideoWriter(path, RATE, 2 * WIDTH, 2 * HEIGHT) as video:
        while left > 0:
            frames = draw(scene(number, seed=1, length=4 * LENGTH))
            for frame in [*frames, *frames[::-1]][:left]:
                video.write(cv2.resize(frame, (2 * WIDTH, 2 * HEIGHT)))
                left -= 1
            number += 1


if __name__ == "__main__":
    where, *numbers = sys.argv[1:]
    if where.endswith(".mp4"):
        make_film(Path(where), *map(int, numbers))
    else:
        print(*make(Path(where), *map(int, numbers)))
