"""Where a coordinator may be listened for: in the clear only where nobody else can reach it."""

from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from coordinator.api.server import _as_forwarded
from coordinator.commands.options import listen
from coordinator.core.client_certificates import Demand
from coordinator.listen import Listen
from shared.errors import MistakeError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_plain_http_is_served_on_this_machine_only(host):
    Listen(host=host, port=1, behind_proxy=True).check()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_plain_http_is_refused_where_others_could_reach_it(host):
    with pytest.raises(MistakeError) as caught:
        Listen(host=host, port=1, behind_proxy=True).check()
    assert caught.value.where == "--behind-proxy"


def test_a_socket_is_served_behind_a_proxy_only():
    address = listen("unix:/run/outstation.sock")
    assert address.socket == Path("/run/outstation.sock")
    with pytest.raises(MistakeError, match="in the clear"):
        address.check()


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"certificates": Demand.OPTIONAL}, "--client-certificates"),
        ({"announce": True}, "--announce"),
    ],
)
def test_what_only_tls_can_do_is_refused_behind_a_proxy(asked, where):
    with pytest.raises(MistakeError) as caught:
        Listen(host="127.0.0.1", port=1, behind_proxy=True, **asked).check()
    assert caught.value.where == where


def test_only_the_address_that_the_proxy_itself_saw_is_believed():
    headers = {"X-Forwarded-For": "6.6.6.6, 192.0.2.7"}
    request = make_mocked_request("GET", "/v1/status", headers=headers)
    assert _as_forwarded(request).remote == "192.0.2.7"


def test_what_a_proxy_adds_as_a_header_of_its_own_stands_last():
    headers = CIMultiDict([("X-Forwarded-For", "6.6.6.6"), ("x-forwarded-for", "192.0.2.7")])
    request = make_mocked_request("GET", "/v1/status", headers=headers)
    assert _as_forwarded(request).remote == "192.0.2.7"


def test_a_request_without_the_proxys_word_keeps_its_address():
    request = make_mocked_request("GET", "/v1/status")
    assert _as_forwarded(request) is request
