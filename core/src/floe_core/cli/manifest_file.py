"""Reading the manifest for a command: what is deprecated in it is told on standard error, as a person reads it."""

from pathlib import Path

from floe_core.cli.errors import show_warning
from floe_core.manifest import LoadedManifest, read_manifest


def read_manifest_for_command(file: Path) -> LoadedManifest:
    """The manifest in a file; old shapes are understood and shown with the text that replaces them.

    Raises:
        ConfigurationError: The file cannot be read, or is no valid manifest.
    """
    loaded = read_manifest(file)
    for deprecation in loaded.deprecations:
        show_warning(str(deprecation))
    return loaded
