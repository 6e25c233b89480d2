"""Score a model beside the centre prior and the human ceiling.

python pipelines/evaluate.py --model RUN|FILE.keras|FILE.tflite --data SHARDS --split val
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from uva_tf.command import Parser, command, progress
from uva_tf.runtime.outputs import new_file, refuse_existing


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, score, print."""
    parser = Parser(description="Score a model beside the centre prior and the human ceiling.")
    parser.add_argument(
        "--model", type=Path, required=True, help="a run folder, its .keras files, or a .tflite"
    )
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="by prepare.py")
    parser.add_argument("--split", metavar="NAME", default="val", help="default val")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures, by clip too")
    args = parser.parse_args(argv)
    if args.json:
        refuse_existing(args.json)

    from uva_tf.data.dataset import open_dataset
    from uva_tf.evaluation.evaluate import evaluate, table
    from uva_tf.evaluation.sources import open_source

    dataset = open_dataset(args.data)
    source = open_source(args.model, dataset.size)
    evaluation = evaluate(
        {args.model.resolve().name: source},
        dataset,
        args.split,
        progress=progress("evaluate", "clip"),
    )
    print(table(evaluation))
    if args.json:
        with new_file(args.json) as path:
            path.write_text(json.dumps(evaluation.to_dict(), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
