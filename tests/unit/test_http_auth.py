"""Who asks an HTTP device: the vectors of the standards, and challenges that are not met."""

import re

import pytest

from agent.drivers.http_json.auth import Challenge, basic, challenge_of, digest

RFC_7616 = {
    "MD5": "8ca523f5e9506fed4657c9700eebdbec",
    "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
}


@pytest.mark.parametrize("scheme", ["MD5", "SHA-256"])
def test_the_example_of_rfc_7616_is_met(scheme):
    challenge = Challenge(
        realm="http-auth@example.org",
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        scheme=scheme,
        opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    )
    text = digest(
        challenge,
        "Mufasa:Circle of Life",
        method="GET",
        target="/dir/index.html",
        count=1,
        client_nonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert re.findall('response="([0-9a-f]*)"', text) == [RFC_7616[scheme]]
    assert "nc=00000001" in text


def test_the_example_of_rfc_7617_is_met():
    assert basic("Aladdin:open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def test_the_better_of_two_challenges_is_taken():
    weak, strong = (f'Digest realm="r", nonce="{n}", algorithm={n}' for n in ("MD5", "SHA-256"))
    for texts in ([weak, strong], [strong, weak]):
        taken = challenge_of(texts)
        assert taken is not None
        assert taken.scheme == "SHA-256"


@pytest.mark.parametrize(
    "text",
    [
        'Basic realm="r"',
        'Digest realm="r"',
        'Digest realm="r", nonce="n", algorithm=SHA-512-256',
        'Digest realm="r", nonce="n", qop="auth-int"',
        'Digest realm="r\\"", nonce="n"',
        "",
    ],
)
def test_what_cannot_be_met_is_no_challenge(text):
    assert challenge_of([text]) is None
