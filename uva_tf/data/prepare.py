"""From a folder of recordings to a prepared dataset, in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError, some
from uva_tf.core.outputs import refuse_existing, refuse_undecodable
from uva_tf.core.processors import processors
from uva_tf.core.resize import EXACT_SIZES
from uva_tf.data import synthetic
from uva_tf.data.dataset import Dataset
from uva_tf.data.hints import hint_components
from uva_tf.data.layouts import recordings_of
from uva_tf.data.readers import with_hints, with_maps
from uva_tf.data.recordings import Recording, remarks
from uva_tf.data.splits import read_split
from uva_tf.data.writer import Elsewhere, Job, Progress, write_dataset
from uva_tf.gaze.options import NOTHING_STATED, GazeOptions


@dataclass(frozen=True)
class Request:
    """What is to be prepared, and how; see `prepare`."""

    layout: str
    root: Path
    config: DataConfig
    split: Path | None
    maps: Mapping[str, Path]
    hints: Path | None
    options: GazeOptions
    skip_bad: bool


@dataclass(frozen=True)
class Listing:
    """The recordings of a request, not yet decoded.

    Attributes:
        good: those to write.
        splits: theirs, by name.
        skipped: why each of the others can't be read.
        withheld: how many have no published gaze.
        hints: components of the hints.
    """

    good: list[Recording]
    splits: dict[str, str]
    skipped: dict[str, str]
    withheld: int
    hints: int


def prepare(
    layout: str,
    root: Path,
    out: Path,
    config: DataConfig | None = None,
    *,
    split: Path | None = None,
    maps: Mapping[str, Path] | None = None,
    hints: Path | None = None,
    options: GazeOptions = NOTHING_STATED,
    map_sigma: float = 0.0,
    skip_bad: bool = False,
    jobs: int | None = None,
    progress: Progress = lambda shards, total: shards,
    elsewhere: Callable[[Request], Elsewhere] | None = None,
) -> Dataset:
    """Read the recordings in `root` and write their shards to `out`.

    If a preparation was killed, the same call continues it. The layout `synthetic` draws the
    recordings to `root` first, unless `root` exists.

    Args:
        layout: how `root` is arranged, a key of `LAYOUTS`.
        split: file of `name,split` rows; by default `split.csv` in `root`, else the split
            that the layout gives, else every recording is for training.
        maps: by kind of teacher (`spatial`, `temporal`), a folder of maps that another model
            made, see `with_maps`.
        hints: a folder of another network's features, see `with_hints`.
        options: what is stated of the recorded gaze.
        map_sigma: of the Gaussians in published density maps, if they are wider than those of
            `config`.
        skip_bad: leave out recordings that can't be read and list them in `skipped`.
        jobs: shards written at a time; by default one for each processor.
        progress: wraps the iterator over finished shards.
        elsewhere: lets other machines write the shards, see `shard_actor.spread`.

    Raises InputError if `out` exists or the recordings do not fit the layout.
    """
    refuse_existing(out)
    refuse_undecodable(out)
    if layout == "synthetic" and not root.exists():
        synthetic.write_recordings(root)
    config = config or DataConfig()
    request = Request(layout, root, config, split, maps or {}, hints, options, skip_bad)
    listing = list_recordings(request)
    return write_dataset(
        listing.good,
        listing.splits,
        out,
        job_of(request, listing),
        map_sigma=map_sigma,
        jobs=jobs or processors(),
        skipped=listing.skipped,
        withheld=listing.withheld,
        progress=progress,
        elsewhere=elsewhere(request) if elsewhere else None,
    )


def job_of(request: Request, listing: Listing) -> Job:
    """What is the same for all shards of a request."""
    return Job(
        layout=request.layout,
        config=request.config,
        gaze=request.options.stated(),
        teachers=tuple(sorted(request.maps)),
        hints=listing.hints,
        skip_bad=request.skip_bad,
    )


def list_recordings(request: Request) -> Listing:
    """List what is to be written; raises InputError like `prepare`."""
    layout, root = request.layout, request.root
    recordings = recordings_of(layout, root, request.options)
    found = [_with_valid_name(recording) for recording in recordings]
    recordings = [recording for recording in found if not recording.withheld]
    for kind, folder in request.maps.items():
        recordings = [r if r.problem else with_maps(r, kind, folder) for r in recordings]
    components = hint_components(request.hints) if request.hints else 0
    if request.hints:
        recordings = [
            r if r.problem else with_hints(r, request.hints, components) for r in recordings
        ]
    if not recordings:
        raise InputError(f"{root}: the gaze of all its {len(found)} recordings is withheld")
    bad = [recording for recording in recordings if recording.problem]
    bad.sort(key=_has_valid_name)  # a wrong name explains why a table's rows have no recording
    good = [recording for recording in recordings if not recording.problem]
    if bad and not (request.skip_bad and good):
        more = f"; also bad: {some([r.name for r in bad[1:]])}" if len(bad) > 1 else ""
        remedy = f"; --skip-bad leaves {'them' if more else 'it'} out" if good else ""
        raise InputError(bad[0].problem + more + remedy)
    return Listing(
        good,
        splits_of(good, found, root, request.split),
        {recording.name: recording.problem for recording in bad},
        len(found) - len(recordings),
        components,
    )


def _has_valid_name(recording: Recording) -> bool:
    """Whether the name is valid Unicode: Python reads bytes that are not UTF-8 as surrogates."""
    return not any("\udc80" <= letter <= "\udcff" for letter in recording.name)


def _with_valid_name(recording: Recording) -> Recording:
    """The recording, with a problem if its name is not valid Unicode."""
    if _has_valid_name(recording) or recording.withheld:
        return recording
    problem = (
        f"{recording.name}: the name of this recording, or the locale, is not UTF-8: rename it, "
        "or set PYTHONUTF8=1"
    )
    return replace(recording, problem=problem)


def summary(dataset: Dataset) -> str:
    """What was prepared and what was left out: one line for each split and each reason."""
    lines = [f"wrote {dataset.folder}"]
    for name in sorted({shard.split for shard in dataset.shards}):
        shards = dataset.split(name)
        recordings = sum(len(shard.recordings) for shard in shards)
        frames = sum(shard.frames for shard in shards)
        fixations = sum(shard.fixations for shard in shards)
        empty = sum(shard.not_looked_at for shard in shards)
        gaze = (
            "density maps instead of fixations"
            if dataset.publishes_maps
            else f"{fixations} fixations (counted in every frame that they last)"
        )
        lines.append(
            f"{name}: {recordings} recordings, {frames} frames, {gaze}, {empty} frames without gaze"
        )
    if dataset.size not in EXACT_SIZES:
        lines.append(
            f"note: frames stored at {dataset.size} px differ slightly from what a model sees of "
            f"a video; at {', '.join(map(str, EXACT_SIZES))} px they do not"
        )
    for kind in dataset.teachers:
        lines.append(f"with maps of a {kind} teacher")
    if dataset.hints:
        lines.append(f"with hints of {dataset.hints} components")
    left_out = {name: counts for shard in dataset.shards for name, counts in shard.left_out.items()}
    notes = {name: found for shard in dataset.shards for name, found in shard.notes.items()}
    lines += remarks(left_out, notes)
    if dataset.withheld:
        lines.append(f"left out: {dataset.withheld} recordings whose gaze is not published")
    for name, reason in dataset.skipped.items():
        lines.append(f"skipped: {name}: {reason}")
    return "\n".join(lines)


def splits_of(
    recordings: Sequence[Recording], found: Sequence[Recording], root: Path, path: Path | None
) -> dict[str, str]:
    """Each recording's split: from a file, else from the layout, else `train`.

    Raises InputError, like `read_split`, also for a file that is named like `split.csv`.
    """
    if path is None and not (root / "split.csv").exists():
        for one in root.iterdir():
            if one.name.casefold() == "split.csv":
                raise InputError(f"{one}: name it split.csv, or give it as --split")
        return {recording.name: recording.split or "train" for recording in recordings}
    names, others = ([recording.name for recording in part] for part in (recordings, found))
    return read_split(path or root / "split.csv", names, optional=others)
