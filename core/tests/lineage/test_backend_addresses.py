"""A lineage backend's address is an origin, whatever people write; a credential is a reference, whatever they paste."""

import string
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_core.lineage.backend import credential, https_origin, origin

pytestmark = pytest.mark.requirement("REQ-057", "HOUSE-6", "HOUSE-7")

_LABEL = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12)
_ORIGINS = st.builds(
    lambda scheme, host, port: f"{scheme}://{host}" + (f":{port}" if port else ""),
    st.sampled_from(["http", "https"]),
    st.one_of(st.lists(_LABEL, min_size=1, max_size=3).map(".".join), st.just("[::1]"), st.just("127.0.0.1")),
    st.none() | st.integers(1, 65535),
)
_PATHS = st.lists(_LABEL, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(_ORIGINS)
def test_an_origin_stays_what_it_is_with_and_without_a_closing_slash(address: str) -> None:
    assert origin(address) == origin(address + "/") == address


@given(_ORIGINS, _PATHS)
def test_an_address_with_a_path_is_refused_and_not_repeated(address: str, path: str) -> None:
    with pytest.raises(ValueError, match="before its path") as refused:
        origin(address + path)

    assert address not in str(refused.value)


@given(_ORIGINS, _PATHS)
def test_an_endpoint_joined_to_an_origin_is_neither_cut_nor_doubled(address: str, path: str) -> None:
    assert urljoin(origin(address), path.lstrip("/")) == urljoin(origin(address), path) == address + path


@given(_ORIGINS.filter(lambda address: address.startswith("http://")))
def test_a_token_does_not_travel_in_the_clear(address: str) -> None:
    with pytest.raises(ValueError, match="write https:// for http://: the token would travel in the clear"):
        https_origin(address)


@given(st.text(min_size=4).map("eyJ-".__add__))
def test_whatever_is_no_reference_is_refused_and_not_repeated(pasted: str) -> None:
    with pytest.raises(ValueError, match="name the credential") as refused:
        credential(pasted)

    assert pasted not in str(refused.value)


@pytest.mark.parametrize("text", ["${env:A}x", "Bearer ${env:A}", "${env:}", "${env:1A}", "$A", "${A}", ""])
def test_a_reference_stands_alone(text: str) -> None:
    with pytest.raises(ValueError, match="name the credential"):
        credential(text)
