"""How the demo speaks: plain sentences, colours where the terminal has them, and checks that can fail."""

import time
from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.rule import Rule


class StepFailedError(Exception):
    """Something that the demo has to show did not happen."""


class Narrator:
    """Tells the steps and keeps the count of what was checked."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._started = clock()
        self.checks = 0

    def step(self, number: int, title: str) -> None:
        """Opens a step."""
        self._console.print()
        self._console.print(Rule(f"[bold]{number}. {title}[/bold]", align="left", style="cyan"))

    def say(self, sentence: str) -> None:
        """A sentence of the story."""
        self._console.print(f"   {sentence}")

    def show(self, renderable: RenderableType) -> None:
        """A table or a tree."""
        self._console.print(renderable)

    def check(self, condition: object, sentence: str) -> None:
        """Says what is true now.

        Raises:
            StepFailedError: It is not.
        """
        if not condition:
            raise StepFailedError(sentence)
        self.checks += 1
        self._console.print(f"   [green]✓[/green] {sentence}")

    @property
    def seconds(self) -> float:
        """Since the demo started."""
        return self._clock() - self._started
