"""Who is believed to ask: by a session cookie, by a token that a known key signed."""

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.rules import Scope
from gateway.routing.identity import (
    ANONYMOUS,
    LONGEST_COOKIE,
    BadKeySet,
    Identity,
    IdentityVerifier,
    KeySet,
    OrgProof,
    _CookieReader,
    partition,
)

NOW = 1_800_000_000.0
ED25519 = ed25519.Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
STRANGER = ed25519.Ed25519PrivateKey.generate()
CLAIMS = {"org_id": "acme", "exp": NOW + 60}


def jwk(key: Any, **members: str) -> dict[str, Any]:
    """Return the public part of *key* as a JSON Web Key."""
    algorithm: Any = {
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
    }
    for kind, made_by in algorithm.items():
        if isinstance(key, kind):
            return {**json.loads(made_by.to_jwk(key.public_key())), **members}
    raise TypeError(key)


def key_set(*keys: dict[str, Any]) -> KeySet:
    return KeySet.from_json(json.dumps({"keys": list(keys)}))


KEYS = key_set(jwk(ED25519, kid="ed"), jwk(P256, kid="p256"), jwk(RSA, kid="rsa"))
EC_ONLY = key_set(jwk(P256))


def verifier(keys: KeySet = KEYS) -> IdentityVerifier:
    return IdentityVerifier("session", OrgProof("token", "org_id", keys))


def signed(
    claims: dict[str, Any] | None = None, key: Any = ED25519, alg: str = "EdDSA", **header: Any
) -> bytes:
    return jwt.encode(CLAIMS if claims is None else claims, key, alg, headers=header).encode()


def org_of(token: bytes, now: float = NOW, keys: KeySet = KEYS) -> bytes | None:
    return verifier(keys).identify(b"token=" + token, now).org


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(), id="Ed25519"),
        pytest.param(signed(kid="ed"), id="Ed25519 by name"),
        pytest.param(signed(key=P256, alg="ES256", kid="p256"), id="P-256"),
        pytest.param(signed(key=RSA, alg="RS256"), id="RSA"),
        pytest.param(signed({**CLAIMS, "nbf": NOW}), id="from now on"),
        pytest.param(signed({**CLAIMS, "aud": "hub", "iss": "hub"}), id="further claims"),
    ],
)
def test_a_token_that_a_known_key_signed_proves_its_organisation(token: bytes) -> None:
    assert org_of(token) == b"acme"


def without_signature() -> bytes:
    return jwt.encode(CLAIMS, "", "none").encode()


def signed_with_the_public_key() -> bytes:
    # What a verifier falls for that lets the token choose: HMAC, keyed with public bytes.
    secret = P256.public_key().public_numbers().x.to_bytes(32, "big")
    return jwt.encode(CLAIMS, secret, "HS256").encode()


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed({"org_id": "acme"}), id="without an end"),
        pytest.param(signed({**CLAIMS, "exp": NOW}), id="expired this second"),
        pytest.param(signed({**CLAIMS, "exp": True}), id="an end that is no number"),
        pytest.param(signed({**CLAIMS, "exp": 10**400}), id="an end beyond all numbers"),
        pytest.param(signed({**CLAIMS, "nbf": NOW + 1}), id="not yet"),
        pytest.param(signed({**CLAIMS, "nbf": "now"}), id="a beginning that is no number"),
        pytest.param(signed({"exp": NOW + 60}), id="without the claim"),
        pytest.param(signed({**CLAIMS, "org_id": ""}), id="an empty claim"),
        pytest.param(signed({**CLAIMS, "org_id": ["a"]}), id="a claim that is a list"),
        pytest.param(signed({**CLAIMS, "org_id": True}), id="a claim that is a truth"),
        pytest.param(signed({**CLAIMS, "org_id": "x" * 257}), id="a claim too long"),
        pytest.param(signed({**CLAIMS, "org_id": "\ud800"}), id="a lone surrogate"),
        pytest.param(signed(key=STRANGER), id="an unknown key"),
        pytest.param(signed(key=STRANGER, kid="ed"), id="an unknown key under a known name"),
        pytest.param(signed(kid="other"), id="a known key under another name"),
        pytest.param(signed(key=RSA, alg="RS512"), id="another algorithm of the key"),
        pytest.param(signed(key=RSA, alg="PS256"), id="another padding of the key"),
        pytest.param(without_signature(), id="alg none"),
        pytest.param(signed_with_the_public_key(), id="HMAC with the public key"),
        pytest.param(signed()[:-4] + b"AAAA", id="a changed signature"),
        pytest.param(b"a.b.c", id="no token"),
        pytest.param(b"acme", id="the bare name"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"." * 4000, id="dots"),
    ],
)
def test_any_other_token_proves_nothing(token: bytes) -> None:
    assert org_of(token) is None


def test_the_algorithm_belongs_to_the_key_and_not_to_the_token() -> None:
    assert org_of(signed(), keys=EC_ONLY) is None
    assert org_of(signed(key=P256, alg="ES256"), keys=EC_ONLY) == b"acme"


def test_an_identity_ends_with_its_token() -> None:
    asked = verifier()
    cookie = b"session=s; token=" + signed()

    before, after = asked.identify(cookie, NOW + 59), asked.identify(cookie, NOW + 60)

    assert (before.org, before.expires) == (b"acme", NOW + 60)
    assert after.org is None
    assert before.user == after.user


def test_a_token_that_begins_later_is_looked_at_again_then() -> None:
    asked = verifier()
    cookie = b"token=" + signed({**CLAIMS, "nbf": NOW + 5})

    assert asked.identify(cookie, NOW) == Identity(None, None, NOW + 5)
    assert asked.identify(cookie, NOW + 5).org == b"acme"


def test_what_was_verified_is_remembered() -> None:
    asked = verifier()
    cookie = b"session=s; token=" + signed()

    assert asked.identify(cookie, NOW) is asked.identify(b"a=b; " + cookie, NOW + 1)


@pytest.mark.parametrize(
    ("cookie", "known"),
    [
        (b"session=abc", True),
        (b"a=1; session=abc; b=2", True),
        (b"a=1;session=abc", True),
        (b"old_session=x; session=abc", True),
        (b"session=abc; session_id=x", True),
        (b"next=/?session=x; session=abc", True),
        (b"session=", False),
        (b"session", False),
        (b"Session=abc", False),
        (b"xsession=abc", False),
        (b"session=abc; session=def", False),
        (b"session=abc; session=abc", False),
        (b"a=1, session=def; session=abc", False),
        (b'a="; session=def"; session=abc', False),
        (b"session=abc; session =def", False),
        (b"session=" + b"x" * (LONGEST_COOKIE + 1), False),
        (b"", False),
        (None, False),
    ],
)
def test_only_a_cookie_that_every_reader_sees_alike_counts(
    cookie: bytes | None, known: bool
) -> None:
    assert (verifier().identify(cookie, NOW) != ANONYMOUS) is known


PIECES = st.sampled_from(
    [b"session", b"=", b";", b"; ", b" ", b"a", b",", b'"', b"\t", b"session=x", b"old_"]
)


@given(st.lists(PIECES, max_size=12).map(b"".join))
def test_the_quick_way_and_the_careful_way_read_the_same_cookie(cookie: bytes) -> None:
    reader = _CookieReader("session")

    assert reader.value(cookie) == reader._read_with_care(cookie)


def test_two_tokens_are_none() -> None:
    cookie = b"token=" + signed() + b"; token=" + signed()

    assert verifier().identify(cookie, NOW) == ANONYMOUS


def test_users_are_told_apart_and_their_sessions_are_not_shown() -> None:
    asked = verifier()

    one, other = asked.identify(b"session=one", NOW), asked.identify(b"session=other", NOW)

    assert one.user != other.user
    assert b"one" not in (one.user or b"")


def test_cookies_that_nobody_configured_prove_nothing() -> None:
    assert IdentityVerifier(None, None).identify(b"session=a; token=b", NOW) is ANONYMOUS


def test_a_flood_of_sessions_costs_bounded_memory_and_pushes_out_no_proven_identity() -> None:
    asked = verifier()
    cookie = b"session=mine; token=" + signed()
    mine = asked.identify(cookie, NOW)

    for number in range(20_000):
        asked.identify(b"session=%d%s" % (number, b"x" * 1000), NOW)

    assert asked.identify(cookie, NOW) is mine
    assert len(asked._unproven) < 10_000


IDENTITIES = st.builds(
    Identity, st.none() | st.binary(min_size=1), st.none() | st.binary(min_size=1), st.just(NOW)
)


@given(IDENTITIES, IDENTITIES, st.sampled_from(Scope), st.sampled_from(Scope))
def test_partitions_are_shared_only_by_those_who_may_share(
    one: Identity, other: Identity, scope: Scope, other_scope: Scope
) -> None:
    mine, theirs = partition(scope, one), partition(other_scope, other)

    if mine is not None and mine == theirs:
        assert scope is other_scope
        assert scope is not Scope.USER or one.user == other.user
        assert scope is not Scope.ORG or one.org == other.org
        assert scope is not Scope.MEMBER or (one.org, one.user) == (other.org, other.user)


def test_what_isnt_verified_has_no_partition() -> None:
    assert partition(Scope.USER, ANONYMOUS) is None
    assert partition(Scope.ORG, ANONYMOUS) is None
    assert partition(Scope.MEMBER, Identity(b"u", None, 0.0)) is None
    assert partition(Scope.MEMBER, Identity(None, b"o", 0.0)) is None
    assert partition(Scope.PUBLIC, ANONYMOUS) is not None
    assert partition(Scope.SHARED, ANONYMOUS) is not None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "no JSON"),
        ("[]", "expected a JSON Web Key Set"),
        ('{"keys": []}', "no keys"),
        ('{"keys": [1]}', "no JSON object"),
        ('{"keys": [{"kty": "oct", "k": "AA"}]}', "none of Ed25519"),
        ('{"keys": [{"kty": "OKP", "crv": "Ed25519"}]}', "can't be read"),
        ('{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA"}]}', "private key"),
        pytest.param(
            json.dumps(jwk(ED25519, alg="HS256")), "only EdDSA is accepted", id="another algorithm"
        ),
        pytest.param(
            json.dumps(jwk(rsa.generate_private_key(65537, 1024))),
            "RSA needs 2048",
            id="a short key",
        ),
    ],
)
def test_a_set_that_no_token_should_be_checked_with_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadKeySet, match=why):
        KeySet.from_json(text)
