"""Readers of trackers' exports: each is a function and a line in `EXPORTS`.

A reader gets the folder of exports, the names of the clips, and what the user stated. It returns
every trial that it finds, and decodes no video.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError, some
from uva_tf.core.files import check_folder
from uva_tf.gaze.exports.bids import bids
from uva_tf.gaze.exports.eyelink import eyelink
from uva_tf.gaze.exports.files import files_in
from uva_tf.gaze.exports.frame_numbered import frames
from uva_tf.gaze.exports.gazepoint import gazepoint
from uva_tf.gaze.exports.plain import samples
from uva_tf.gaze.exports.pupil_cloud import pupil_cloud
from uva_tf.gaze.exports.pupil_core import pupil_core
from uva_tf.gaze.exports.smi import smi
from uva_tf.gaze.exports.tobii import tobii
from uva_tf.gaze.exports.webgazer import webgazer
from uva_tf.gaze.names import composed, matched, without_suffix
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.tables import TextTable
from uva_tf.gaze.trials import Samples, Trial

Reader = Callable[[Path, Collection[str], GazeOptions], list[Trial]]

COPIES = "several trials have exactly the same gaze: if a file was copied, remove the copy"
NAMELESS = "trials that name no clip, of a file that names one for others"

EXPORTS: dict[str, Reader] = {
    "eyelink": eyelink,
    "smi": smi,
    "pupil-core": pupil_core,
    "pupil-cloud": pupil_cloud,
    "tobii": tobii,
    "gazepoint": gazepoint,
    "bids": bids,
    "samples": samples,
    "frames": frames,
    "webgazer": webgazer,
}
# Those of plain tables, whose columns and units a user can state.
PLAIN = (samples, frames)
# The files that a reader looks for, where it does not say so itself.
LOOKED_FOR: dict[Reader, str] = {
    pupil_core: "gaze_positions.csv and fixations.csv of Pupil Player, or those of surfaces",
    pupil_cloud: "gaze.csv and fixations.csv of Pupil Cloud or Neon Player",
    tobii: "tables *.tsv, *.csv or *.txt of Pro Lab, Studio or the Pro SDK",
    gazepoint: "NAME_all_gaze.csv and NAME_fixations.csv of Gazepoint Analysis",
    bids: "*_physio.tsv.gz or *_eyetrack.tsv.gz of BIDS, each with a sidecar *.json that names "
    "columns of gaze",
    samples: "tables *.csv, *.tsv or *.txt with a time, x and y in each row",
    frames: "tables with a frame, x and y in each row",
    webgazer: "files *.json or *.csv with WebGazer's gaze",
}
# How large most numbers are, from and up to, in units of places.
LARGE = {"fractions": (0.0, 2.0), "percent": (2.0, 110.0), "pixels": (2.0, np.inf)}


def read_trials(
    reader: Reader, root: Path, clips: Collection[str], options: GazeOptions
) -> list[Trial]:
    """The trials of a dataset, each with the name of a file in `videos` and of its observer.

    `trials.csv` in `root`, if it is there, says of each trial (`file`, `trial`) which `clip` it
    is of, and may say the `observer` and `onset_ms`, when the clip began after the trial.
    Trials that it does not list are left out and noted.

    Args:
        root: folder with `gaze`, the exports.
        clips: names of the clips, without extension.

    Raises InputError for an export that can't be read, or for no trials.
    """
    folder = root / "gaze"
    check_folder(folder, ", the layout needs it")
    trials = _copies_noted(reader(folder, clips, options))
    if not trials:
        there = some([str(path.relative_to(folder)) for path in files_in(folder, ("",))])
        looked_for = f": expected {LOOKED_FOR[reader]}" if reader in LOOKED_FOR else ""
        raise InputError(f"{folder}: no gaze in it{looked_for}; found {there or 'no files'}")
    if reader not in PLAIN:
        _check_units(trials, options)
    if (root / "trials.csv").exists():
        trials = _listed(trials, folder, root / "trials.csv")
    else:
        trials = _without_nameless(trials)
    meant = matched({trial.clip for trial in trials if trial.clip}, clips)
    if not (root / "trials.csv").exists():
        trials = _of_clips(trials, clips, meant)
    return [_named(trial, folder, clips, meant) for trial in trials]


def _check_units(trials: list[Trial], options: GazeOptions) -> None:
    """Raise InputError if a user states other units of places than an export has.

    What the user states is right if only that fits the numbers, since a table may have been
    converted.
    """
    for trial in trials:
        if options.units in ("", trial.units):
            continue
        gaze = trial.samples or trial.fixations
        places = np.abs(np.stack([gaze.x, gaze.y]))
        most = np.quantile(places[np.isfinite(places)], 0.9) if np.isfinite(places).any() else 0.0
        (low, high), (own_low, own_high) = LARGE[options.units], LARGE[trial.units]
        own_fits = own_low < most <= own_high and trial.units != "pixels"
        if own_fits or not low < most <= high:
            raise InputError(
                f"{trial.file}: its places are {trial.units}: leave --units {options.units} out"
            )


def _copies_noted(trials: list[Trial]) -> list[Trial]:
    """The trials; a note on those whose gaze on a clip equals that of another."""
    prints = [_fingerprint(trial) for trial in trials]
    counts = Counter(prints)
    return [
        replace(trial, notes=(*trial.notes, COPIES)) if one and counts[one] > 1 else trial
        for one, trial in zip(prints, trials, strict=True)
    ]


def _fingerprint(trial: Trial) -> bytes:
    """A checksum of a trial's clip and gaze; empty without gaze."""
    gazes = [gaze for gaze in (trial.samples, trial.fixations) if gaze is not None]
    if not any(np.isfinite(gaze.x).any() for gaze in gazes):
        return b""
    checksum = hashlib.sha256(trial.clip.encode())
    for gaze in gazes:
        for column in vars(gaze).values():
            checksum.update(b"" if column is None else np.ascontiguousarray(column).tobytes())
    return checksum.digest()


def _without_nameless(trials: list[Trial]) -> list[Trial]:
    """Trials without those that name no clip, of files that name one for others: practice, say."""
    kept = {trial.file: trial for trial in reversed(trials) if trial.clip}
    for trial in trials:
        if not trial.clip and trial.file in kept:
            kept[trial.file].left_out.update(trial.left_out + Counter({NAMELESS: 1}))
    return [trial for trial in trials if trial.clip or trial.file not in kept]


def _listed(trials: list[Trial], folder: Path, path: Path) -> list[Trial]:
    """The trials that a table lists, with the clips and observers that it names."""
    table = TextTable(path, ("file", "clip"))
    text = [name for name in ("file", "clip", "observer") if name in table.names]
    numbers = [name for name in ("trial", "onset_ms") if name in table.names]
    rows = table.read(text, numbers)
    if rows.bad:
        raise InputError(next(iter(rows.bad.values())))
    if not len(rows.line):
        raise InputError(f"{path}: no trials in it")
    of_file: dict[str, dict[int, Trial]] = defaultdict(dict)
    for trial in trials:
        of_file[trial.file.relative_to(folder).as_posix()][trial.number] = trial
    chosen: dict[tuple[str, int], Trial] = {}
    for row, line in enumerate(rows.line):
        file = rows.text["file"][row]
        number = rows.numbers["trial"][row] if "trial" in numbers else np.nan
        onset = np.nan_to_num(rows.numbers["onset_ms"][row]) if "onset_ms" in numbers else 0.0
        observer = rows.text["observer"][row] if "observer" in text else ""
        there = of_file.get(file, {})
        # Without a number, a row is of all trials of its file.
        mine = list(there) if np.isnan(number) else [number] if number in there else []
        if not mine:
            known = f"it has trials {min(there)} to {max(there)}" if there else "no such file"
            which = file if np.isnan(number) else f"trial {number:g} of {file}"
            raise InputError(f"{path} line {line}: no {which} in {folder}: {known}")
        for one in mine:
            if (file, one) in chosen:
                raise InputError(f"{path} line {line}: trial {one:g} of {file} is listed twice")
            numbered = there[one].samples is not None and there[one].samples.frame is not None
            if numbered and onset:
                raise InputError(
                    f"{path} line {line}: onset_ms, but samples of {file} are numbered by frame"
                )
            chosen[file, one] = replace(
                _later(there[one], onset),
                clip=rows.text["clip"][row],
                observer=observer or there[one].observer,
            )
    unlisted = len(trials) - len(chosen)
    note = (f"{unlisted} trials that {path.name} does not list were left out",) if unlisted else ()
    return [replace(trial, notes=(*trial.notes, *note)) for trial in chosen.values()]


def _of_clips(trials: list[Trial], clips: Collection[str], meant: Collection[str]) -> list[Trial]:
    """The trials of clips, if there are some; other things that were shown are noted.

    A name that differs from those of several clips in case only is kept, to be refused by name.

    Args:
        meant: other names of the clips.
    """
    near = {without_suffix(name).casefold() for name in (*clips, *meant)}
    others = {one.clip for one in trials if without_suffix(one.clip).casefold() not in near} - {""}
    chosen = [trial for trial in trials if trial.clip not in others]
    if not others or not any(trial.clip for trial in chosen):
        return trials
    note = f"left out what is no clip in videos: {some([repr(name) for name in sorted(others)])}"
    return [replace(trial, notes=(*trial.notes, note)) for trial in chosen]


def _later(trial: Trial, onset: float) -> Trial:
    """The trial with times counted from `onset`, in ms."""
    samples, fixations = trial.samples, trial.fixations
    if samples is not None and samples.time is not None:
        samples = Samples(samples.time - onset, samples.x, samples.y)
    if fixations is not None:
        fixations = replace(fixations, onset=fixations.onset - onset)
    return replace(trial, samples=samples, fixations=fixations)


def _named(trial: Trial, folder: Path, clips: Collection[str], meant: dict[str, str]) -> Trial:
    """The trial with its clip's and observer's names, as far as they can be known."""
    notes = list(trial.notes)
    clip, observer = meant.get(trial.clip, trial.clip), trial.observer
    if clip != trial.clip and composed(without_suffix(trial.clip)) != composed(clip):
        notes.append("names in the exports differ in case from those of the files")
    if not clip and len(clips) == 1:
        (clip,) = clips
        notes.append(f"exports name no clip: taken as gaze on {clip!r}, the only one")
    if not clip:
        raise InputError(
            f"{trial.file}: trial {trial.number} names none of the {len(clips)} clips "
            f"({some(sorted(clips))}): list it in trials.csv (file,trial,clip,observer)"
        )
    if not observer:
        observer = str(trial.file.relative_to(folder).with_suffix(""))
        notes.append("observers are named after the exports' files")
    return replace(trial, clip=clip, observer=observer, notes=tuple(notes))
