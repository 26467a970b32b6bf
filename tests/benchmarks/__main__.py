"""`make bench`: runs every benchmark and writes docs/benchmarks.md; `--quick` only tries them and writes nothing."""

import argparse
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks import admission, collector, dbt_ol, kills, monitor, sidecar
from tests.benchmarks.report import Table, page

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BENCHMARKS: dict[str, Callable[[bool], Sequence[Table]]] = {
    "admission": admission.measure,
    "sidecar": sidecar.measure,
    "collector": collector.measure,
    "kills": kills.measure,
    "dbt_ol": dbt_ol.measure,
    "monitor": monitor.measure,
}


def main() -> None:
    """Runs the chosen benchmarks one after another, so that none disturbs another."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--quick", action="store_true", help="a short try; the report is printed, not written")
    parser.add_argument("--only", choices=sorted(BENCHMARKS), action="append", help="only these; the report is printed")
    options = parser.parse_args()
    started = time.monotonic()
    tables: list[Table] = []
    for name, measure in BENCHMARKS.items():
        if not options.only or name in options.only:
            print(f"{name} …", flush=True)  # noqa: T201 - progress of a long command
            tables += measure(options.quick)
    report = page(tables, made_at=datetime.now(UTC), seconds=time.monotonic() - started)
    if options.quick or options.only:
        print(report)  # noqa: T201 - what was asked for
    else:
        PAGE.write_text(report)
        print(f"The report is in {PAGE}")  # noqa: T201 - what was asked for


if __name__ == "__main__":
    main()
