"""The browser that other tests lean on does what they count on."""

from aiohttp import web
from playwright.async_api import Browser, expect

from tests.doubles.browser import Traffic, accessibility_faults

PICTURE = f'<svg xmlns="http://www.w3.org/2000/svg"><!--{"x" * 9_950}--></svg>'
PAGE = """<!doctype html><html lang="en"><title>A page</title>
<main><h1 id="said">Before</h1><img src="/picture.svg"></main>
<script>said.textContent = "After"</script></html>"""


async def test_a_page_runs_its_scripts_and_tells_what_it_received_and_where_it_shuts_people_out(
    browser: Browser,
) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path == "/picture.svg":
            return web.Response(text=PICTURE, content_type="image/svg+xml")
        return web.Response(text=PAGE, content_type="text/html")

    server = web.ServerRunner(web.Server(answer))
    await server.setup()
    site = web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    page = await browser.new_page()
    traffic = await Traffic.of(page)

    await page.goto(f"http://127.0.0.1:{server.addresses[0][1]}/", wait_until="networkidle")

    await expect(page.locator("h1")).to_have_text("After")
    assert {one.kind for one in traffic.received} >= {"Document", "Image"}, traffic.table()
    assert 10_000 < traffic.wire_bytes < 12_000, traffic.table()
    assert [fault.partition(":")[0] for fault in await accessibility_faults(page)] == ["image-alt"]
    await server.cleanup()
