"""What is counted of lookups and of what they find."""

import pytest

from floe_webhook.lookups import Lookup, Result
from floe_webhook.metrics import Metrics
from webhook.tests.builders import injected, pod

pytestmark = pytest.mark.requirement("HOUSE-12")


def test_each_result_of_each_lookup_has_its_zero_from_the_start() -> None:
    metrics = Metrics()
    metrics.lookups.asked(Lookup.QUOTAS, Result.LATE)
    found = {
        (lookup, result): metrics.registry.get_sample_value(
            "floe_webhook_lookups_total", {"lookup": lookup, "result": result}
        )
        for lookup in Lookup
        for result in Result
    }
    assert found == {key: float(key == (Lookup.QUOTAS, Result.LATE)) for key in found}


@pytest.mark.requirement("FP-12")
@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        pytest.param(None, 1, id="the Secret is missing"),
        pytest.param({"other"}, 1, id="its key is missing"),
        pytest.param({"token"}, 0, id="it is there"),
    ],
)
def test_a_missing_secret_is_counted(keys: set[str] | None, missing: float) -> None:
    metrics = Metrics()
    metrics.decided(injected(pod(), secrets={"lineage-credentials": keys}), 0.001, 1000)
    assert metrics.registry.get_sample_value("floe_webhook_missing_secrets_total") == missing
