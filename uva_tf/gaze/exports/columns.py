"""What the columns of a plain table hold: told by usual names, or stated by the user."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.gaze.exports.plausible_samples import check_percent, check_places
from uva_tf.gaze.fixation_table import INVALID
from uva_tf.gaze.lost import lost_places
from uva_tf.gaze.options import ROLES, GazeOptions
from uva_tf.gaze.tables import SEPARATORS, Rows, TextTable

_PEOPLE = ("observer", "participant", "subject", "subj", "sub", "viewer", "user", "worker", "ppt")
_STIMULI = ("video", "clip", "stimulus", "stim", "media", "movie", "film")
# Usual names, without blanks, signs and units.
USUAL = {
    "t": {"t", "ts", "time", "timestamp", "timestamps", "recordingtimestamp", "gazetimestamp"},
    "frame": {"frame", *(f"frame{end}" for end in ("index", "idx", "id", "number", "no", "nr"))},
    "x": {"x", "gx", "gazex", "xgaze", "gazepointx", "xpos", "posx", "xposition", "xcoord"},
    "y": {"y", "gy", "gazey", "ygaze", "gazepointy", "ypos", "posy", "yposition", "ycoord"},
    "video": {one + end for one in _STIMULI for end in ("", "name", "id", "file", "filename")},
    "observer": {one + end for one in _PEOPLE for end in ("", "id", "name", "no", "nr", "number")},
    "valid": {"valid", "isvalid", "validity", "tracked", "confidence"},
    "duration": {"duration", "fixationduration"},
    "type": {"type"},
}
_UNITS = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "ms": ("ms", "msec", "msecs", "millisecond", "milliseconds"),
    "us": ("us", "\u03bcs", "usec", "usecs", "microsecond", "microseconds"),
    "ns": ("ns", "nsec", "nanosecond", "nanoseconds"),
}
TIME_NAMES = {name: unit for unit, names in _UNITS.items() for name in names}
PIXEL_NAMES = {"px", "pix", "pixel", "pixels"}
# What a column says of whether a sample is valid.
YES = {"1", "1.0", "true", "yes", "valid"}
NO = {"0", "0.0", "false", "no", "invalid"}
REMEDY = "name them with --columns {} (two eyes: x=LEFT+RIGHT,y=LEFT+RIGHT)"


class PlainTable:
    """A table of gaze whose columns are known by what they hold.

    Args:
        needed: roles that columns must have, of `ROLES`.
        optional: roles that they may have.
        head: of a file without a line of names: the names, and how many lines come first.

    Raises InputError for a role that no column has, or that two may have.

    Attributes:
        text: the optional roles that columns have.
        notes: what was guessed to read it.
        unit: of times, as the name of the column states it; "" if it does not.
    """

    def __init__(
        self,
        path: Path,
        needed: Sequence[str],
        optional: Collection[str],
        options: GazeOptions,
        head: tuple[Sequence[str], int] | None = None,
    ) -> None:
        self.path, self.options = path, options
        self.stated = {role: _names(role, name) for role, name in options.columns.items()}
        self._check_stated(needed, optional)
        slots = [_slot(role, n) for role, names in self.stated.items() for n in range(len(names))]
        remedy = REMEDY.format("{}=NAME".format("=NAME,".join(needed)))
        if options.columns:
            stated = ",".join("=".join(pair) for pair in options.columns.items())
            remedy = f"--columns states {stated}"
        self.table = TextTable(
            path,
            tuple(dict.fromkeys([*needed, *slots])),
            preamble=True,
            rename=self._renamed({*needed, *optional}),
            separators=(*SEPARATORS, " "),
            head=head,
            remedy=remedy,
        )
        names = self.table.names
        for role in optional:
            if names.count(role) > 1 and role in ROLES:
                same = [w for w, n in zip(self.table.written, names, strict=True) if n == role]
                raise InputError(
                    f"{path}: columns {', '.join(map(repr, same))} could all be {role!r}: name "
                    f"one with --columns {role}=NAME"
                )
        self.text = [role for role in optional if role in names]
        self.notes = self.table.notes
        written = self.written("t") if "t" in names else ""
        self.unit = next(
            (TIME_NAMES[part] for part in _parts(written)[1:] if part in TIME_NAMES), ""
        )

    def written(self, role: str) -> str:
        """The name of a role's column as it is in the file."""
        return self.table.written[self.table.names.index(role)]

    def read(self, numbers: Sequence[str]) -> tuple[Rows, np.ndarray, np.ndarray, dict]:
        """The rows, where each looks, and by reason those which do not say it, `[n]` bool.

        Where both eyes are there, x and y `[n]` are their mean, else those of one; NaN for none.

        Args:
            numbers: roles to read as numbers, beside the places.

        Raises InputError for a cell that is no number.
        """
        eyes = range(len(self.stated.get("x", ("",))))
        valid = range(len(self.stated.get("valid", ("",))) if "valid" in self.text else 0)
        axes = [_slot(axis, n) for axis in "xy" for n in eyes]
        text = [*self.text, *(_slot("valid", n) for n in valid if n)]
        rows = self.table.read(text, (*numbers, *axes), repeats=True)
        if rows.bad:
            raise InputError(next(iter(rows.bad.values())))
        seen = [self._seen(rows.text[_slot("valid", n)]) for n in valid]
        places, reasons = [], {}
        for n in eyes:
            x, y = rows.numbers[_slot("x", n)], rows.numbers[_slot("y", n)]
            lost = lost_places(x, y, centred=self.options.origin == "centre")
            if valid and seen[n % len(seen)] is not None:
                marked = ~seen[n % len(seen)] & ~(np.isnan(x) | np.isnan(y))
                lost[INVALID] = marked & ~np.logical_or.reduce(list(lost.values()) or [~marked])
            gone = np.logical_or.reduce([np.isnan(x), np.isnan(y), *lost.values()])
            places.append(np.where(gone, np.nan, np.stack([x, y])))  # (2, n)
            for reason, mask in lost.items():
                reasons[reason] = reasons.get(reason, False) | mask
        there = np.stack([~np.isnan(place[0]) for place in places])  # (eyes, n)
        with np.errstate(invalid="ignore"):
            x, y = np.nansum(places, axis=0) / np.where(
                there.any(axis=0), there.sum(axis=0), np.nan
            )
        told = ~np.isnan(x)
        for why, mask in reasons.items():  # a row counts once, whatever was wrong with either eye
            reasons[why] = mask & ~told
            told = told | mask
        return rows, x, y, reasons

    def check_gaze(self, x: np.ndarray, y: np.ndarray, lost: Mapping[str, np.ndarray]) -> None:
        """Raise InputError if no row has gaze, or places `[n]` can't be in the stated units.

        Args:
            lost: by reason, rows without gaze.
        """
        if np.isnan(x).all():
            counts = [f"{mask.sum()} {why}" for why, mask in lost.items() if mask.any()]
            found = f" ({', '.join(counts)})" if counts else ""
            raise InputError(f"{self.path}: no gaze in its {len(x)} rows{found}")
        check_places(x, y, str(self.path), self.options)
        check_percent(x, y, str(self.path), self.options)

    def _renamed(self, wanted: Collection[str]) -> Callable[[str], str]:
        """From a name as written to its role; the second eye's is `x 2`."""
        slots = {
            name.casefold(): _slot(role, n)
            for role, names in self.stated.items()
            for n, name in enumerate(names)
        }

        def rename(name: str) -> str:
            if name.casefold() in slots:
                return slots[name.casefold()]
            role = usual(name)
            return role if role in wanted and role not in self.stated else f"({name})"

        return rename

    def _check_stated(self, needed: Sequence[str], optional: Collection[str]) -> None:
        if other := set(self.stated) - {*needed, *optional}:
            has = [role for role in (*needed, *optional) if role in ROLES]
            raise InputError(f"--columns {min(other)}=: this layout has {', '.join(has)}")
        eyes = [len(self.stated.get(axis, ("",))) for axis in "xy"]
        valid = len(self.stated.get("valid", ("",)))
        others = [
            len(names) for role, names in self.stated.items() if role not in ("x", "y", "valid")
        ]
        if (
            eyes[0] != eyes[1]
            or eyes[0] > 2
            or valid not in (1, eyes[0])
            or max(others, default=1) > 1
        ):
            raise InputError(
                "--columns: expected one column of each role, or two of x and of y, such as "
                "x=LEFT+RIGHT"
            )

    def _seen(self, cells: np.ndarray) -> np.ndarray | None:
        """Which rows are valid, `[n]` bool; None if that is not certain."""
        found = {cell.casefold() for cell in set(cells)} - {""}
        written = self.written("valid")
        # Some trackers write 0 for what is valid in a column of this name.
        doubtful = "valid" not in self.stated and "validity" in usual_key(written)
        if found <= YES | NO and not (doubtful and found & {"0", "1", "0.0", "1.0"}):
            return np.array([cell.casefold() not in NO for cell in cells], bool)
        if "valid" in self.stated:
            raise InputError(
                f"{self.path}: column {written!r} has {min(found - YES - NO)!r}, expected 1 or "
                "true where a sample is valid, else 0 or false"
            )
        self.notes.append(
            f"column {written!r} was not used, since its meaning is not certain: state "
            "--columns valid=NAME if 1 or true means valid"
        )
        return None


@lru_cache(10_000)
def usual(name: str) -> str:
    """The role that a column's name usually has, or ""."""
    key = usual_key(name)
    return next((role for role, names in USUAL.items() if key in names), "")


def usual_key(name: str) -> str:
    """A name in lower case without signs and without a unit at its end."""
    parts = [part for part in _parts(name) if part != "in"]
    if len(parts) > 1 and parts[-1] in TIME_NAMES.keys() | PIXEL_NAMES:
        parts.pop()
    return "".join(parts)


def _parts(name: str) -> list[str]:
    """The words of a name: `gazeX [px]` has gaze, x and px."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name[:200])
    return re.findall(r"[^\W_]+", spaced.casefold())


def _names(role: str, stated: str) -> list[str]:
    return [name.strip() for name in stated.split("+")] if role in ("x", "y", "valid") else [stated]


def _slot(role: str, eye: int) -> str:
    return f"{role} {eye + 1}" if eye else role
