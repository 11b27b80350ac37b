"""Nothing that a client sends ever becomes part of a statement.

Once by reading the hub's source: whoever asks the database hands it a named query.  Once by
listening to what the driver sends while clients try.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

import upstream
from tests.upstream.world import Client, error_of
from upstream.context import Hub

SOURCES = sorted(Path(upstream.__path__[0]).rglob("*.py"))
ASKING = {"fetch", "fetchrow", "fetchval", "execute", "executemany", "prepare", "cursor"}
FIXED_TEXTS = {
    "VACUUM ANALYZE",
    "SELECT 1",
    "SET LOCAL plan_cache_mode = force_generic_plan",
    "DEALLOCATE hub_explained",
}
FROM_OURSELVES = {
    ("migrate.py", "seed"),
    ("migrate.py", "statement"),
    ("migrate.py", "f'{verb} {quoted}'"),
    ("pool.py", "f'PREPARE hub_explained AS {sql}'"),
    ("pool.py", "f'EXPLAIN (VERBOSE) EXECUTE hub_explained{values}'"),
}
"""SQL of files that come with the hub, an index of its own by its quoted name, and the plan of
a query's text, which is never run and has its values left out."""
MARK = "zq9marker"
ATTEMPTS = [
    f"{MARK}' OR '1'='1",
    f"{MARK}'; DROP TABLE projects; --",
    f'{MARK}" UNION SELECT password_hash FROM users --',
    f"{MARK}\\'); SELECT pg_sleep(10); --",
    f"$1 {MARK} $$ %s {{0}}",
    f"%{MARK}_",
]


def asked(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield what is asked of the database: the first argument of each call that may ask."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ASKING
            and node.args
            # A response is prepared too, for its request.
            and ast.unparse(node.args[0]) != "request"
        ):
            yield node.args[0]


def is_named(asked_for: ast.expr, file: Path) -> bool:
    """Tell whether it is a Query's text, a Query itself, or one of the few fixed texts."""
    if isinstance(asked_for, ast.Constant):
        return asked_for.value in FIXED_TEXTS
    text = ast.unparse(asked_for)
    if (file.name, text) in {("pool.py", "query"), ("pool.py", "command")}:
        return True  # handed on by the connection, as it came
    return (
        text.rpartition(".")[2].isupper()
        or text.endswith(".sql")
        or text == "query"
        or text.startswith(("listing.page(", "listing.total("))
        or (file.name, text) in FROM_OURSELVES
    )


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.stem)
def test_the_database_is_asked_by_named_queries_alone(file: Path) -> None:
    wrong = [
        f"{file.name}:{expression.lineno}: {ast.unparse(expression)}"
        for expression in asked(ast.parse(file.read_text()))
        if not is_named(expression, file)
    ]

    assert wrong == []


def test_a_query_put_together_on_the_spot_would_be_noticed() -> None:
    tree = ast.parse('await c.fetch(f"SELECT {name}")\nawait c.execute("SELECT " + name)')

    assert [is_named(expression, Path("x.py")) for expression in asked(tree)] == [False, False]


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.stem)
def test_a_querys_text_is_made_of_constants(file: Path) -> None:
    """Names in a query's text are this project's constants, which are never reassigned."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "Query"):
            continue
        for part in ast.walk(node):
            if isinstance(part, ast.FormattedValue):
                name = ast.unparse(part.value)
                assert name.isupper() or name == "table", f"{file.name}:{part.lineno}: {name}"


@pytest.fixture
def heard(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return the statements that reach the driver, each with its arguments."""
    statements: list[tuple[str, str]] = []
    original = vars(asyncpg.Connection)["_execute"]

    async def listening(
        self: asyncpg.Connection, query: str, args: object, *more: object, **named: object
    ) -> object:
        statements.append((query, repr(args)))
        return await original(self, query, args, *more, **named)

    monkeypatch.setattr(asyncpg.Connection, "_execute", listening)
    return statements


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_what_a_client_sends_travels_beside_the_statement_never_in_it(
    ada: Client, heard: list[tuple[str, str]], sql: asyncpg.Connection, attempt: str
) -> None:
    before = await sql.fetchval("SELECT count(*) FROM projects")
    given = quote(json.dumps({"search": attempt, "url": attempt}))
    word = quote(attempt, safe="")

    replies = [
        await ada.get(f"/api/projects?search={word}"),
        await ada.get(f"/api/trpc/guardian.getTests?input={given}"),
        await ada.get(f"/dashboard/issues?search={word}"),
        await ada.get(f"/blog/{word}"),
        await ada.post("/api/projects", json={"name": attempt, "language": "Go"}),
        await ada.post("/api/auth/login", json={"email": attempt, "password": attempt}),
        await ada.post("/api/auth/api-keys", json={"name": attempt}),
        await ada.get("/api/auth/session", headers={"Authorization": f"Bearer hub_{word}"}),
        await ada.get("/api/projects", headers={"Cookie": f"session_token={word}"}),
    ]

    assert all(reply.status < 500 for reply in replies)
    assert [query for query, _ in heard if MARK in query] == []
    assert sum(MARK in arguments for _, arguments in heard) >= 6
    after = await sql.fetchval("SELECT count(*) FROM projects")
    assert after == before + 1
    assert await sql.fetchval("SELECT name FROM projects ORDER BY id DESC LIMIT 1") == attempt


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_a_list_of_words_takes_no_others(ada: Client, attempt: str) -> None:
    for name in ("status", "language", "limit", "page", "cursor"):
        reply = await ada.get("/api/projects", params={name: attempt})

        assert reply.status == 400
        assert (await error_of(reply))["field"] == name


async def test_a_search_takes_its_signs_literally(ada: Client) -> None:
    for name in ("100% done", "100 done", "a_b", "axb"):
        await ada.post("/api/projects", json={"name": f"{name} literal", "language": "Go"})

    async def found(word: str) -> list[str]:
        page = await (await ada.get("/api/projects", params={"search": word})).json()
        return sorted(row["name"] for row in page["data"])

    assert await found("100%") == ["100% done literal"]
    assert await found("A_B lit") == ["a_b literal"]
    assert await found("done\\") == []
