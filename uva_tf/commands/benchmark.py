"""Time .tflite files side by side on this machine's CPU.

uva-tf benchmark A.tflite B.tflite --yardstick --threads 1 2
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from uva_tf.commands.arguments import number
from uva_tf.commands.command import Parser, command, show, use_one_blas_thread
from uva_tf.core.outputs import UTF8, new_file, refuse_existing, refuse_overlap

DELEGATES = {"on": True, "off": False}


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, time, print."""
    args = _parser().parse_args(argv)
    refuse_overlap({"--json": args.json, "--csv": args.csv, "--plot": args.plot})
    for path in filter(None, (args.json, args.csv, args.plot)):
        refuse_existing(path)
    use_one_blas_thread()
    from uva_tf.bench import map_differences
    from uva_tf.bench.model_files import benchmark, machine, plot_timings, table, to_csv, to_json
    from uva_tf.bench.profile import operators_of, profile, profile_table
    from uva_tf.runtime.default_model import choose_model
    from uva_tf.runtime.manifest import read_manifest
    from uva_tf.runtime.trial import check_foreign, check_model

    if args.plot:  # before the work: it may not be installed
        import matplotlib  # noqa: F401
    chosen = [choose_model(file) for file in args.files or [None]]
    models = [file for file, _ in chosen]
    for file in models:
        check_model(file)
    for file in args.beside or ():
        check_foreign(file)
    differences = (
        map_differences.map_differences(models, args.maps, args.frames) if args.maps else []
    )
    sides = [read_manifest(file)[0].resolution for file in models]
    with tempfile.TemporaryDirectory() as folder:
        files = list(models)
        if args.yardstick:
            from uva_tf.bench.yardstick import write_yardsticks

            files += write_yardsticks(sides, Path(folder))
        timings = benchmark(
            files,
            args.threads,
            delegates=[DELEGATES[name] for name in args.delegate],
            rounds=args.rounds,
            memory=True,
            foreign=args.beside or (),
        )
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    for why in dict.fromkeys(why for _, why in chosen if why):
        print(f"note: model {why}")
    show(table(timings), kept=bool(args.json or args.csv))
    if differences:
        show("\n" + map_differences.table(differences), kept=bool(args.json))
    if args.json:
        figures = to_json(timings) | {"maps": [asdict(one) for one in differences]}
        with new_file(args.json) as path:
            path.write_text(json.dumps(figures, indent=1) + "\n")
    if args.csv:
        with new_file(args.csv) as path:
            path.write_text(to_csv(timings), **UTF8)
    if args.plot:
        with new_file(args.plot) as path:
            plot_timings(timings, path)
    for file in models if args.profile else ():
        print(f"\n{file.name}, operators on {args.threads[0]} thread(s)")
        print(profile_table(profile(operators_of(file), args.threads[0]), args.profile))


def _parser() -> Parser:
    parser = Parser("benchmark", __doc__)
    parser.add_argument(
        "files",
        metavar="NAME|FILE.tflite",
        nargs="*",
        type=Path,
        help="shipped students, such as uva-32 or uva-64-int8, or model files, timed in turn "
        "(default: the best student, in the form that suits this processor)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        nargs="+",
        type=number(1, 256),
        default=[1],
        help="numbers of threads to time each file with (default: 1)",
    )
    parser.add_argument(
        "--delegate",
        nargs="+",
        choices=list(DELEGATES),
        default=["on"],
        help="time with XNNPACK, LiteRT's fast CPU kernels, on, off or both (default: on)",
    )
    parser.add_argument(
        "--yardstick",
        action="store_true",
        help="also time the plain network of UVA-Net's authors at each resolution (needs "
        "the extra [train])",
    )
    parser.add_argument(
        "--beside",
        metavar="FILE.tflite",
        nargs="+",
        type=Path,
        help="also time models of other projects, up to 64 MiB, which need no manifest; their "
        "memory, maps and operators are not looked at",
    )
    parser.add_argument(
        "--profile",
        metavar="N",
        type=number(1, 1000),
        help="also list each file's N slowest operators, with XNNPACK",
    )
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=number(1, 10**6),
        help="rounds of 40 inferences for each file (default: 10)",
    )
    parser.add_argument(
        "--maps",
        metavar="VIDEO",
        nargs="+",
        type=Path,
        help="also compare the files' maps of these videos with those of the first file",
    )
    parser.add_argument(
        "--frames",
        metavar="N",
        type=number(1, 10**6),
        default=500,
        help="compare maps of at most N frames (default: 500)",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures as JSON")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the figures as CSV")
    parser.add_argument(
        "--plot",
        metavar="FILE",
        type=Path,
        help="draw the figures as a bar chart, PNG (needs the extra [train])",
    )
    return parser
