"""Whether sidecars would start with what the manifest has them told, by their own reading of it. Pure.

The manifest's rules are wider than the sidecar's in places, and a sidecar that refuses its settings keeps its pod from
starting: what it would refuse is refused here, before any pod is told.
"""

from floe_core.errors import ConfigurationError
from floe_sidecar.settings import Settings, SettingsError
from floe_webhook.profile import SidecarProfile
from floe_webhook.sidecar_container import sidecar_container


def refuse_unusable(sidecar: SidecarProfile) -> None:
    """Returns if sidecars take their settings.

    Raises:
        ConfigurationError: They do not; the message does not repeat what they would be told.
    """
    entries = sidecar_container({}, sidecar, sidecar.ports)["env"]
    # Kubernetes reads `$$` as one; what comes from a Secret is not known here.
    told = {entry["name"]: entry["value"].replace("$$", "$") for entry in entries if "value" in entry}
    try:
        Settings.from_environment(told)
    except SettingsError as error:
        sources = {str(variable.name): variable.source for variable in sidecar.delivery.variables}
        raise ConfigurationError(
            f"No sidecar would start: {error.variable} has to be {error.expected}.",
            where=sources.get(error.variable, "injection.sidecar"),
            remedy="Correct it in the manifest: the sidecar is stricter there.",
        ) from None
