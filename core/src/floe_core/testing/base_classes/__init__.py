"""The compliance suites: what every plugin of a kind must satisfy, ours or a stranger's.

Inherit the suite of the kind in a class whose name begins with `Test` and give it the plugin:

    from floe_core.testing.base_classes import BaseTelemetryBackendPluginTests

    class TestAcmeTelemetry(BaseTelemetryBackendPluginTests):
        @pytest.fixture
        def plugin(self) -> AcmeTelemetryPlugin:
            return AcmeTelemetryPlugin(AcmeConfig(site="acme.example"))

pytest collects what the class inherits; the suites are named `Base…Tests`, so that importing one runs nothing.
Fixtures that may be overridden say so. No suite leaves the machine: connections beyond the loopback are refused.
"""

from floe_core.testing.base_classes.base_alert_channel_plugin_tests import BaseAlertChannelPluginTests
from floe_core.testing.base_classes.base_catalog_plugin_tests import BaseCatalogPluginTests
from floe_core.testing.base_classes.base_compute_plugin_tests import BaseComputePluginTests
from floe_core.testing.base_classes.base_lineage_backend_plugin_tests import BaseLineageBackendPluginTests
from floe_core.testing.base_classes.base_orchestrator_plugin_tests import BaseOrchestratorPluginTests
from floe_core.testing.base_classes.base_plugin_tests import BasePluginTests
from floe_core.testing.base_classes.base_quality_plugin_tests import BaseQualityPluginTests
from floe_core.testing.base_classes.base_telemetry_backend_plugin_tests import BaseTelemetryBackendPluginTests

__all__ = [
    "BaseAlertChannelPluginTests",
    "BaseCatalogPluginTests",
    "BaseComputePluginTests",
    "BaseLineageBackendPluginTests",
    "BaseOrchestratorPluginTests",
    "BasePluginTests",
    "BaseQualityPluginTests",
    "BaseTelemetryBackendPluginTests",
]
