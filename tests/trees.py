"""Tiny trees of files laid out as the published datasets are, and what must come of them.

Each frame shows a number from 0 to 63, by which a test tells which frame it was given.
The builders return the frames that they wrote, in the order in which they must come back.
"""

from typing import NamedTuple

import cv2
import numpy as np
from scipy.io import savemat

from uva_tf.data.fixations import density_map, fixation_map
from uva_tf.data.pipeline import View, ordered_batches
from uva_tf.data.records import read_records

SIZE = 64  # of the stored frames, of which all sizes used here are multiples or 3/2
HEIGHT, WIDTH = 64, 128
CELLS = 8  # along a side of a map, one cell for each number


class Frame(NamedTuple):
    video: str
    split: str
    index: int
    number: int
    marks: np.ndarray  # [h, w] bool, the fixated pixels


def picture(number, height=HEIGHT, width=WIDTH):
    """RGB, flat: the number's digits to the base 4 as levels; the upper left quarter is black."""
    digits = np.array([number // 16, number // 4 % 4, number % 4])
    shown = np.full((height, width, 3), 30 + 65 * digits, np.uint8)
    shown[: height // 2, : width // 2] = 0
    return shown


def number_in(frame):
    """The number that a frame shows; fails if it is mirrored, turned or of other colours."""
    step = len(frame) // 2
    centres = frame[step // 2 :: step, step // 2 :: step].astype(int)  # (2, 2, 3) of the quarters
    digits = np.clip(np.rint((centres[1, 1] - 30) / 65).astype(int), 0, 3)
    number = int(digits @ [16, 4, 1])
    # Compression moves a flat colour by up to 4 of 255 (twice over: a film's frame is stored
    # as JPEG); the nearest other number is 65 away.
    np.testing.assert_allclose(centres, picture(number, 2, 2), atol=8)
    return number


def facing(frame):
    """1, or -1 if the frame is mirrored: its black quarter is on the right."""
    return -1 if frame[len(frame) // 4, len(frame) // 4].max() > 15 else 1


def marks(number, height=HEIGHT, width=WIDTH):
    """Some pixels, other ones for each number, and the first and the last."""
    marked = np.zeros((height, width), bool)
    marked.flat[np.random.default_rng(number).choice(marked.size, 5, replace=False)] = True
    marked[[0, -1], [0, -1]] = True
    return marked


def spot(number, height=HEIGHT, width=WIDTH):
    """A map that is bright in the number's cell."""
    bright = np.zeros((CELLS, CELLS), np.uint8)
    bright.flat[number] = 255
    return bright.repeat(height // CELLS, axis=0).repeat(width // CELLS, axis=1)


def write(path, picture):
    """Write RGB, grey or bool pixels; as variable `I` where the suffix is .mat."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mat":
        savemat(path, {"I": picture})
    else:
        pixels = picture * np.uint8(255) if picture.dtype == bool else picture
        assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def dhf1k_video(root, name, split, numbers, *, fixations=("png",), size=(HEIGHT, WIDTH)):
    """A video of DHF1K; its annotation of another size than its frames, if asked for."""
    path = root / "video" / f"{name}.AVI"
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (WIDTH, HEIGHT))
    folder = root / "annotation" / f"{int(name):04d}"
    frames = []
    for index, number in enumerate(numbers, start=1):
        writer.write(picture(number)[..., ::-1])
        frames.append(Frame(name, split, index, number, marks(number, *size)))
        write(folder / "maps" / f"{index:04d}.png", spot(number, *size))
        if "png" in fixations:
            write(folder / "fixation" / f"{index:04d}.png", frames[-1].marks)
        if "mat" in fixations:
            write(folder / "fixation" / "maps" / f"{index:04d}.mat", frames[-1].marks)
    writer.release()
    return frames


def avs1k_clip(root, name, split, numbers, *, swapped=False, black=()):
    """A clip of AVS1K; nobody looked at the `black` numbers."""
    part = root / {"train": "trainSet", "val": "validSet", "test": "testSet"}[split]
    kinds = ("Ground", "Frame") if swapped else ("Frame", "Ground")
    frames, ground = (part / kind / name for kind in kinds)
    for index, number in enumerate(numbers, start=1):
        write(frames / f"{name}_{index:05d}.png", picture(number))
        bright = np.uint8(number not in black)
        write(ground / f"{name}_{index:05d}.png", bright * spot(number))
    nothing = np.zeros((HEIGHT, WIDTH), bool)
    return [Frame(name, split, i, number, nothing) for i, number in enumerate(numbers, start=1)]


def frame_folders(
    root, name, split, numbers, *, stem, first=1, fixation="fixation/*.png", size=(HEIGHT, WIDTH)
):
    """A clip of UCF-Sports or Hollywood-2.

    `numbers` by index, from 1; `stem` makes a file's name from its number, `first` for index 1.
    """
    folder = root / {"train": "training", "test": "testing"}[split] / name
    frames = []
    for index, number in numbers.items():
        frames.append(Frame(name, split, index, number, marks(number, *size)))
        file = stem.format(first + index - 1)
        write(folder / "images" / f"{file}.png", picture(number, *size))
        write(folder / "maps" / f"{file}.png", spot(number, *size))
        write(folder / fixation.replace("*", file), frames[-1].marks)
    return frames


def ucf_clip(root, name, split, numbers, **options):
    """A clip such as Diving-Side-001."""
    stem = name[:-4] + "_" + name[-3:] + "_{:03d}"
    numbers = numbers if isinstance(numbers, dict) else dict(enumerate(numbers, start=1))
    return frame_folders(root, name, split, numbers, **{"stem": stem} | options)


def hollywood2_shot(root, name, split, numbers, first):
    """A shot such as actioncliptrain00001_2; `first` is the number of its first frame."""
    numbers = dict(enumerate(numbers, start=1))
    stem = name.rpartition("_")[0] + "_{:05d}"
    return frame_folders(root, name, split, numbers, stem=stem, first=first)


def write_gaze(path, observers, *, resolution=(HEIGHT, WIDTH), plain=False):
    """SALICON's .mat: x and y from 1, a list for each observer, or in one list if `plain`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lists = [np.array(points, np.uint16).reshape(-1, 2) for points in observers]
    gaze = np.zeros(
        (len(lists), 1), [(key, object) for key in ("location", "timestamp", "fixations")]
    )
    for number, points in enumerate(lists):
        # Where the eye was in between, which is not to be taken for fixations.
        gaze[number, 0] = (points + 0.5, np.arange(len(points)), points)
    content = {
        "image": path.stem,
        "resolution": np.array([resolution]),
        "gaze": np.concatenate(lists) if plain else gaze,
    }
    savemat(path, content)


def salicon_picture(root, name, split, number, *, plain=False, size=(HEIGHT, WIDTH)):
    """A photograph of SALICON, of the three observers the second saw nothing."""
    frame = Frame(name, split, 1, number, marks(number, *size))
    write(root / "images" / f"{name}.jpg", picture(number, *size))
    points = np.argwhere(frame.marks)[:, ::-1] + 1  # x, y from 1
    path = root / "fixations" / split / f"{name}.mat"
    write_gaze(path, [points[:2], [], points[2:]], resolution=size, plain=plain)
    return [frame]


def records(dataset):
    return [record for shard in dataset.shards for record in read_records(dataset, shard)]


def ordered(dataset, pairing="previous"):
    """The examples of all shards, as NumPy arrays, with density maps of 32 pixels."""
    batches = ordered_batches(dataset, dataset.shards, View(SIZE, 32, pairing), batch=4)
    return [
        {key: batch[key][number].numpy() for key in batch}
        for batch in batches
        for number in range(len(batch["index"]))
    ]


def check_records(dataset, frames):
    """These frames and no other were written, in this order, each with its own fixations."""
    stored = records(dataset)
    places = [(frame.video, frame.index) for frame in frames]
    np.testing.assert_equal([(record.video, record.index) for record in stored], places)
    for record, frame in zip(stored, frames, strict=True):
        points = record.fixations.points
        np.testing.assert_equal(number_in(record.frame), frame.number)
        np.testing.assert_array_equal(fixation_map(points, *frame.marks.shape), frame.marks)
        np.testing.assert_equal(len(points), frame.marks.sum())
    splits = {name: shard.split for shard in dataset.shards for name in shard.recordings}
    np.testing.assert_equal(splits, {frame.video: frame.split for frame in frames})


def check(dataset, frames):
    """They come in batches too, each with its own neighbour, fixations and density."""
    check_records(dataset, frames)
    expected = {(frame.video, frame.index): frame for frame in frames}
    for pairing, step in (("previous", -1), ("next", 1)):
        for example, frame in zip(ordered(dataset, pairing), frames, strict=True):
            neighbour = expected.get((frame.video, frame.index + step), frame)
            np.testing.assert_equal(example["video"].decode(), frame.video)
            np.testing.assert_equal(example["index"], frame.index)
            np.testing.assert_equal(number_in(example["frame"]), frame.number)
            np.testing.assert_equal(number_in(example["other"]), neighbour.number)
            height, width = frame.marks.shape
            fixated = fixation_map(example["fixations"], height, width)
            np.testing.assert_array_equal(fixated, frame.marks)
            if frame.marks.any():
                row, column = np.nonzero(frame.marks)
                centres = np.stack([(column + 0.5) / width, (row + 0.5) / height], axis=1)
                density = density_map(centres, 32, 32, dataset.sigma, height / width)
                # The same formula in float32, summed in another order.
                np.testing.assert_allclose(
                    example["density"][..., 0], density, rtol=1e-4, atol=1e-7
                )


def ucf_tree(root):
    return [
        *ucf_clip(root, "Diving-Side-001", "train", range(1, 12), stem="{}"),  # 1.png to 11.png
        *ucf_clip(root, "Kicking-Front-001", "test", [20, 21]),
    ]
