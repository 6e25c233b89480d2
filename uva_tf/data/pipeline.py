"""From shards to batches: a dict with the same keys in every stage.

frame, other                        [B, H, W, 3] uint8 RGB
density                             [B, h, w, 1] float32, sums to 1
fixations                           ragged [B, n, 2] float32, x and y from 0 to 1
teacher_spatial, teacher_temporal   [B, h, w, 1] float32, sums to 1, or is all 0 where the teacher
                                    has no map; only in distillation
video, index                        [B] string, [B] int64
blur                                [B, 2] float32, how much wider a density is than others, along
                                    x and y as fractions of the map; only if some are
hint                                [B, g, g, K] float32, features of another network, 0 where a
                                    frame has none; only if the view asks for them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from uva_tf.config import AugmentConfig
from uva_tf.data import augment as change
from uva_tf.data.dataset import Dataset, Shard
from uva_tf.data.hints import GRID, MIDDLE, SCALE
from uva_tf.data.records import FEATURES

# Frames in the shuffle buffer. Neighbours in a clip are nearly the same, so it must span clips.
SHUFFLE = 2048
# Shards that are read at the same time; each takes up to four open files.
OPEN_SHARDS = 64
TEACHER_KEYS = ("teacher_spatial", "teacher_temporal")

Batch = dict[str, tf.Tensor]

# No function here uses Python's `if` or `for` on tensors, and AutoGraph would take seconds.
as_written = tf.autograph.experimental.do_not_convert


@dataclass(frozen=True)
class View:
    """How a model sees a dataset.

    Attributes:
        size: side of the frames in pixels.
        map_size: side of the density maps and the teachers' maps in pixels.
        pairing: the neighbour that is `other`, `next` or `previous`.
        hint_size: places along each side of the hints; 0 for none.
    """

    size: int
    map_size: int
    pairing: str
    hint_size: int = 0


@dataclass(frozen=True)
class Worker:
    """Which of several machines reads; in every epoch each machine gets different shards."""

    number: int = 0
    count: int = 1


@as_written
def training_batches(
    datasets: Sequence[Dataset],
    view: View,
    *,
    batch: int,
    seed: int,
    augment: AugmentConfig,
    weights: Sequence[float] = (),
    start: int = 0,
    teachers: Mapping[str, Sequence[Path | None]] | None = None,
    hints_alone: bool = False,
    worker: Worker = Worker(),
) -> tf.data.Dataset:
    """Endless shuffled, augmented batches of the datasets' train splits.

    Every batch depends only on `seed`, TensorFlow's global seed (a shuffle mixes it in) and the
    batch's number, so that `start` (the number of batches to skip) resumes an interrupted run
    where it stopped. Frames without fixations, density map and any teacher's map are left out,
    except as `other`, and so are datasets that have no others.

    Args:
        weights: how often each dataset is drawn, relative to the others; by default all alike.
        teachers: for each kind that is wanted, one entry for each dataset: the folder of that
            teacher's maps, or None for the maps in the records themselves, if any.
        hints_alone: take all frames that have a hint, and no others, and crop them anywhere.
        worker: this machine among several; `batch` is the size of this machine's part.

    Raises ValueError if the datasets were prepared with different sigmas, if there is nothing to
    learn from, or if there are fewer shards than machines.
    """
    sigmas = {dataset.sigma for dataset in datasets}
    if len(sigmas) > 1:
        raise ValueError(
            f"the datasets were prepared with different sigmas, {sorted(sigmas)}: prepare them "
            "with the same --sigma"
        )
    maps = [
        {kind: folders[number] for kind, folders in (teachers or {}).items()}
        for number in range(len(datasets))
    ]
    used = [
        n
        for n, one in enumerate(datasets)
        if (one.hints if hints_alone else one.has_gaze or _has_maps(one, maps[n]))
    ]
    if not used:
        wanted = "hints" if hints_alone else "gaze, or maps of the teachers that are learned from"
        raise ValueError(f"no dataset has {wanted}")
    shuffled = [
        _shuffled(datasets[n], view.pairing, augment, seed + n, maps[n], hints_alone, worker)
        for n in used
    ]
    elements = shuffled[0]
    if len(shuffled) > 1:
        weights = [weights[n] for n in used] if weights else []
        fractions = [weight / sum(weights) for weight in weights] or None
        elements = tf.data.Dataset.sample_from_datasets(shuffled, fractions, seed=seed)

    def finish(number, examples):
        own = tf.stack([seed + worker.number, number])
        draws = change.Draws.of(own, batch)
        seeds = tf.random.split(own, 3)
        return _finish(examples, view, datasets[0].sigma, augment, draws, seeds, hints_alone)

    return (
        elements.skip(start * batch)
        .map(lambda element: _decode(element, datasets, view), num_parallel_calls=tf.data.AUTOTUNE)
        .ragged_batch(batch, drop_remainder=True)
        .enumerate(start)
        .map(finish, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(2)
    )


@as_written
def ordered_batches(
    dataset: Dataset, shards: Sequence[Shard], view: View, *, batch: int, every: int = 1
) -> tf.data.Dataset:
    """Batches of the frames of some shards, once and in order, without augmentation.

    Args:
        every: 1 takes all frames. A larger number takes frames 1, 1 + every, 1 + 2 every, ...
            of each recording, and of those only frames with fixations or a density map.
    """
    elements = tf.data.Dataset.from_tensor_slices([str(dataset.folder / s.file) for s in shards])
    elements = elements.flat_map(
        lambda file: _paired(file, tf.constant(view.pairing == "next"), tf.constant(False))
    )
    if every > 1:
        elements = elements.filter(lambda e: _is_nth(e, every)).filter(_looked_at)
    return (
        elements.map(
            lambda element: _decode(element, [dataset], view), num_parallel_calls=tf.data.AUTOTUNE
        )
        .ragged_batch(batch)
        .map(
            lambda examples: _finish(examples, view, dataset.sigma),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .prefetch(2)
    )


def _shuffled(
    dataset: Dataset,
    pairing: str,
    augment: AugmentConfig,
    seed: int,
    teachers: Mapping[str, Path | None],
    hints_alone: bool,
    worker: Worker,
) -> tf.data.Dataset:
    """Endless epochs of a dataset's training frames, each with its neighbour and maps, serialized.

    Args:
        teachers: by kind, as for `training_batches`, but for this dataset alone.
    """
    shards = dataset.split("train")
    if len(shards) < worker.count:
        raise ValueError(
            f"{dataset.folder}: {len(shards)} shards for training, expected at least one for "
            f"each of {worker.count} machines"
        )
    files = tf.constant([shard.file for shard in shards])
    still = tf.constant([shard.still for shard in shards])

    def read(file, still, reversed_, stride, offset):
        path = tf.strings.join([str(dataset.folder), "/", file])
        ahead = tf.not_equal(pairing == "next", reversed_)
        elements = _paired(path, ahead, still, stride, offset)
        return _with_maps(elements, teachers, file, stride, offset)

    def epoch(number):
        # Every machine draws the same order and takes its own part of it.
        draws = tf.random.split(tf.stack([tf.constant(seed, tf.int64), number]), 4)
        order = tf.random.experimental.stateless_shuffle(tf.range(len(shards)), draws[0])
        reversed_ = tf.random.stateless_uniform([len(shards)], draws[1]) < augment.time_reversal
        most = tf.where(still, tf.constant(1, tf.int64), augment.stride)
        stride, offset = (
            tf.random.stateless_uniform([len(shards)], draw, 0, 2**31, tf.int64)
            for draw in (draws[2], draws[3])
        )
        stride = stride % most + 1
        order = order[worker.number :: worker.count]
        every = (files, still, reversed_, stride, offset % stride)
        columns = tuple(tf.gather(column, order) for column in every)
        return tf.data.Dataset.from_tensor_slices(columns).interleave(
            read, cycle_length=min(len(shards), OPEN_SHARDS), block_length=1
        )

    elements = tf.data.Dataset.counter().flat_map(epoch)
    if hints_alone:
        elements = elements.filter(lambda e: _parse(_record(e), "hint")["hint"] != b"")
    # A folder has a map of every frame.
    elif any(shard.not_looked_at for shard in shards) and not any(teachers.values()):
        elements = elements.filter(_taught)
    blur = tf.constant(dataset.blur)
    elements = elements.map(lambda element: element | {"blur": blur})
    return elements.shuffle(SHUFFLE, seed=seed, reshuffle_each_iteration=False)


def _paired(
    file: tf.Tensor,
    ahead: tf.Tensor,
    still: tf.Tensor,
    stride: tf.Tensor | int = 1,
    offset: tf.Tensor | int = 0,
) -> tf.data.Dataset:
    """Serialized records of a shard, each with its neighbour; the shard is read once.

    Of every `stride` records only that at `offset` is read.

    Of two consecutive records, `ahead` says whether the first is the frame and the second its
    neighbour, or the other way round. At one end of the shard the neighbour is empty.
    """
    count = tf.cast(ahead, tf.int64)
    nothing = tf.data.Dataset.from_tensors(b"").repeat(count)
    records = tf.data.TFRecordDataset(file).shard(stride, offset).concatenate(nothing)
    pairs = records.scan(
        b"",
        lambda first, second: (
            second,
            {
                "first": first,
                "second": second,
                "ahead": ahead,
                "still": still,
                "stride": tf.cast(stride, tf.int64),
            },
        ),
    )
    return pairs.skip(count)


def _record(element: dict[str, tf.Tensor]) -> tf.Tensor:
    """The serialized record of an element's frame."""
    return tf.where(element["ahead"], element["first"], element["second"])


def _neighbour(element: dict[str, tf.Tensor]) -> tf.Tensor:
    """The serialized record beside it, which may be empty or of another recording."""
    return tf.where(element["ahead"], element["second"], element["first"])


def _with_maps(
    elements: tf.data.Dataset,
    teachers: Mapping[str, Path | None],
    file: tf.Tensor,
    stride: tf.Tensor,
    offset: tf.Tensor,
) -> tf.data.Dataset:
    """Add to each element, by kind of teacher, the serialized record that holds the map."""
    for kind, folder in teachers.items():
        key = f"teacher_{kind}"
        if folder is None:
            elements = elements.map(lambda element, key=key: element | {key: _record(element)})
        else:
            # If the last map is missing, an empty record takes its place, which `_teacher_map`
            # refuses.
            maps = tf.data.TFRecordDataset(tf.strings.join([str(folder), "/", file]))
            maps = maps.shard(stride, offset)
            maps = maps.concatenate(tf.data.Dataset.from_tensors(b""))
            elements = tf.data.Dataset.zip(elements, maps).map(
                lambda element, record, key=key: element | {key: record}
            )
    return elements


def _parse(serialized: tf.Tensor, *keys: str) -> dict[str, tf.Tensor]:
    return tf.io.parse_single_example(serialized, {key: FEATURES[key] for key in keys})


def _looked_at(element: dict[str, tf.Tensor]) -> tf.Tensor:
    """Whether the record has fixations or a density map."""
    record = _parse(_record(element), "points", "density")
    return (tf.size(record["points"].values) > 0) | (record["density"] != b"")


def _taught(element: dict[str, tf.Tensor]) -> tf.Tensor:
    """Whether the record has fixations, a density map, or a map of a teacher that is asked for."""
    keys = [key for key in TEACHER_KEYS if key in element]
    record = _parse(_record(element), "points", "density", *keys)
    pictures = tf.stack([record[key] for key in ("density", *keys)])
    return (tf.size(record["points"].values) > 0) | tf.reduce_any(pictures != b"")


def _has_maps(dataset: Dataset, teachers: Mapping[str, Path | None]) -> bool:
    """Whether a dataset has maps of some teachers, in its records or in folders."""
    return any(folder or kind in dataset.teachers for kind, folder in teachers.items())


def _is_nth(element: dict[str, tf.Tensor], every: int) -> tf.Tensor:
    return _parse(_record(element), "index")["index"] % every == 1


def _decode(
    element: dict[str, tf.Tensor], datasets: Sequence[Dataset], view: View
) -> dict[str, tf.Tensor]:
    """Parse one element and decode its pictures, at the size at which they are stored."""
    size = datasets[0].size
    maps = any(dataset.publishes_maps for dataset in datasets)
    place = ("video", "index", "frame")
    gaze = ("aspect", "points", "density") if maps else ("aspect", "points")
    record = _parse(_record(element), *place, *gaze)
    neighbour = _parse(_neighbour(element), *place)
    # The neighbour must be of the same recording, and no frame may be missing between the two;
    # else the frame is paired with itself.
    adjacent = (neighbour["video"] == record["video"]) & (
        tf.abs(neighbour["index"] - record["index"]) == element["stride"]
    )
    frame = _decode_frame(record["frame"], size)
    # A frame that is paired with itself is decoded once.
    other = tf.cond(adjacent, lambda: _decode_frame(neighbour["frame"], size), lambda: frame)
    example = {
        "frame": frame,  # (S, S, 3)
        "other": other,
        "fixations": tf.reshape(record["points"].values, [-1, 2]),
        "aspect": record["aspect"],
        "still": element["still"],
        "video": record["video"],
        "index": record["index"],
    }
    if "blur" in element and any(dataset.blur for dataset in datasets):
        looked_at = record["density"] != b"" if maps else False
        example["blur"] = tf.where(looked_at, element["blur"], 0.0)
    if maps:
        example["density"] = _decode_map_or_zeros(record["density"], size)
    for key in TEACHER_KEYS:
        if key in element:
            example[key] = _teacher_map(element[key], key, record, size // 2)
    if view.hint_size:
        stored = _parse(_record(element), "hint")["hint"]
        example["hint"] = _hint_or_zeros(stored, max(dataset.hints for dataset in datasets))
    return example


def _finish(
    examples: dict[str, tf.Tensor],
    view: View,
    sigma: float,
    augment: AugmentConfig | None = None,
    draws: change.Draws | None = None,
    seeds: tf.Tensor | None = None,
    anywhere: bool = False,
) -> Batch:
    """Shrink a batch of decoded examples and draw its density maps; with `draws`, augment it.

    Args:
        seeds: `[3, 2]` for what `draws` holds no numbers for.
        anywhere: whether a crop may contain nothing that is looked at.
    """
    points = examples["fixations"]  # (B, n, 2)
    count = tf.size(examples["index"])
    crops = others_crops = change.whole(count)
    flip = tf.fill([count], False)
    if draws is not None:
        points = change.by_rows(points.flat_values, points.value_rowids(), points)
        examples = examples | {"fixations": points}
        places = None if anywhere else _looked_at_most(examples)
        crops = others_crops = change.draw_crops(places, augment.smallest_crop, draws.crop)
        moved = change.move_camera(crops, augment.camera_motion, draws.camera)
        others_crops = tf.where(examples["still"][:, None], moved, crops)
        flip = draws.mirror[:, 0] < 0.5
        points = change.mirror_points(change.crop_points(points, crops), flip)
    frames = {}
    for key, crop in (("frame", crops), ("other", others_crops)):
        frame = change.crop_pictures(examples[key], crop, flip, view.size)  # (B, R, R, 3)
        if draws is not None:
            frame = change.recolour(frame, augment.colour, draws.colour)
            frame = change.take_light(frame, augment.grey, augment.dark, draws.light)
        frames[key] = frame
    if draws is not None and (augment.cuts or augment.stills):
        frames["other"] = change.change_pairs(
            frames["frame"], frames["other"], augment.cuts, augment.stills, seeds[0]
        )
    if draws is not None and augment.noise:
        for key, seed in (("frame", seeds[1]), ("other", seeds[2])):
            frames[key] = change.add_noise(frames[key], augment.noise, seed)
    for key, frame in frames.items():
        frames[key] = tf.cast(tf.clip_by_value(tf.round(frame), 0, 255), tf.uint8)
    maps = {
        key: change.crop_pictures(examples[key], crops, flip, view.map_size)
        for key in ("density", *TEACHER_KEYS)
        if key in examples
    }
    # Where density maps are published, fixations are not: one of the two maps is all 0.
    drawn = density(points, view.map_size, sigma, examples["aspect"])
    batch = {
        **frames,
        "density": _sum_to_1(drawn + maps["density"]) if "density" in maps else drawn,
        "fixations": points,
        "video": examples["video"],
        "index": examples["index"],
    }
    if "blur" in examples:
        blur = examples["blur"] / crops[:, 2]
        batch["blur"] = tf.stack([blur, blur / examples["aspect"]], axis=1)  # (B, 2)
    if view.hint_size:
        batch["hint"] = change.crop_pictures(examples["hint"], crops, flip, view.hint_size)
    for key in TEACHER_KEYS:
        if key in maps:
            # Where a crop contains nothing of the teacher's map, the map becomes uniform.
            has_map = tf.reduce_any(examples[key] > 0, axis=[1, 2, 3], keepdims=True)
            batch[key] = tf.where(has_map, _sum_to_1(maps[key] + 1e-3), 0.0)
    return batch


def _decode_frame(jpeg: tf.Tensor, size: int) -> tf.Tensor:
    frame = tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")
    return tf.ensure_shape(frame, [size, size, 3])


def _decode_map_or_zeros(png: tf.Tensor, size: int) -> tf.Tensor:
    return tf.cond(
        png == b"",
        lambda: tf.zeros([size, size, 1], tf.uint8),
        lambda: tf.ensure_shape(tf.io.decode_png(png, channels=1), [size, size, 1]),
    )


def _hint_or_zeros(stored: tf.Tensor, components: int) -> tf.Tensor:
    shape = [GRID, GRID, components]

    def values() -> tf.Tensor:
        levels = tf.reshape(tf.io.decode_raw(stored, tf.uint8), shape)
        return (tf.cast(levels, tf.float32) - MIDDLE) / SCALE

    return tf.cond(stored == b"", lambda: tf.zeros(shape), values)


def density(points: tf.RaggedTensor, size: int, sigma: float, aspect: tf.Tensor) -> tf.Tensor:
    """`uva_tf.data.fixations.density_map` for a batch, on a square grid.

    Args:
        points: `[B, n, 2]` x and y from 0 to 1.
        aspect: `[B]` height / width of the pictures.

    Returns:
        `[B, size, size, 1]` float32; each sums to 1, or is all zero without fixations.
    """
    centres = (tf.range(size, dtype=tf.float32) + 0.5) / size
    x, y = points.flat_values[:, :1], points.flat_values[:, 1:]  # (N, 1)
    tall = tf.gather(aspect, points.value_rowids())[:, None]  # (N, 1)
    across = tf.exp(-0.5 * ((centres - x) / sigma) ** 2)  # (N, W)
    down = tf.exp(-0.5 * ((centres - y) * tall / sigma) ** 2)  # (N, H)
    # Padding comes after the exponentials, so that none is computed of padding.
    across, down = (points.with_flat_values(v).to_tensor() for v in (across, down))  # (B, n, .)
    return _sum_to_1(tf.matmul(down, across, transpose_a=True)[..., None])


def _looked_at_most(examples: dict[str, tf.Tensor]) -> tf.RaggedTensor:
    """Places of which a crop keeps at least one, ragged `[B, n, 2]`.

    These are the fixations, or the peak of the density map; in a frame without gaze, the peaks
    of the teachers' maps.
    """
    places = examples["fixations"]
    if "density" in examples:
        places = tf.concat([places, _peaks(examples["density"])], axis=1)
    unseen = (places.row_lengths() == 0)[:, None, None, None]
    taught = [
        _peaks(tf.where(unseen, examples[key], tf.zeros_like(examples[key])))
        for key in TEACHER_KEYS
        if key in examples
    ]
    return tf.concat([places, *taught], axis=1)


def _peaks(maps: tf.Tensor) -> tf.RaggedTensor:
    """The highest place of each map `[B, S, S, 1]`, ragged `[B, n, 2]`; none if a map is all 0."""
    size = maps.shape[1]
    flat = tf.reshape(maps, [tf.shape(maps)[0], -1])  # (B, S * S)
    place = tf.argmax(flat, axis=1)
    point = (tf.cast(tf.stack([place % size, place // size], axis=1), tf.float32) + 0.5) / size
    somewhere = tf.reduce_max(flat, axis=1) > 0
    return tf.ragged.boolean_mask(point[:, None], somewhere[:, None])  # (B, 0 or 1, 2)


def _sum_to_1(maps: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(maps, tf.reduce_sum(maps, axis=[1, 2, 3], keepdims=True))


def _teacher_map(
    serialized: tf.Tensor, key: str, record: dict[str, tf.Tensor], size: int
) -> tf.Tensor:
    """Decode the teacher's map of a record's frame; raises InvalidArgumentError for another's."""
    stored = _parse(serialized, "video", "index", key)
    same = (stored["video"] == record["video"]) & (stored["index"] == record["index"])
    message = "teachers' maps and frames are out of step: make the maps again"
    with tf.control_dependencies([tf.debugging.Assert(same, [message])]):
        return _decode_map_or_zeros(stored[key], size)
