"""When which step is due, and that every step keeps what clients need."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from certs.tests.builders import SERVER, START, settings
from floe_certs.authority import BACKDATING
from floe_certs.defects import Defect, DefectiveSecretError
from floe_certs.planning import Plan, Step, carry_out, plan
from floe_certs.settings import CertificateSettings
from floe_certs.state import State, read_state
from floe_certs.verification import refusal

pytestmark = pytest.mark.requirement("FP-8", "FP-9")

SETTINGS = settings()  # a serving certificate of 3 minutes, an authority of 9


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def new() -> State:
    return carry_out(Step.CREATE, None, SETTINGS, now=START)


def do(state: State, step: Step, after: float) -> State:
    return carry_out(step, state, SETTINGS, now=START + minutes(after))


def due(state: State, after: float, settled: tuple[bytes, ...] = ()) -> Step:
    return plan(state, SETTINGS, now=START + minutes(after), settled=settled).step


OTHER = new().data()


def test_without_a_state_everything_is_created() -> None:
    assert plan(None, SETTINGS, now=START).step is Step.CREATE


@pytest.mark.parametrize(
    ("after", "step"),
    [
        pytest.param(0, Step.NOTHING, id="just made"),
        pytest.param(1.99, Step.NOTHING, id="before two thirds of the serving certificate"),
        pytest.param(2, Step.ISSUE, id="two thirds of the serving certificate"),
        pytest.param(5.99, Step.ISSUE, id="before two thirds of the authority"),
        pytest.param(6, Step.TRUST, id="two thirds of the authority"),
        pytest.param(8.99, Step.TRUST, id="before its end"),
        pytest.param(9, Step.CREATE, id="its end"),
    ],
)
def test_each_step_is_due_in_its_time(after: float, step: Step) -> None:
    assert due(new(), after) is step


def test_when_nothing_is_due_it_is_said_when_something_will_be() -> None:
    assert plan(new(), SETTINGS, now=START) == Plan(Step.NOTHING, "everything lasts", START + minutes(2))


def test_an_authority_goes_through_trust_signing_and_forgetting() -> None:
    state = do(new(), Step.ISSUE, 5)
    trusting = do(state, Step.TRUST, 6)
    assert trusting.next is not None
    assert trusting.signing is not None
    assert trusting.serving == state.serving
    assert due(trusting, 6.1) is Step.NOTHING
    assert due(trusting, 6.1, (trusting.next.certificate_pem,)) is Step.SIGN

    signed = do(trusting, Step.SIGN, 6.2)
    assert signed.signing == trusting.next
    assert signed.retired == (trusting.signing.certificate_pem,)
    assert signed.last_of_retired == state.serving.certificate_pem
    assert due(signed, 7.9) is Step.NOTHING
    assert due(do(signed, Step.ISSUE, 7.9), 8) is Step.FORGET

    assert do(signed, Step.FORGET, 8).trusted == (trusting.next.certificate_pem,)


def test_while_trust_does_not_settle_the_old_authority_goes_on_renewing() -> None:
    trusting = do(new(), Step.TRUST, 6)
    assert due(trusting, 6) is Step.ISSUE
    assert due(do(trusting, Step.ISSUE, 6), 6.5) is Step.NOTHING


def test_taking_the_signing_key_away_asks_for_a_new_authority_without_a_gap() -> None:
    data = new().data()
    del data["ca.key"]
    state = read_state(data)
    assert state is not None
    assert due(state, 0) is Step.TRUST
    trusting = do(state, Step.TRUST, 0)
    assert set(new_trusted := trusting.trusted) > set(state.trusted)
    assert due(trusting, 0.5, new_trusted) is Step.SIGN
    assert set(do(trusting, Step.SIGN, 0.5).trusted) == set(new_trusted)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(settings(names=(SERVER, "10.0.0.1")), id="another name"),
        pytest.param(settings(serving_lifetime=minutes(1.5), settle=timedelta(seconds=5)), id="a shorter lifetime"),
    ],
)
def test_changed_settings_take_effect_at_once(changed: CertificateSettings) -> None:
    assert plan(new(), changed, now=START + minutes(1)).step is Step.ISSUE


def test_a_clock_that_was_ahead_leaves_no_certificate_of_the_future() -> None:
    lasting = settings(serving_lifetime=timedelta(days=30), authority_lifetime=timedelta(days=90))
    first = carry_out(Step.CREATE, None, lasting, now=START)
    state = carry_out(Step.ISSUE, first, lasting, now=START + BACKDATING + minutes(1))
    assert plan(state, lasting, now=START).step is Step.ISSUE


@pytest.mark.parametrize("hours", [-20, 20])
def test_what_a_clock_made_that_was_wrong_by_hours_is_valid_for_every_other_clock(hours: int) -> None:
    lasting = settings(serving_lifetime=timedelta(days=30), authority_lifetime=timedelta(days=90))
    state = carry_out(Step.CREATE, None, lasting, now=START + timedelta(hours=hours))
    assert plan(state, lasting, now=START).step is Step.NOTHING
    for pem in (state.serving.certificate_pem, *state.trusted):
        certificate = x509.load_pem_x509_certificate(pem)
        assert certificate.not_valid_before_utc < START < certificate.not_valid_after_utc


def test_creating_keeps_what_clients_trust_for_as_long_as_it_may_be_served() -> None:
    before = new()
    state = carry_out(Step.CREATE, None, SETTINGS, now=START, inherited=before.trusted)
    assert refusal(before.serving, b"".join(state.trusted), SERVER) is None
    renewed = do(state, Step.ISSUE, 2)
    assert due(renewed, 2.9) is Step.NOTHING
    assert due(renewed, 3) is Step.FORGET


def test_every_state_is_read_back_from_its_secret() -> None:
    trusting = do(new(), Step.TRUST, 6)
    for state in (new(), trusting, do(trusting, Step.SIGN, 6)):
        assert read_state(state.data()) == state


def test_an_empty_secret_is_no_state() -> None:
    assert read_state({}) is None
    assert read_state({"tls.crt": b"", "tls.key": b""}) is None


@pytest.mark.parametrize(
    ("damage", "defect"),
    [
        ({"tls.crt": b"x"}, Defect.CERTIFICATE_UNREADABLE),
        ({"ca.crt": b"-----BEGIN CERTIFICATE-----\nMII"}, Defect.AUTHORITY_UNREADABLE),
        ({"tls.key": b"x"}, Defect.CHAIN_BROKEN),
        ({"ca.key": b"x"}, Defect.KEY_UNREADABLE),
        ({"ca.key": new().data()["ca.key"]}, Defect.KEY_OF_ANOTHER),
        ({"tls.key": new().data()["tls.key"]}, Defect.CHAIN_BROKEN),
        ({"ca.crt": OTHER["ca.crt"], "ca.key": OTHER["ca.key"]}, Defect.CHAIN_BROKEN),
    ],
)
def test_a_damaged_secret_is_refused_with_its_defect(damage: dict[str, bytes], defect: Defect) -> None:
    with pytest.raises(DefectiveSecretError) as refused:
        read_state(new().data() | damage)
    assert [finding.defect for finding in refused.value.findings] == [defect]


def test_no_key_shows_in_a_representation() -> None:
    assert "PRIVATE KEY" not in repr(do(new(), Step.TRUST, 6))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"names": ()}, "names"),
        ({"serving_lifetime": timedelta(seconds=20)}, "too short"),
        ({"authority_lifetime": minutes(2)}, "shorter than serving_lifetime"),
        ({"poll": timedelta(0)}, "poll"),
    ],
)
def test_settings_that_cannot_work_together_are_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        settings(**change)


def test_a_step_that_does_not_fit_its_state_is_refused() -> None:
    with pytest.raises(ValueError, match="plan"):
        carry_out(Step.SIGN, replace(new(), next=None), SETTINGS, now=START)
