"""Draw recorded gaze into films and contact sheets.

uva-tf look --layout gaze --root RECORDINGS --out LOOK
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from uva_tf.commands.arguments import add_layout_arguments
from uva_tf.commands.command import Parser, command, progress, show
from uva_tf.commands.recorded_gaze import add_gaze_arguments, gaze_options
from uva_tf.core.errors import InputError, some
from uva_tf.core.outputs import refuse_existing
from uva_tf.gaze.options import GazeOptions

if TYPE_CHECKING:  # it needs NumPy, which may be missing
    from uva_tf.data.recordings import Recording


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, look, print."""
    from uva_tf.data.layouts import LAYOUTS

    parser = Parser("look", __doc__)
    parser.description += (
        " Look at them before training: wrong units, a wrong screen or a wrong clock are seen at "
        "once. What prepare would refuse because of its places or times is drawn as its files "
        "have it, gaze outside the frame in red on the border; the refusal names the option "
        "that states the units."
    )
    add_layout_arguments(parser, sorted(LAYOUTS))
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder to write to; must not exist yet: NAME.mp4 of each clip (or NAME.jpg of each "
        "photograph), sheet.png (several if there are many recordings), clips.csv, observers.csv",
    )
    parser.add_argument(
        "--clip",
        metavar="NAME",
        nargs="+",
        help="look only at these recordings, named without extension (default: all)",
    )
    parser.add_argument(
        "--no-films", action="store_true", help="write only contact sheets and tables"
    )
    add_gaze_arguments(parser)
    args = parser.parse_args(argv)
    refuse_existing(args.out)

    from uva_tf.data import synthetic
    from uva_tf.evaluation.look import look_at, report

    if args.layout == "synthetic" and not args.root.exists():
        synthetic.write_recordings(args.root)
    found = _listed(args.layout, args.root, gaze_options(args))
    known = [recording for recording in found if not recording.withheld]
    names = [recording.name for recording in known]
    if unknown := sorted(set(args.clip or ()) - set(names)):
        raise InputError(
            f"--clip {some(unknown)}: no such recording in {args.root}, it has {some(names)}"
        )
    if not known:
        raise InputError(f"{args.root}: the gaze of all its {len(found)} recordings is withheld")
    chosen = [recording for recording in known if not args.clip or recording.name in args.clip]
    seen = look_at(chosen, args.out, films=not args.no_films, progress=progress("look", "clip"))
    show(report(seen), kept=True)
    if len(known) < len(found):
        print(f"left out: {len(found) - len(known)} recordings whose gaze is not published")
    print(f"wrote {args.out}")
    if not seen.fitting:
        raise InputError(f"{seen.looks[0].problem}; see {args.out}")


def _listed(layout: str, root: Path, options: GazeOptions) -> list[Recording]:
    """The recordings; where their table is refused for its times, they read as refused too.

    Their `as_found` takes the times for milliseconds, which can be looked at.
    """
    from uva_tf.data.layouts import OWN, recordings_of
    from uva_tf.data.recordings import unreadable

    try:
        return recordings_of(layout, root, options)
    except InputError as error:
        if layout not in OWN or options.times:
            raise
        with suppress(InputError):
            found = recordings_of(layout, root, replace(options, times="ms"))
            refused = unreadable("", str(error)).read
            return [one if one.problem else replace(one, read=refused) for one in found]
        raise
