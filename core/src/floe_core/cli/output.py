"""How commands write their results: YAML, JSON and tables on standard output."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

_UNLIMITED = 10_000


def print_json(content: object) -> None:
    """Indented JSON."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def print_yaml(content: Mapping[str, Any]) -> None:
    """Block-style YAML, as people write it."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 1000  # never folds a URL
    yaml.dump(dict(content), sys.stdout)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A plain table, folded to a terminal's width; where there is no terminal, each row is one line."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else _UNLIMITED
    console = Console(file=sys.stdout, highlight=False, markup=False, width=width)
    with console.capture() as capture:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))
