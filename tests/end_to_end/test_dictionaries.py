"""A real browser that has one release of a script gets the difference to the next."""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.async_api import BrowserContext, Response, async_playwright

from gateway.edge.dictionary_codings import ENCODERS
from tests.doubles.browser import CHROMIUM_FLAGS, chromium
from tests.doubles.origin import Answer, ScriptedOrigin, response
from tests.edge.test_dictionaries import ALL, having, until_coded
from tests.edge.test_http2 import over_h2

ROUTES = """\
defaults: {compress: {dictionaries: true}}
routes:
  - name: static
    match: {path: /static/*}
    cache: {ttl: 1y, browser_ttl: 1y, immutable: true, scope: public}
"""
OLD = b"".join(b"const value%d = () => %d;\n" % (each, each * each) for each in range(400))
NEW = OLD.replace(b"=> 289;", b"=> 'changed';")
RELEASES = {"/static/app.0123456789.js": OLD, "/static/app.9876543210.js": NEW}


@asynccontextmanager
async def visitor(folder: Path, port: int) -> AsyncIterator[BrowserContext]:
    """Lend a browser that takes our certificate for one of an authority that everybody knows.

    What it stored stays in *folder*: dictionaries are for who comes again.
    """
    certificate = x509.load_pem_x509_certificate((folder / "hub.test.pem").read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            str(folder / "profile"),
            executable_path=chromium(),
            chromium_sandbox=False,
            args=[
                *CHROMIUM_FLAGS,
                f"--host-resolver-rules=MAP hub.test:443 127.0.0.1:{port}",
                f"--ignore-certificate-errors-spki-list={pin}",
                "--disable-features=CompressionDictionaryTransportRequireKnownRootCert",
            ],
        )
        yield context
        await context.close()


def sent() -> dict[str, list[Answer]]:
    answers: dict[str, list[Answer]] = {}
    for release, (target, body) in zip(("/old", "/new"), RELEASES.items(), strict=True):
        page = f'<!doctype html><title>Hub</title><script src="{target}"></script>'
        answers[release] = [response(body=page.encode(), content_type="text/html; charset=utf-8")]
        answers[target] = [response(body=body, content_type="text/javascript", etag='"v"')]
    return answers


@pytest.mark.parametrize("coding", ["dcb", "dcz"])
async def test_a_browser_runs_the_next_release_from_the_difference_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coding: str
) -> None:
    for other in ENCODERS.keys() - {coding}:
        monkeypatch.delitem(ENCODERS, other)
    codings: dict[str, str | None] = {}

    def note(received: Response) -> None:
        codings[received.url.removeprefix("https://hub.test")] = received.headers.get(
            "content-encoding"
        )

    origin = ScriptedOrigin(sent())
    async with origin, over_h2(tmp_path, origin, ROUTES) as (world, connect):
        client = await connect()
        old, new = RELEASES
        for target in RELEASES:
            await client.get(target, **{"accept-encoding": ALL})
        await until_coded(client, new, **having(OLD))
        assert world.gateway.secure_address is not None
        async with visitor(tmp_path, world.gateway.secure_address[1]) as browser:
            page = await browser.new_page()
            page.on("response", note)
            await page.goto("https://hub.test/old")
            before = await page.evaluate("[value17(), value399()]")
            await page.goto("https://hub.test/new")
            after = await page.evaluate("[value17(), value399()]")

    assert (codings[old], before) == ("br", [289, 399 * 399])
    assert (codings[new], after) == (coding, ["changed", 399 * 399])
