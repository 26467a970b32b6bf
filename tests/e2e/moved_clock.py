"""A wall clock that jumps under a program while it runs, as time synchronisation or a virtual machine's pause does it.

A small library that is preloaded into the program moves what it reads (`clock.c`); what the kernel, other programs and
monotonic clocks say stays as it is.
"""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")
_BYTES = 8


@dataclass(frozen=True, slots=True)
class MovedClock:
    """The clock of all programs that are started with `environment`."""

    library: Path
    file: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What such a program is started with."""
        return {"LD_PRELOAD": str(self.library), "MOVED_CLOCK_FILE": str(self.file)}

    def move(self, by: timedelta) -> None:
        """Puts it so far from the true time, at once."""
        with self.file.open("r+b") as file:  # in place: it is mapped by those who read it
            file.write(int(by.total_seconds()).to_bytes(_BYTES, "little", signed=True))


def moved_clock(folder: Path) -> MovedClock:
    """A clock that is right until it is moved; built in the folder, which takes a C compiler."""
    compiler = shutil.which("cc")
    assert compiler is not None, "there is no C compiler"
    library, file = folder / "clock.so", folder / "clock"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, _SOURCE], check=True)
    file.write_bytes(bytes(_BYTES))
    return MovedClock(library, file)
