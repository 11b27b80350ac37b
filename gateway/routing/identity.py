"""Who asks, as far as it is proven.

A hit is an authorisation decision, so only what a client can't make up counts: a session
cookie is its own proof, since nobody can guess one; an organisation is believed when a
token signed by a known key names it (RFC 7515, RFC 7519). A request that proves nothing
is anonymous, and nothing is shared with it but what is public.
"""

import json
import math
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import jwt
from jwt.api_jws import PyJWS

from gateway.policy.rules import Scope

LONGEST_COOKIE = 4096
"""Bytes of a cookie value that counts; browsers keep no longer ones (RFC 6265 section 6.1)."""
_LONGEST_ORG = 256
_MEMO_BYTES = 32 << 20
_MEMO_OVERHEAD_BYTES = 400
"""An Identity, its digest, the key's own objects and their slots in the table."""
_SMALLEST_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: each part verified, or None."""

    user: bytes | None
    """A digest of the session cookie."""
    org: bytes | None
    """The organisation that a valid token names."""
    expires: float
    """The epoch second from which this must be found out anew; inf when nothing expires."""


ANONYMOUS = Identity(user=None, org=None, expires=math.inf)
"""A client that proves nothing."""


def partition(scope: Scope, identity: Identity) -> bytes | None:
    """Return the part of the cache key that keeps apart who may not share; injective.

    None when the identity that *scope* asks for isn't verified: such a request must neither
    be answered from the cache nor be stored.
    """
    match scope:
        case Scope.SHARED:
            return b""
        case Scope.PUBLIC:
            return b"public"
        case Scope.ORG:
            return None if identity.org is None else b"org:" + identity.org
        case Scope.USER:
            return None if identity.user is None else b"user:" + identity.user
        case Scope.MEMBER:
            if identity.user is None or identity.org is None:
                return None
            return b"member:%d:%b%b" % (len(identity.org), identity.org, identity.user)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key and the one algorithm that it may be used with.

    The algorithm comes from the key's type, never from the token: a token that chooses how
    it is checked could choose to be believed (RFC 8725 section 3.1).
    """

    algorithm: str
    kid: str | None
    key: Any


class BadKeySet(ValueError):
    """The text is no set of public keys that tokens could be checked with."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """The public keys that may sign (RFC 7517)."""

    keys: tuple[VerificationKey, ...]

    @classmethod
    def from_json(cls, text: str) -> "KeySet":
        """Return the key set that the JSON *text* holds; a single key is a set of one.

        Raises:
            BadKeySet: it is no key set, holds a private or symmetric key, or a weak one.

        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise BadKeySet(f"this is no JSON: {error}") from error
        if isinstance(document, dict) and "kty" in document:
            document = {"keys": [document]}
        if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
            raise BadKeySet('expected a JSON Web Key Set, {"keys": [...]}')
        if not document["keys"]:
            raise BadKeySet("the key set has no keys")
        return cls(tuple(_key(i, jwk) for i, jwk in enumerate(document["keys"], start=1)))

    def candidates(self, algorithm: object, kid: object) -> list[VerificationKey]:
        """Return the keys that a token with this header may have been signed with."""
        return [
            key
            for key in self.keys
            if key.algorithm == algorithm and (kid is None or key.kid is None or key.kid == kid)
        ]


@dataclass(frozen=True, slots=True)
class OrgProof:
    """How an organisation is proven: a claim of a signed token in a cookie."""

    cookie: str
    claim: str
    keys: KeySet


class IdentityVerifier:
    """Turns the Cookie field of a request into an Identity; remembers what it has verified."""

    def __init__(self, user_cookie: str | None, org: OrgProof | None) -> None:
        """None switches the one or the other part of an identity off."""
        self._user = None if user_cookie is None else _CookieReader(user_cookie)
        self._org = None if org is None else _CookieReader(org.cookie)
        self._proof = org
        # Apart, so that made-up cookies can't push out tokens that were costly to verify.
        self._proven = _Memo(_MEMO_BYTES)
        self._unproven = _Memo(_MEMO_BYTES // 8)

    def identify(self, cookie: bytes | None, now: float) -> Identity:
        """Return who asks at *now* (epoch seconds), given the combined Cookie field value."""
        if cookie is None:
            return ANONYMOUS
        session = None if self._user is None else self._user.value(cookie)
        token = None if self._org is None else self._org.value(cookie)
        if session is None and token is None:
            return ANONYMOUS
        asked = (session, token)
        known = self._proven.get(asked) or self._unproven.get(asked)
        if known is not None and now < known.expires:
            return known
        return self._verify(session, token, now)

    def _verify(self, session: bytes | None, token: bytes | None, now: float) -> Identity:
        org, expires = None, math.inf
        if token is not None and self._proof is not None:
            org, expires = _org(self._proof, token, now)
        user = None if session is None else _digest(session)
        identity = Identity(user, org, expires)
        memo = self._unproven if org is None else self._proven
        memo.put((session, token), identity)
        return identity


class _Memo:
    """Identities by the cookies that proved them; bounded in bytes, the oldest goes first."""

    def __init__(self, most_bytes: int) -> None:
        self._known: dict[tuple[bytes | None, bytes | None], Identity] = {}
        self._bytes = 0
        self._most_bytes = most_bytes

    def get(self, asked: tuple[bytes | None, bytes | None]) -> Identity | None:
        return self._known.get(asked)

    def put(self, asked: tuple[bytes | None, bytes | None], identity: Identity) -> None:
        if self._known.pop(asked, None) is None:
            self._bytes += _cost(asked)
        self._known[asked] = identity
        while self._bytes > self._most_bytes:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._bytes -= _cost(oldest)

    def __len__(self) -> int:
        return len(self._known)


class _CookieReader:
    """Reads the value of one cookie.

    Servers disagree about odd Cookie fields: some split at commas, some take the first of
    two cookies of a name, some the last. Where another reader could see another value, the
    cookie doesn't count.
    """

    def __init__(self, name: str) -> None:
        self._name = name.encode("ascii")
        self._marked = self._name + b"="
        self._could_be = re.compile(rb"(?:^|[;,\s\"])" + re.escape(self._name) + rb"\s*=")
        self._is = re.compile(rb"(?:^|;)[ \t]*" + re.escape(self._name) + rb"=([^;]*)")

    def value(self, cookie: bytes) -> bytes | None:
        """Return the value; None when there is none, two, an empty or an oversized one."""
        start = cookie.find(self._marked)
        # The regular expressions take 7 us; what browsers send is read without them.
        if start >= 0 and cookie.count(self._name) == 1:
            if start and cookie[start - 2 : start] != b"; ":
                return self._read_with_care(cookie)
            start += len(self._marked)
            end = cookie.find(b";", start)
            return _bounded(cookie[start:] if end < 0 else cookie[start:end])
        return self._read_with_care(cookie) if self._name in cookie else None

    def _read_with_care(self, cookie: bytes) -> bytes | None:
        found = self._is.search(cookie)
        if found is None or len(self._could_be.findall(cookie)) != 1:
            return None
        return _bounded(found[1])


def _bounded(value: bytes) -> bytes | None:
    value = value.strip(b" \t")
    return value if 0 < len(value) <= LONGEST_COOKIE else None


def _cost(asked: tuple[bytes | None, bytes | None]) -> int:
    return len(asked[0] or b"") + len(asked[1] or b"") + _MEMO_OVERHEAD_BYTES


def _digest(session: bytes) -> bytes:
    # Hexadecimal: it goes into keys, group names and logs, where the session itself must not.
    return blake2b(session, digest_size=16, person=b"gateway user").hexdigest().encode("ascii")


_JWS = PyJWS()


def _org(proof: OrgProof, token: bytes, now: float) -> tuple[bytes | None, float]:
    """Return the organisation that *token* proves at *now*, and until when that holds."""
    claims = _verified_claims(proof.keys, token)
    if claims is None:
        return None, math.inf
    expires = _instant(claims.get("exp"))
    not_before = _instant(claims.get("nbf", 0))
    if expires is None or not_before is None or now >= expires:
        return None, math.inf
    if now < not_before:
        return None, not_before
    org = claims.get(proof.claim)
    if isinstance(org, int) and not isinstance(org, bool):
        org = str(org)
    if not isinstance(org, str) or not 0 < len(org) <= _LONGEST_ORG:
        return None, math.inf
    try:
        return org.encode("utf-8"), expires
    except UnicodeEncodeError:  # a lone surrogate: JSON can spell what no text can hold
        return None, math.inf


def _verified_claims(keys: KeySet, token: bytes) -> dict[str, Any] | None:
    """Return the claims of *token* when one of *keys* signed it."""
    try:
        header = _JWS.get_unverified_header(token)
    except jwt.PyJWTError:
        return None
    for candidate in keys.candidates(header.get("alg"), header.get("kid")):
        try:
            payload = _JWS.decode(token, key=candidate.key, algorithms=[candidate.algorithm])
            claims = json.loads(payload)
        except (jwt.PyJWTError, ValueError, RecursionError):
            continue
        return claims if isinstance(claims, dict) else None
    return None


def _instant(value: object) -> float | None:
    """Return a NumericDate as epoch seconds; None for what is none (RFC 7519 section 2)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None


def _key(position: int, jwk: object) -> VerificationKey:
    """Return the key that *jwk*, one member of a set, holds."""
    if not isinstance(jwk, dict):
        raise BadKeySet(f"key {position} is no JSON object")
    kid = jwk.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise BadKeySet(f"key {position}: kid is no text")
    name = f"key {position}" if kid is None else f'key {position} ("{kid}")'
    match jwk:
        case {"kty": "OKP", "crv": "Ed25519"}:
            algorithm = "EdDSA"
        case {"kty": "EC", "crv": "P-256"}:
            algorithm = "ES256"
        case {"kty": "RSA"}:
            algorithm = "RS256"
        case _:
            raise BadKeySet(f"{name} is none of Ed25519, P-256 (EC) and RSA")
    if "d" in jwk:
        raise BadKeySet(f"{name} is a private key: give the gateway the public part alone")
    if jwk.get("alg") not in (None, algorithm, jwk.get("crv")):
        raise BadKeySet(f"{name} is meant for {jwk['alg']}, but only {algorithm} is accepted")
    try:
        key = jwt.PyJWK(jwk, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise BadKeySet(f"{name} can't be read: {error}") from error
    if algorithm == "RS256" and key.key_size < _SMALLEST_RSA_BITS:
        raise BadKeySet(f"{name} has {key.key_size} bits; RSA needs {_SMALLEST_RSA_BITS}")
    return VerificationKey(algorithm, kid, key)
