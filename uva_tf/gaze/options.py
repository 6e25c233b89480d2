"""What an export of gaze may leave open, and a user can state: units, screen, onset, method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

# Milliseconds in one unit of time.
TIME_UNITS = {"ms": 1.0, "s": 1e3, "us": 1e-3, "ns": 1e-6}
PLACE_UNITS = ("pixels", "fractions", "percent")
ORIGINS = ("upper-left", "lower-left", "centre")
PLACED = ("fit", "stretch", "centre")
# What a column of a plain table may hold: see `uva_tf.gaze.exports.columns`.
ROLES = ("t", "frame", "x", "y", "video", "observer", "valid")
METHODS = ("recorded", "ivt", "idt", "samples")


@dataclass(frozen=True)
class GazeOptions:
    """What a user says of recorded gaze; a field that is empty is left to the export.

    Attributes:
        units: of places, one of `PLACE_UNITS`.
        times: unit of times, one of `TIME_UNITS`.
        origin: where x and y are 0, one of `ORIGINS`.
        screen: width and height in pixels of the screen on which gaze was recorded.
        placed: where the clip was on the screen: one of `PLACED`, or x, y, width and height.
        fixations: how samples become fixations, one of `METHODS`.
        screen_cm: width of the screen in cm.
        distance_cm: from the eye to the screen.
        onset: regular expression of the message that says when a clip begins; a group `clip`
            in it names the clip.
        columns: of a plain table, by what they hold, one of `ROLES`; two columns with + between
            them are those of the two eyes.
    """

    units: str = ""
    times: str = ""
    origin: str = ""
    screen: tuple[int, int] | None = None
    placed: str | tuple[int, int, int, int] = ""
    fixations: str = ""
    screen_cm: float = 0.0
    distance_cm: float = 0.0
    onset: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def places_right(self) -> bool:
        """Whether places are right although many are outside the frame."""
        return self.units == "pixels" or bool(self.screen)

    @property
    def times_right(self) -> bool:
        """Whether times are milliseconds although they do not look like it."""
        return self.times == "ms"

    def stated(self) -> dict[str, object]:
        """The fields that the user stated, by name, as JSON can hold them."""
        return {name: value for name, value in asdict(self).items() if value}


NOTHING_STATED = GazeOptions()
