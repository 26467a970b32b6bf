"""The webhook's commands: `floe inject`, `uninject`, `explain`, `check`, `status` and `queue`.

The modules that declare a command import click only, so that `floe --help` stays quick; what a command does is imported
when it runs.
"""

from floe_webhook.commands.check import check
from floe_webhook.commands.explain import explain
from floe_webhook.commands.files import inject, uninject
from floe_webhook.commands.queue import queue
from floe_webhook.commands.status import status

commands = [check, explain, inject, queue, status, uninject]
