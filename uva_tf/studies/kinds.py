"""How well attention carries over: one kind of scene is left out, and scored, at a time.

A training sees the clips of all other kinds, and whatever else its row adds. So each clip is scored
by students that saw no scene of its kind.
"""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from uva_tf.config import STAGES, Config
from uva_tf.core.errors import InputError, some
from uva_tf.core.files import check_file, read_input
from uva_tf.core.names import distinct_names
from uva_tf.core.outputs import new_file, new_folder
from uva_tf.core.text_tables import write_csv
from uva_tf.data.dataset import Dataset, open_dataset, write_index
from uva_tf.evaluation.map_sources import MapSource, maps_source, persistent, student_source
from uva_tf.evaluation.results import CEILING, CENTRE, METRICS, Row, digits, percent, span
from uva_tf.gaze.tables import TextTable
from uva_tf.studies.scoring import ITSELF, Scores, over_seeds, score
from uva_tf.studies.table import write_markdown
from uva_tf.studies.trainings import TEACHERS, Training, refuse_repeats
from uva_tf.training.run import Run

FILES = ("table.md", "table.csv", "clips.csv")
LEGEND = (
    "Columns named after a kind: share of the way from the centre prior to the human ceiling, in "
    "NSS, on the clips of that kind, of which the training saw none; mean: of the kinds. NSS: over "
    "all clips, with its 95 % interval over clips and seeds; to the first row: over that row's. "
    "The centre prior is the mean density of a set's other clips, or a Gaussian if it has none."
)
MINUTES = (
    " Minutes: of one training, a stage hint of its own included; empty where one was interrupted."
)
FOLDER_NAME = re.compile(r"(?!\.)[^/\\\0-\x1f\x7f]{1,99}")  # of a row and a kind
KIND = "{kind}"  # in the name of a dataset, the kind that is left out
ROW = ("name", "like", "data", "weights", "set", "hinted")  # keys of a row
MOST_BYTES = 2**20  # of a file of rows


@dataclass(frozen=True)
class StudyRow:
    """A row of the study.

    Attributes:
        name: of the row.
        data: names of the further datasets that it trains on; `{kind}` in a name stands for the
            kind that is left out.
        weights: how often each dataset is drawn, by name; 1 for those that are not named.
        changes: to the preset, as `uva-tf train --set` takes them.
        hinted: the name of an earlier row, whose stage hint its trainings continue from.
    """

    name: str
    data: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    hinted: str = ""

    def without(self, kind: str) -> StudyRow:
        """The row of the trainings without a kind: its datasets by their whole names."""
        data = tuple(name.replace(KIND, kind) for name in self.data)
        weights = {name.replace(KIND, kind): weight for name, weight in self.weights.items()}
        return replace(self, data=data, weights=weights)


def read_rows(path: Path) -> list[StudyRow]:
    """Read rows from a TOML file: `[[row]]` with `name`, and other keys of `ROW` if wanted.

    With `like`, the name of an earlier row, a row has that one's keys too, but for those that it
    has itself; its `set` comes after that one's.

    Raises InputError for anything else.
    """
    try:
        given = tomllib.loads(read_input(path, MOST_BYTES).decode())["row"]
    except InputError:
        raise
    except (ValueError, KeyError, RecursionError) as e:  # no TOML, or no text
        raise InputError(f"{path}: expected [[row]] with a name, as TOML ({e})") from None
    if not isinstance(given, list):
        raise InputError(f"{path}: expected [[row]] with a name, as TOML")
    rows: dict[str, StudyRow] = {}
    for number, keys in enumerate(given, 1):
        try:
            row = _row(keys, rows)
            refuse_repeats([*rows, row.name])
            refuse_reserved(row.name)
        except (InputError, TypeError) as error:
            raise InputError(f"{path}: row {number}: {error}") from None
        rows[row.name] = row
    if not rows:
        raise InputError(f"{path}: no [[row]] in it")
    return list(rows.values())


def _row(given: object, earlier: Mapping[str, StudyRow]) -> StudyRow:
    """A row of its keys; raises InputError, or TypeError for a value of another type."""
    if not isinstance(given, dict):
        raise TypeError("expected a name, and other keys if wanted")
    if unknown := set(given) - set(ROW):
        raise InputError(f"unknown {min(unknown)!r}, expected {', '.join(ROW)}")
    like = _text("like", given.get("like", ""))
    if like and like not in earlier:
        raise InputError(f"like = {like!r}: expected the name of an earlier row")
    base = earlier[like] if like else StudyRow("")
    weights = given.get("weights", base.weights)
    if not isinstance(weights, dict) or {*map(type, weights.values())} - {int, float}:
        raise TypeError(f"weights = {weights!r:.80}: expected a number for each dataset")
    if not all(0 < weight < 1e9 for weight in weights.values()):
        raise InputError(f"weights = {weights!r:.80}: expected numbers above 0, below a billion")
    name = _text("name", given.get("name"))
    if not FOLDER_NAME.fullmatch(name):
        raise TypeError(f"name = {name!r:.80}: expected a name that a folder can have")
    return StudyRow(
        name,
        _texts("data", given.get("data", list(base.data))),
        {of: float(weight) for of, weight in weights.items()},
        (*base.changes, *_texts("set", given.get("set", []))),
        _text("hinted", given.get("hinted", base.hinted)),
    )


def _text(key: str, given: object) -> str:
    """The text of a row's key; raises TypeError for anything else."""
    if not isinstance(given, str) or "\0" in given:
        raise TypeError(f"{key} = {given!r:.80}: expected text")
    return given


def _texts(key: str, given: object) -> tuple[str, ...]:
    """A list's texts; raises TypeError for anything else."""
    if not isinstance(given, list):
        raise TypeError(f"{key} = {given!r:.80}: expected a list of texts")
    return tuple(_text(key, one) for one in given)


def read_kinds(path: Path, datasets: Mapping[str, Dataset]) -> dict[str, dict[str, str]]:
    """Read the kind of each clip: rows of `set,name,kind`, the set being a dataset's folder.

    Args:
        datasets: by the name of the folder.

    Returns:
        By dataset and clip, the kind.

    Raises InputError for a clip without a kind or with two, for a kind that can't be a folder's
    name, and for photographs.
    """
    rows = TextTable(path, ("set", "name", "kind")).read(("set", "name", "kind")).text
    listed: dict[tuple[str, str], str] = {}
    for one, name, kind in zip(rows["set"], rows["name"], rows["kind"], strict=True):
        if not FOLDER_NAME.fullmatch(kind):
            raise InputError(f"{path}: kind {kind!r} of {name}: expected the name of a folder")
        if listed.setdefault((one, name), kind) != kind:
            raise InputError(
                f"{path}: {name} of {one} is of two kinds, {listed[one, name]}, {kind}"
            )
    kinds: dict[str, dict[str, str]] = {}
    for one, dataset in datasets.items():
        if any(shard.still for shard in dataset.shards):
            raise InputError(f"{dataset.folder}: photographs have no kind: give them as --more")
        clips = [name for shard in dataset.shards for name in shard.recordings]
        if missing := [name for name in clips if (one, name) not in listed]:
            raise InputError(f"{path}: no row of {one} for {some(missing)}")
        kinds[one] = {name: listed[one, name] for name in clips}
    return kinds


def left_out(dataset: Dataset, kinds: Mapping[str, str], kind: str, folder: Path) -> Dataset:
    """A dataset whose clips of one kind are for validation, and all others for training.

    It is to lie in `folder`, where `link` makes it.
    """
    shards = tuple(
        replace(shard, split="val" if kinds[shard.recordings[0]] == kind else "train")
        for shard in dataset.shards
    )
    return replace(dataset, folder=folder, shards=shards)


def folds(
    datasets: Mapping[str, Dataset], of_clips: Mapping[str, Mapping[str, str]], folder: Path
) -> dict[str, list[Dataset]]:
    """By kind, all datasets without it, which are to lie in `folder/KIND/NAME`; see `left_out`.

    Args:
        of_clips: the kind of each clip by dataset, as `read_kinds` gives it.
    """
    kinds = sorted({kind for of_set in of_clips.values() for kind in of_set.values()})
    return {
        kind: [
            left_out(one, of_clips[name], kind, folder / kind / name)
            for name, one in datasets.items()
        ]
        for kind in kinds
    }


def link_folds(datasets: Mapping[str, Dataset], planned: Mapping[str, Sequence[Dataset]]) -> None:
    """Make what `folds` planned; raises InputError as `link` does."""
    for of_kind in planned.values():
        for dataset, changed in zip(datasets.values(), of_kind, strict=True):
            link(dataset, changed)


def link(dataset: Dataset, changed: Dataset) -> None:
    """Make what `left_out` returned, of links to the dataset's shards; a resumed study finds it.

    Raises InputError if it was made of another dataset, or with other kinds.
    """
    folder = changed.folder
    if not folder.exists():
        with new_folder(folder) as partial:
            for shard in changed.shards:
                (partial / shard.file).symlink_to((dataset.folder / shard.file).resolve())
            write_index(changed, partial)
    elif open_dataset(folder, verify=False) != changed:
        raise InputError(f"{folder} was made of other clips or kinds: give those, or another --out")


def trainings(
    rows: Sequence[StudyRow],
    kinds: Mapping[str, Sequence[Dataset]],
    more: Mapping[str, Path],
    seeds: Sequence[int],
    changes: Sequence[str],
    preset: Config,
) -> list[Training]:
    """The trainings of the study, each without one kind.

    Where no clip has hints, and a row's further datasets are the same for all kinds, the stage hint
    learns from the same frames whichever kind is left out. Then runs of their own, which come first
    and leave nothing out, train it once for each such row and seed; rows that are `hinted` by one
    continue from it.

    Args:
        kinds: by kind, the datasets without it, see `left_out`. One with no clip of
            another kind is not trained on.
        more: folders of further datasets by name.
        changes: to every configuration, before the row's own.

    Raises InputError for a dataset that a row names and that is not there, for a row that would
    keep what is best on the kind left out, and for one that has nothing to train on.
    """
    refuse_repeats(seeds)
    known = {*more, *(one.folder.name for of_kind in kinds.values() for one in of_kind)}
    for kind, row in itertools.product(kinds, rows):
        row = row.without(kind)
        if unknown := [name for name in row.data if name not in more]:
            raise InputError(f"row {row.name!r}: no dataset {unknown[0]!r} among --more")
        if unknown := [name for name in row.weights if name not in known]:
            raise InputError(f"row {row.name!r}: no dataset {unknown[0]!r} among --data, --more")
        if preset.changed(*changes, *row.changes).loop.keep == "best":
            raise InputError(
                f"row {row.name!r}: loop.keep=best would choose on the clips that are scored"
            )
    shares = not any(one.hints for datasets in kinds.values() for one in datasets)
    sharing = [
        row.name
        for row in rows
        if shares and row.data and not any(KIND in name for name in row.data)
    ]
    _check_hinted(rows, sharing, preset, changes)
    shared, runs = [], []
    for seed, kind, row in itertools.product(seeds, kinds, rows):
        row = row.without(kind)
        changed = (*changes, *row.changes)
        config = preset.changed(*changed)
        stages = tuple(s for s in STAGES if s == "joint" or getattr(config, s).steps)
        further = tuple(more[name] for name in row.data)
        clips = tuple(one.folder for one in kinds[kind] if one.has("train"))
        data, names = (*clips, *further), (*(clip.name for clip in clips), *row.data)
        if not data:
            raise InputError(f"row {row.name!r}: nothing to train on without {kind}")
        weights = tuple(row.weights.get(name, 1.0) for name in names)
        run = Training(row.name, seed, stages, changed, kind, data, weights)
        rest = tuple(stage for stage in stages if stage != "hint")
        if row.hinted:
            run = replace(run, stages=rest, hinted=Training(row.hinted, seed, (), ()).name)
        elif row.name in sharing and "hint" in stages:
            hint = replace(
                run, stages=("hint",), without="", data=further, weights=weights[len(clips) :]
            )
            shared += [hint] if hint not in shared else []
            run = replace(run, stages=rest, hinted=hint.name)
        runs.append(run)
    return shared + runs


def _check_hinted(
    rows: Sequence[StudyRow], sharing: Sequence[str], preset: Config, changes: Sequence[str]
) -> None:
    """Raise InputError for a row that can't continue from another's stage hint.

    Args:
        sharing: the rows whose stage hint is the same whichever kind is left out.
    """
    trained = {}
    for row in rows:
        config = preset.changed(*changes, *row.changes)
        if row.hinted and (config.hint, config.student) != trained.get(row.hinted):
            raise InputError(
                f"row {row.name!r}: hinted = {row.hinted!r}: expected an earlier row that "
                "trains a stage hint on --more alone, with the same hint and student settings"
            )
        if config.hint.steps and row.name in sharing and not row.hinted:
            trained[row.name] = config.hint, config.student


def score_kind(
    students: Mapping[str, Sequence[Run]],
    folders: Sequence[Path],
    *,
    every: int,
    progress: Callable[[Iterator, int], Iterator],
    external: Path | None,
    persistence: float = 0.0,
    ahead: int = 0,
    centre: float = 0.0,
    centre_share: float = 0.0,
    temperature: float = 0.0,
) -> Scores:
    """Score the students that saw no scene of a kind on its clips.

    Args:
        students: the runs of each row, one for each seed; the first seeds are those of all rows.
        folders: of the datasets without that kind.
        external: folder of another model's maps, `external/DATASET/CLIP/000001.png`, or None.
        persistence, ahead: how the students' maps are joined, see `runtime.persistence`.
        centre, centre_share, temperature: of the students' maps, see `student_source`.
    """

    def sources(dataset: Dataset) -> dict[str, MapSource]:
        found = {
            f"{row} {number}": persistent(
                student_source(run, centre, centre_share, temperature), persistence, ahead
            )
            for row, runs in students.items()
            for number, run in enumerate(runs)
        }
        if external is not None:
            found[f"external{ITSELF}"] = maps_source(external / dataset.folder.name)
        return found

    scored = score(folders, sources, every=every, progress=progress)
    others = dict(scored.rows)
    rows = {
        row: over_seeds(row, [others.pop(f"{row} {number}") for number in range(len(runs))])
        for row, runs in students.items()
    }
    seeds = tuple(run.config.seed for run in max(students.values(), key=len))
    return replace(scored, rows=rows | others, seeds=seeds)


def refuse_reserved(name: str) -> None:
    """Raise InputError for the name of a row that the study has itself, which would be lost."""
    if name in (CENTRE, CEILING, TEACHERS) or name.endswith(ITSELF):
        raise InputError(f"row {name!r}: the study has a row of this name: choose another")


def students_of(
    rows: Mapping[str, Sequence[Path]], data: Sequence[Dataset]
) -> dict[str, list[Run]]:
    """The finished runs of each row, by seed, all of which saw none of some datasets.

    Raises InputError for a run without a student or that was trained on one of the datasets, for
    rows of other seeds, for two runs of one seed in a row, and as `refuse_reserved` does.
    """
    found = {}
    known = {one.sha256: one.folder for one in data}
    for row, folders in rows.items():
        refuse_reserved(row)
        runs = sorted(map(Run.open, folders), key=lambda run: run.config.seed)
        for run in runs:
            check_file(run.student, "trained student", ": finish the run first")
            if seen := [known[one] for one in run.config.data_sha256 if one in known]:
                raise InputError(f"{run.folder} was trained on {seen[0]}: it saw every kind there")
        found[row] = runs
    seeds = [[run.config.seed for run in runs] for runs in found.values()]
    longest = max(seeds, key=len)
    for row, of_row in zip(found, seeds, strict=True):
        if of_row != longest[: len(of_row)] or len(set(of_row)) < len(of_row):
            raise InputError(
                f"row {row!r}: runs of the seeds {', '.join(map(str, of_row))}: expected the first "
                f"of {', '.join(map(str, longest))}, each once"
            )
    return found


def table(scores: Mapping[str, Scores], minutes: Mapping[str, float]) -> list[list[str]]:
    """The scores by kind as text, the head first; `LEGEND` explains it.

    Args:
        minutes: of the rows' trainings; empty for students that were trained elsewhere.
    """
    names = list(next(iter(scores.values())).rows)
    timed = ["minutes"] if minutes else []
    lines = [["", "seeds", *timed, *scores, "mean", "NSS", "95 %", "to the first row"]]
    joined = {name: _joined(name, scores) for name in names}
    for name in names:
        shares = [
            of_kind.rows[name].share(of_kind.rows[CENTRE], of_kind.rows[CEILING], "NSS")
            for of_kind in scores.values()
        ]
        row = joined[name]
        ratio = row.ratio(joined[names[0]], "NSS")
        taken = minutes.get(name, math.nan)  # NaN where one was interrupted
        timed = [f"{taken:.0f}" if taken >= 0 else ""] if minutes else []
        lines.append(
            [
                name,
                str(row.seeds),
                *timed,
                *map(percent, shares),
                percent(float(np.mean(shares))),
                f"{row.mean('NSS'):.3f}",
                span(row.interval("NSS")),
                f"{ratio.value:.3f} {span(ratio.interval, 3)}",
            ]
        )
    return lines


def _joined(name: str, scores: Mapping[str, Scores]) -> Row:
    """A row over the clips of all kinds."""
    parts = [of_kind.rows[name].scores for of_kind in scores.values()]
    return Row(name, np.concatenate(parts, axis=1))


def write_study(
    out: Path, scores: Mapping[str, Scores], minutes: Mapping[str, float], command: str
) -> None:
    """Write `FILES` into a folder; raises InputError if one of them exists."""
    lines = table(scores, minutes)
    with new_file(out / "table.csv") as path:
        write_csv(path, lines)
    with new_file(out / "clips.csv") as path:
        write_csv(path, _clip_rows(scores))
    notes = [note for of_kind in scores.values() for note in of_kind.notes]
    legend = LEGEND + (MINUTES if minutes else "")
    write_markdown(out / "table.md", command, lines, notes=[legend, *dict.fromkeys(notes)])


def _clip_rows(scores: Mapping[str, Scores]) -> Iterator[list]:
    yield ["kind", "row", "seed", "dataset", "clip", *METRICS]
    for kind, of_kind in scores.items():
        for row in of_kind.rows.values():
            for seed, of_clips in zip(of_kind.seeds[: row.seeds], row.scores, strict=True):
                for (dataset, clip), of_clip in zip(of_kind.clips, of_clips, strict=True):
                    yield [kind, row.name, seed, dataset, clip, *digits(of_clip)]


def datasets_by_name(folders: Sequence[Path]) -> dict[str, Dataset]:
    """Datasets by the names of their folders; raises InputError for a folder given twice."""
    return dict(zip(distinct_names(folders), map(open_dataset, folders), strict=True))
