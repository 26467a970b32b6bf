"""The form in which every benchmark tells its figures, and the page that is made of them."""

import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Table:
    """Figures of one subject, each cell already a text with its unit in the heading."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The table as a section of a page."""
        lines = [f"## {self.title}", "", _row(self.columns), _row(["---"] * len(self.columns))]
        lines += [_row(row) for row in self.rows]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a share (0 to 1) of the values lies; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float], unit: str = "") -> str:
    """Median with minimum and maximum, as every repeated figure is told."""
    return f"{_figure(statistics.median(values))}{unit} ({_figure(min(values))} to {_figure(max(values))})"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def fdatasync_rate(folder: Path, *, seconds: float = 0.5) -> float:
    """How many times a second the disk under a folder makes 5 KB durable, one after another."""
    block = os.urandom(5000)
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        count = 0
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.perf_counter() - started)


def machine_facts() -> tuple[str, ...]:
    """What a reader needs to compare the figures with others."""
    processors = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in processors if "model name" in line),
        platform.machine(),
    )
    memory_kib = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0])
    with tempfile.TemporaryDirectory() as folder:
        syncs = fdatasync_rate(Path(folder))
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("aiohttp", "uvloop", "httptools", "msgspec", "pydantic")
    )
    return (
        f"Processor: {os.cpu_count()} × {model}; memory {memory_kib / 1024 / 1024:.0f} GiB; Linux {platform.release()}",
        f"Disk under the temporary folder: {syncs:,.0f} fdatasync of 5 KB a second",
        f"CPython {platform.python_version()}; {libraries}",
        f"Revision {_revision()}",
    )


def page(tables: Sequence[Table], *, made_at: datetime, seconds: float) -> str:
    """The whole report."""
    head = [
        "# Benchmarks",
        "",
        f"Made by `make bench` on {made_at:%Y-%m-%d} in {seconds:.0f} s; compared figures were taken in one run.",
        "",
        *(f"- {fact}" for fact in machine_facts()),
        "",
    ]
    return "\n".join(head) + "\n" + "\n".join(table.markdown() for table in tables)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _revision() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "rev-parse", "--short", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"
