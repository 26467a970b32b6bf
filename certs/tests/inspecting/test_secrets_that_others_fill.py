"""A Secret that somebody else fills: usable, or exactly what is wrong with it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.tests.builders import SERVER, START, brought
from floe_certs.authority import create_authority, issue_serving_certificate
from floe_certs.defects import Defect, DefectiveSecretError
from floe_certs.inspection import inspect

pytestmark = pytest.mark.requirement("FP-8", "HOUSE-3")

Data = dict[str, bytes]


def other_key(data: Data) -> Data:
    return data | {"tls.key": brought()["tls.key"]}


def other_authority(data: Data) -> Data:
    return data | {"ca.crt": brought()["ca.crt"]}


def cut_off(key: str) -> Callable[[Data], Data]:
    return lambda data: data | {key: data[key][: len(data[key]) // 2]}


def without(key: str) -> Callable[[Data], Data]:
    return lambda data: {one: value for one, value in data.items() if one != key}


@pytest.mark.parametrize("name", [SERVER, SERVER.upper()])
@pytest.mark.parametrize("names", [(SERVER,), ("*.floe.svc",), ("another", SERVER)])
def test_a_good_secret_is_served_and_its_authority_trusted(names: tuple[str, ...], name: str) -> None:
    data = brought(names)
    material = inspect(data, name=name, now=START)
    assert (material.serving.certificate_pem, material.serving.key_pem) == (data["tls.crt"], data["tls.key"])
    assert material.trusted == (data["ca.crt"],)
    assert material.ends_at == START + timedelta(days=90)


def test_a_chain_that_ends_with_its_root_needs_no_authority_of_its_own() -> None:
    data = brought()
    material = inspect(
        {"tls.crt": data["tls.crt"] + data["ca.crt"], "tls.key": data["tls.key"]}, name=SERVER, now=START
    )
    assert material.trusted == (data["ca.crt"],)


@pytest.mark.parametrize(
    ("damage", "defect", "says"),
    [
        pytest.param(other_key, Defect.KEY_OF_ANOTHER, "another certificate", id="the key of another pair"),
        pytest.param(cut_off("tls.crt"), Defect.CERTIFICATE_UNREADABLE, "cut off", id="a truncated certificate"),
        pytest.param(cut_off("tls.key"), Defect.KEY_UNREADABLE, "cannot be read", id="a truncated key"),
        pytest.param(cut_off("ca.crt"), Defect.AUTHORITY_UNREADABLE, "cut off", id="a truncated authority"),
        pytest.param(without("tls.crt"), Defect.CERTIFICATE_MISSING, "no certificate", id="no certificate"),
        pytest.param(without("tls.key"), Defect.KEY_MISSING, "add the", id="no key"),
        pytest.param(without("ca.crt"), Defect.AUTHORITY_MISSING, "add ca.crt", id="no authority"),
        pytest.param(other_authority, Defect.CHAIN_BROKEN, "unable to get local issuer", id="another authority"),
        pytest.param(
            lambda _: brought(["elsewhere.floe.svc"]), Defect.WRONG_NAME, "elsewhere.floe.svc", id="another name"
        ),
        pytest.param(
            lambda _: brought(now=START - timedelta(days=91)), Defect.EXPIRED, "ended at 2029-12-31", id="expired"
        ),
        pytest.param(
            lambda _: brought(now=START + timedelta(days=2)), Defect.NOT_YET_VALID, "begins at", id="not yet valid"
        ),
        pytest.param(
            lambda _: brought(
                authority=create_authority("old", now=START - timedelta(days=9), lifetime=timedelta(days=8)),
                now=START - timedelta(days=9),
            ),
            Defect.AUTHORITY_EXPIRED,
            "ended at",
            id="an authority that has ended",
        ),
    ],
)
def test_what_is_wrong_is_said(damage: Callable[[Data], Data], defect: Defect, says: str) -> None:
    with pytest.raises(DefectiveSecretError) as refused:
        inspect(damage(brought()), name=SERVER, now=START)
    assert defect in {finding.defect for finding in refused.value.findings}
    assert says in str(refused.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    data = other_key(brought(["elsewhere"], now=START - timedelta(days=100)))
    with pytest.raises(DefectiveSecretError) as refused:
        inspect(data, name=SERVER, now=START)
    assert {one.defect for one in refused.value.findings} == {
        Defect.KEY_OF_ANOTHER,
        Defect.EXPIRED,
        Defect.WRONG_NAME,
    }


GOOD = brought()


@given(key=st.sampled_from(["tls.crt", "tls.key", "ca.crt"]), start=st.integers(0, 400), junk=st.binary(max_size=40))
def test_whatever_is_damaged_nothing_but_a_finding_comes_out_and_no_key_in_it(
    key: str, start: int, junk: bytes
) -> None:
    data = GOOD | {key: GOOD[key][:start] + junk + GOOD[key][start + len(junk) + 1 :]}
    sentences = ""
    try:
        material = inspect(data, name=SERVER, now=START)
    except DefectiveSecretError as error:
        sentences = str(error)
    else:
        assert material.ends_at == START + timedelta(days=90)
    assert GOOD["tls.key"].decode().splitlines()[1] not in sentences


def test_the_authority_may_stand_behind_others() -> None:
    authority = create_authority("the right one", now=START)
    serving = issue_serving_certificate(authority, dns_names=[SERVER], now=START)
    data = {
        "tls.crt": serving.certificate_pem + authority.certificate_pem,
        "tls.key": serving.key_pem,
        "ca.crt": create_authority("unrelated", now=START).certificate_pem + authority.certificate_pem,
    }
    assert inspect(data, name=SERVER, now=START).trusted[1] == authority.certificate_pem
