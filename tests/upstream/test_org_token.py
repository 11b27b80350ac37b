"""The organization token: only ours, only while it lasts, through a change of keys."""

import base64
import json
import stat
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from upstream.__main__ import main
from upstream.errors import StartFailed
from upstream.org_token import Claims, TokenSigner, make_key

NOW = 1_800_000_000.0


def test_a_token_says_who_and_where_and_until_when(tmp_path: Path) -> None:
    signer = TokenSigner(tmp_path, time.time())

    token = signer.issue(user_id=7, org_id=9, now=NOW)

    assert signer.verify(token, now=NOW) == Claims(user_id=7, org_id=9, expires_at=NOW + 3600)


def test_the_key_set_that_is_written_holds_no_private_part(tmp_path: Path) -> None:
    signer = TokenSigner(tmp_path, time.time())

    written = (tmp_path / "jwks.json").read_bytes()
    (key,) = json.loads(written)["keys"]

    assert written == signer.key_set()
    assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}
    assert stat.S_IMODE((tmp_path / "jwks.json").stat().st_mode) & 0o022 == 0


def test_a_second_start_signs_with_the_same_key(tmp_path: Path) -> None:
    token = TokenSigner(tmp_path, time.time()).issue(user_id=1, org_id=1, now=NOW)

    assert TokenSigner(tmp_path, time.time()).verify(token, now=NOW) is not None


def key_ids(signer: TokenSigner) -> list[str]:
    return [key["kid"] for key in json.loads(signer.key_set())["keys"]]


def signed_by(signer: TokenSigner, now: float) -> str:
    kid: str = jwt.get_unverified_header(signer.issue(user_id=1, org_id=1, now=now))["kid"]
    return kid


def key_made_at(state_dir: Path, made_at: float) -> None:
    """Put one more key into *state_dir*, as old as that."""
    (state_dir / "keys").mkdir(exist_ok=True)
    make_key(state_dir, made_at)


def test_a_new_key_is_published_for_an_hour_before_it_signs(tmp_path: Path) -> None:
    key_made_at(tmp_path, NOW - 5000)
    signer = TokenSigner(tmp_path, NOW)
    (old,) = key_ids(signer)
    key_made_at(tmp_path, NOW)

    signer.keep_fresh(NOW + 60)

    assert json.loads((tmp_path / "jwks.json").read_bytes()) == json.loads(signer.key_set())
    (new,) = set(key_ids(signer)) - {old}
    assert signed_by(signer, NOW + 60) == old
    signer.keep_fresh(NOW + 3600)
    assert signed_by(signer, NOW + 3600) == new


def test_an_old_key_stays_until_the_last_of_its_tokens_has_run_out(tmp_path: Path) -> None:
    key_made_at(tmp_path, NOW - 5000)
    key_made_at(tmp_path, NOW)
    signer = TokenSigner(tmp_path, NOW + 3599)
    last = signer.issue(user_id=1, org_id=1, now=NOW + 3599)

    signer.keep_fresh(NOW + 7198)
    assert signer.verify(last, now=NOW + 7198) is not None
    signer.keep_fresh(NOW + 7201)

    assert len(key_ids(signer)) == 1
    assert [file.name for file in (tmp_path / "keys").iterdir()] == ["0002.pem"]
    assert signer.verify(last, now=NOW + 7198) is None


def test_a_key_gets_a_successor_after_a_month(tmp_path: Path) -> None:
    key_made_at(tmp_path, NOW - 30 * 86400 + 1)
    signer = TokenSigner(tmp_path, NOW)
    (old,) = key_ids(signer)

    signer.keep_fresh(NOW + 1)

    assert len(key_ids(signer)) == 2
    assert signed_by(signer, NOW + 1) == old


def test_the_command_makes_a_key_that_a_running_hub_takes_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signer = TokenSigner(tmp_path, time.time())

    assert main(["rotate-keys", "--state-dir", str(tmp_path)]) == 0

    assert "0002.pem" in capsys.readouterr().out
    signer.keep_fresh(time.time())
    assert len(key_ids(signer)) == 2


def test_the_command_wants_a_directory_of_a_hub(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rotate-keys", "--state-dir", str(tmp_path / "none")]) == 1
    assert "start one there first" in capsys.readouterr().err


def test_an_expired_token_says_nothing(tmp_path: Path) -> None:
    signer = TokenSigner(tmp_path, time.time())

    token = signer.issue(user_id=1, org_id=1, now=NOW)

    assert signer.verify(token, now=NOW + 3599) is not None
    assert signer.verify(token, now=NOW + 3600) is None


def test_a_forged_token_says_nothing(tmp_path: Path) -> None:
    signer = TokenSigner(tmp_path / "ours", time.time())
    theirs = TokenSigner(tmp_path / "theirs", time.time())
    token = signer.issue(user_id=1, org_id=1, now=NOW)
    head, claims, signature = token.split(".")
    kid = jwt.get_unverified_header(token)["kid"]
    other = base64.urlsafe_b64encode(b'{"org_id":"2"}').decode().rstrip("=")
    forgeries = [
        "",
        "x",
        "a.b.c",
        f"{head}.{claims}.",
        f"{head}.{other}.{signature}",
        theirs.issue(user_id=1, org_id=1, now=NOW),
        jwt.encode(
            {"iss": "hub", "sub": "1", "org_id": "1", "exp": NOW + 60}, "", "none", {"kid": kid}
        ),
        jwt.encode(
            {"iss": "hub", "sub": "1", "org_id": "1", "exp": NOW + 60},
            "k" * 32,
            "HS256",
            {"kid": kid},
        ),
    ]

    assert [signer.verify(forgery, now=NOW) for forgery in forgeries] == [None] * len(forgeries)


@pytest.mark.parametrize("content", [b"", b"not a key"])
def test_a_file_that_is_no_key_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/0001.pem").write_bytes(content)

    with pytest.raises(StartFailed, match=r"0001\.pem: not a private key"):
        TokenSigner(tmp_path, time.time())


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    pem = generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/0001.pem").write_bytes(pem)

    with pytest.raises(StartFailed, match="expected an Ed25519 key"):
        TokenSigner(tmp_path, time.time())
