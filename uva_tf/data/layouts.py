"""Layouts: how the folders of datasets are arranged; each is a function and a line in `LAYOUTS`.

A layout lists a folder and returns its recordings, sorted by name. It decodes no frames and
writes nothing. A recording that does not fit is returned too, with its `problem`, so that the
others can be used without it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from uva_tf.config import SPLITS
from uva_tf.core.errors import InputError, some
from uva_tf.core.files import listed
from uva_tf.core.pictures import IMAGE_SUFFIXES
from uva_tf.core.video import VIDEO_SUFFIXES
from uva_tf.data import readers
from uva_tf.data.folders import files_by_name, subfolders
from uva_tf.data.recordings import Recording, unreadable, withheld
from uva_tf.gaze.exports import listing
from uva_tf.gaze.exports.files import files_in
from uva_tf.gaze.fixation_table import FixationTable, read_fixations
from uva_tf.gaze.names import composed, matched, same_number, without_suffix
from uva_tf.gaze.options import NOTHING_STATED, GazeOptions
from uva_tf.gaze.plausible import ONE_OBSERVER, check_table
from uva_tf.gaze.trials import Trial


def gaze(root: Path, options: GazeOptions = NOTHING_STATED) -> list[Recording]:
    """Clips: `videos/NAME.*` and `fixations.csv`.

    The table's columns are `video, observer, onset_ms, duration_ms, x, y`: the onset counts
    from the first frame, x and y are pixels of the clip. A fixation belongs to every frame
    that was shown while it lasted.
    """
    columns = ("video", "onset_ms", "duration_ms", "x", "y")
    return _with_table(root, "videos", VIDEO_SUFFIXES, columns, readers.clip, options)


def videos(root: Path) -> list[Recording]:
    """Clips without gaze, for teachers to draw maps of: `videos/NAME.*`."""
    files = files_by_name(root / "videos", VIDEO_SUFFIXES)
    recordings = [readers.footage(name, path) for name, path in files.items()]
    return _sorted(recordings, root, "videos")


def images(root: Path, options: GazeOptions = NOTHING_STATED) -> list[Recording]:
    """Photographs: `images/NAME.*` and `fixations.csv` with `image, observer, x, y` in pixels.

    In place of the table, `maps/NAME.*` may hold a grey map of each: where people looked.
    """
    if (root / "maps").is_dir() and not (root / "fixations.csv").exists():
        return _with_attention_maps(root)
    columns = ("image", "x", "y")
    return _with_table(root, "images", IMAGE_SUFFIXES, columns, readers.photograph, options)


def exported(
    reader: listing.Reader, root: Path, options: GazeOptions = NOTHING_STATED
) -> list[Recording]:
    """Clips `videos/NAME.*`, and in `gaze` what a tracker's software exported.

    Args:
        reader: of that software's exports, one of `EXPORTS`.
    """
    files = files_by_name(root / "videos", VIDEO_SUFFIXES)
    trials = listing.read_trials(reader, root, set(files), options)
    numbering = {name: n for n, name in enumerate(dict.fromkeys(t.observer for t in trials))}
    sources = [path for path in (root / "trials.csv",) if path.exists()]
    sources += files_in(root / "gaze", ("",))
    by_clip: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        notes = (*trial.notes, ONE_OBSERVER) if len(numbering) == 1 else trial.notes
        by_clip[trial.clip].append(replace(trial, notes=notes))
    recordings = []
    for name in set(files) & set(by_clip):
        mine = by_clip[name]
        recordings.append(
            readers.watched(
                name,
                files[name],
                mine,
                options,
                numbering,
                sources,
                timed=reader not in listing.PLAIN,
            )
        )
    for name in set(by_clip) - set(files):
        trial = by_clip[name][0]
        problem = f"{root / 'videos'}: no file for {name!r} of {trial.file.name}"
        hint = _but(name, files) or _misread(name, trial.notes)
        recordings.append(unreadable(name, problem + hint))
    for name in set(files) - set(by_clip):
        problem = f"{files[name]}: no gaze on it in {root / 'gaze'}{_but(name, by_clip)}"
        if not set(files) & set(by_clip):
            shown = some([repr(clip) for clip in sorted(by_clip)])
            problem += f", only on {shown}: rename the clip, or list trials in trials.csv"
        recordings.append(unreadable(name, problem))
    return _sorted(recordings, root, "videos")


def dhf1k(root: Path) -> list[Recording]:
    """DHF1K: `video/001.AVI`, `annotation/0001/fixation/0001.png` or `fixation/maps/0001.mat`.

    Videos 1 to 600 are for training, 601 to 700 for validation, 701 to 1000 for testing. The
    gaze of a test video without annotation was withheld.
    """
    recordings = []
    annotations = {
        int(path.name): path for path in subfolders(root / "annotation") if path.name.isdecimal()
    }
    for name, path in files_by_name(root / "video", VIDEO_SUFFIXES).items():
        number = int(name) if name.isdecimal() and len(name) < 10 else 0
        split = "train" if number <= 600 else "val" if number <= 700 else "test"
        folder = annotations.pop(number, None)
        if not 1 <= number <= 1000:
            recordings.append(unreadable(name, f"{path}: expected a name from 001 to 1000"))
        elif folder is not None:
            recordings.append(_guarded(name, readers.mapped_video, path, folder, split))
        elif split == "test":
            recordings.append(withheld(name))
        else:
            problem = f"{path}: no folder annotation/{number:04d} for it"
            recordings.append(unreadable(name, problem))
    for number, path in annotations.items():
        problem = f"{path}: no video for it in {root / 'video'}"
        recordings.append(unreadable(f"{number:03d}", problem))
    return _sorted(recordings, root, "video/001.AVI")


def avs1k(root: Path) -> list[Recording]:
    """AVS1K: `{trainSet,validSet,testSet}/{Frame,Ground}/CLIP/CLIP_00001.png`.

    Ground holds density maps; fixations are not published. Some copies have Frame and
    Ground swapped: the folder whose pictures are in colour holds the frames.
    """
    recordings = []
    for part, split in (("trainSet", "train"), ("validSet", "val"), ("testSet", "test")):
        if not (root / part).is_dir():
            continue
        frames, ground = (
            {path.name: path for path in subfolders(root / part / kind)}
            for kind in ("Frame", "Ground")
        )
        for name in set(frames) ^ set(ground):
            missing = root / part / ("Ground" if name in frames else "Frame") / name
            recordings.append(unreadable(name, f"{missing}: no such folder"))
        both = sorted(set(frames) & set(ground))
        notes = []
        if _swapped([(frames[name], ground[name]) for name in both]):
            frames, ground = ground, frames
            notes = [
                "Frame and Ground are swapped in this copy: they were read the other way round"
            ]
        for name in both:
            clip = readers.density_clip
            recordings.append(_guarded(name, clip, frames[name], ground[name], split, notes))
    return _sorted(recordings, root, "trainSet, validSet or testSet")


def ucf_sports(root: Path) -> list[Recording]:
    """UCF-Sports: `{training,testing}/Diving-Side-001/images/Diving-Side_001_001.png`.

    Beside `images` is `fixation`, with pictures or .mat files, in some copies in a folder `maps`.
    """
    return _frame_folders(root, lambda name: name)


def hollywood2(root: Path) -> list[Recording]:
    """Hollywood-2: `{training,testing}/actioncliptrain00001_1/images/actioncliptrain00001_*.png`.

    A recording is one shot of a clip; frame numbers continue from shot to shot. Beside
    `images` is `fixation`, as in UCF-Sports.
    """
    return _frame_folders(root, lambda name: name.rpartition("_")[0] or name)


def salicon(root: Path) -> list[Recording]:
    """SALICON: `images/COCO_train2014_000000000001.jpg`, `fixations/train/*.mat`.

    The gaze of the test images is withheld.
    """
    # Some copies sort the pictures into a folder for each split.
    parts = [root / "images" / part for part in SPLITS if (root / "images" / part).is_dir()]
    pictures = {
        name: path
        for folder in parts or [root / "images"]
        for name, path in files_by_name(folder, IMAGE_SUFFIXES).items()
    }
    fixations = {
        path.stem: path
        for part in SPLITS
        if (root / "fixations" / part).is_dir()
        for path in listed(root / "fixations" / part, (".mat",))
    }
    recordings = []
    for name, path in pictures.items():
        part = re.fullmatch(r"COCO_(train|val|test)2014_\d{12}", name)
        if part is None:
            problem = f"{path}: expected a name such as COCO_train2014_000000000009"
            recordings.append(unreadable(name, problem))
        elif name in fixations:
            recordings.append(readers.salicon_picture(name, path, fixations[name], part[1]))
        elif part[1] == "test":
            recordings.append(withheld(name))
        else:
            problem = f"{path}: no fixations/{part[1]}/{name}.mat for it"
            recordings.append(unreadable(name, problem))
    for name in set(fixations) - set(pictures):
        recordings.append(unreadable(name, f"{fixations[name]}: no picture for it in images"))
    return _sorted(recordings, root, "images/COCO_*.jpg")


# Layouts of own recordings, of which a user can state what their files leave open.
OWN: dict[str, Callable[[Path, GazeOptions], list[Recording]]] = {
    "gaze": gaze,
    "images": images,
    **{name: partial(exported, reader) for name, reader in listing.EXPORTS.items()},
}
LAYOUTS: dict[str, Callable[[Path], list[Recording]]] = {
    **OWN,
    "videos": videos,
    "dhf1k": dhf1k,
    "avs1k": avs1k,
    "ucf-sports": ucf_sports,
    "hollywood2": hollywood2,
    "salicon": salicon,
    "synthetic": gaze,  # `prepare` draws them first
}


# Of fixations in a table there are no samples, and no messages.
_OF_SAMPLES = ("fixations", "screen_cm", "distance_cm", "onset")
# The fields of `GazeOptions` that a layout has no use for.
NOT_USED = {
    "gaze": _OF_SAMPLES,
    "images": (*_OF_SAMPLES, "times"),
    "samples": ("onset",),
    "frames": ("onset", "times", "screen_cm", "distance_cm"),
}

# How names of tables end that are not named as they should be.
TABLE_SUFFIXES = (".csv", ".csv.txt", ".ods", ".tsv", ".txt", ".xls", ".xlsx")


def recordings_of(layout: str, root: Path, options: GazeOptions) -> list[Recording]:
    """The recordings of a folder, of whose gaze a user states something.

    Raises InputError if there is no such folder, and if something is stated of a layout that
    leaves nothing open.
    """
    if not root.is_dir():
        raise InputError(f"{root}: {'not a' if root.exists() else 'no such'} folder")
    plain = [name for name, reader in listing.EXPORTS.items() if reader in listing.PLAIN]
    if options.columns and layout not in plain:
        raise InputError(f"--columns: it is for the layouts {', '.join(plain)}")
    for field in options.stated():
        option = "--units" if field == "times" else f"--{field.replace('_', '-')}"
        if field in NOT_USED.get(layout, ()):
            raise InputError(f"{option}: the layout {layout} has no use for it")
        if layout not in OWN:
            raise InputError(
                f"{option}: the layout {layout} states it itself; it is for {', '.join(OWN)}"
            )
    return OWN[layout](root, options) if layout in OWN else LAYOUTS[layout](root)


def _with_table(
    root: Path,
    folder: str,
    suffixes: tuple[str, ...],
    columns: tuple[str, ...],
    make: Callable[[str, Path, FixationTable, Path, GazeOptions], Recording],
    options: GazeOptions,
) -> list[Recording]:
    """Join files and rows of `fixations.csv` by name.

    A file without rows, and rows without a file, become recordings with a problem.
    """
    path = root / "fixations.csv"
    _check_there(path)
    tables, problems = read_fixations(path, columns[0], columns[1:])
    odd = check_table(tables, path, times_stated=bool(options.times))
    tables = {name: replace(one, notes=(*one.notes, *odd)) for name, one in tables.items()}
    files = files_by_name(root / folder, suffixes)
    meant = matched(tables, files)
    if any(without_suffix(name) != name for name in meant):
        note = f"the extension of names in {path.name} was ignored"
        tables = {name: replace(one, notes=(*one.notes, note)) for name, one in tables.items()}
    if any(composed(without_suffix(name)) != composed(file) for name, file in meant.items()):
        note = f"names in {path.name} differ in case from those of the files"
        tables = {name: replace(one, notes=(*one.notes, note)) for name, one in tables.items()}
    tables = {meant.get(name, name): table for name, table in tables.items()}
    problems = {meant.get(name, name): problem for name, problem in problems.items()}
    recordings = []
    for name in set(files) & set(tables):
        if name in problems:
            recordings.append(unreadable(name, problems[name]))
        else:
            recordings.append(make(name, files[name], tables[name], path, options))
    for name in set(tables) - set(files):
        hint = _but(name, files) or _other_format(root / folder, name, suffixes)
        hint = hint or _misread(name, tables[name].notes)
        problem = f"{root / folder}: no file for {name!r} of {path.name}{hint}"
        recordings.append(unreadable(name, problem))
    for name in set(files) - set(tables):
        hint = _but(name, tables) or _misread(name, next(iter(tables.values())).notes)
        problem = f"{files[name]}: no rows in {path.name}{hint}"
        recordings.append(unreadable(name, problem))
    return _sorted(recordings, root, folder)


def _with_attention_maps(root: Path) -> list[Recording]:
    """Join photographs and maps by name; one without the other has a problem."""
    pictures = files_by_name(root / "images", IMAGE_SUFFIXES)
    maps = files_by_name(root / "maps", IMAGE_SUFFIXES)
    recordings = [
        readers.mapped_photograph(name, pictures[name], maps[name])
        for name in set(pictures) & set(maps)
    ]
    for name in set(pictures) ^ set(maps):
        path, other = (pictures[name], "maps") if name in pictures else (maps[name], "images")
        recordings.append(unreadable(name, f"{path}: no file of this name in {root / other}"))
    return _sorted(recordings, root, "images")


def _check_there(path: Path) -> None:
    """Raise InputError, which names the file that is there, for a table under another name."""
    if path.exists() or not path.parent.is_dir():
        return
    names = {f"{path.stem}{ending}" for ending in TABLE_SUFFIXES}
    near = [one.name for one in path.parent.iterdir() if one.name.casefold() in names]
    if near:
        raise InputError(
            f"{path}: no such file, but {some(sorted(near))}: name it {path.name}, as text with "
            "commas, semicolons or tabs between cells"
        )


def _misread(name: str, notes: Iterable[str]) -> str:
    """A hint if a name has letters of an encoding that was guessed."""
    guessed = not name.isascii() and any("as cp1252" in note for note in notes)
    return "; it was read as cp1252: save it as UTF-8 if it is not" * guessed


def _but(name: str, others: Iterable[str]) -> str:
    """A hint if one of the others is the name in another case, or with an extension or zeros."""
    plain = without_suffix(name).casefold()
    others = sorted(others)
    near = [other for other in others if without_suffix(other).casefold() == plain]
    if not near:
        number = same_number(name)
        alike = [other for other in others if number and same_number(other) == number]
        if alike:
            return f", but {alike[0]!r}: did a spreadsheet change the number? names must be alike"
        return ""
    case = near[0].casefold() == name.casefold()
    rule = "names must agree in case" if case else "give names without extension"
    return f", but {near[0]!r}: {rule}"


def _other_format(folder: Path, name: str, suffixes: tuple[str, ...]) -> str:
    """A hint if the folder has a file of that name in a format that is not read."""
    found = [path.name for path in folder.iterdir() if path.stem == name and path.suffix]
    return f", but {min(found)}: expected {', '.join(suffixes)}" if found else ""


def _swapped(pairs: list[tuple[Path, Path]]) -> bool:
    """Whether the pairs of folders are swapped: maps in grey come first, frames in colour second.

    The first pair with exactly one folder in colour decides.
    """
    for frames, ground in pairs:
        one, other = readers.coloured(frames), readers.coloured(ground)
        if None not in (one, other) and one != other:
            return other
    return False


def _frame_folders(root: Path, prefix: Callable[[str], str]) -> list[Recording]:
    """Clips in `training` and `testing`, each a folder of pictures and one of fixations."""
    recordings = [
        _guarded(folder.name, readers.mapped_frames, folder, prefix(folder.name), split)
        for part, split in (("training", "train"), ("testing", "test"))
        if (root / part).is_dir()
        for folder in subfolders(root / part)
    ]
    return _sorted(recordings, root, "training or testing")


def _guarded(name: str, make: Callable[..., Recording], *args: object) -> Recording:
    """What `make` returns, or a recording with a problem if it raises InputError."""
    try:
        return make(name, *args)
    except InputError as error:
        return unreadable(name, str(error))


def _sorted(recordings: list[Recording], root: Path, expected: str) -> list[Recording]:
    """Sort by name; raises InputError if there are none, or two have the same name."""
    if not recordings:
        raise InputError(f"{root}: no recordings in it, expected {expected}")
    counts = Counter(recording.name for recording in recordings)
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise InputError(f"{root}: two recordings have the same name: {some(twice)}")
    return sorted(recordings, key=lambda recording: recording.name)
