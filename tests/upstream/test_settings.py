"""What the hub is told, and what it says when that can't be meant."""

from pathlib import Path

import pytest

from upstream.errors import StartFailed
from upstream.settings import DatabaseAddress, Settings, read_settings


def read(listen: str = "127.0.0.1:3000", **environ: str) -> Settings:
    return read_settings(environ, listen=listen, state_dir=Path("state"))


def test_without_any_word_about_a_database_the_hub_brings_its_own_and_seeds_it() -> None:
    settings = read()

    assert settings.database is None
    assert settings.seed
    assert (settings.pool.min_size, settings.pool.max_size) == (5, 20)


def test_a_url_names_every_part_of_the_address_even_with_escaped_characters() -> None:
    settings = read(DATABASE_URL="postgresql://me:p%40ss@db.test:6432/shop?sslmode=require")

    assert settings.database == DatabaseAddress(
        "db.test", 6432, "shop", "me", "p@ss", ssl="require"
    )


def test_a_url_may_name_the_directory_of_a_socket() -> None:
    settings = read(DATABASE_URL="postgresql:///hub?host=/run/postgresql")

    assert settings.database == DatabaseAddress("/run/postgresql", 5432, "hub", "postgres")


def test_single_variables_name_an_address_too() -> None:
    settings = read(DATABASE_HOST="db.test", DATABASE_PASSWORD="secret", DATABASE_NAME="shop")

    assert settings.database == DatabaseAddress("db.test", 5432, "shop", "postgres", "secret")


def test_a_real_server_gets_no_demo_users_unless_asked_for() -> None:
    assert not read(DATABASE_HOST="db.test").seed
    asked = read_settings(
        {"DATABASE_HOST": "db.test"}, listen="127.0.0.1:1", state_dir=Path("s"), seed="yes"
    )
    assert asked.seed


def test_a_smaller_largest_pool_lowers_the_smallest_one_that_nobody_set() -> None:
    pool = read(DB_POOL_MAX="3").pool

    assert (pool.min_size, pool.max_size) == (3, 3)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        pytest.param({"DB_POOL_MAX": "many"}, "DB_POOL_MAX: expected a whole", id="pool-word"),
        pytest.param({"DB_POOL_MAX": "0"}, "DB_POOL_MAX: expected a whole", id="pool-zero"),
        pytest.param(
            {"DB_POOL_MIN": "9", "DB_POOL_MAX": "3"}, "DB_POOL_MIN is 9, more", id="pool-order"
        ),
        pytest.param({"DATABASE_PORT": "99999"}, "DATABASE_PORT: expected", id="port"),
        pytest.param({"DATABASE_URL": "mysql://x/y"}, "the scheme 'mysql'", id="scheme"),
        pytest.param({"DATABASE_URL": "postgresql://h:x/y"}, "DATABASE_URL", id="url-port"),
        pytest.param({"DATABASE_URL": "postgresql:///hub"}, "no host", id="url-host"),
        pytest.param({"DATABASE_URL": "postgresql://h/d?pool=1"}, "'pool'", id="url-option"),
        pytest.param({"DATABASE_URL": "postgresql://h/d?sslmode=on"}, "sslmode", id="url-ssl"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    environ: dict[str, str], message: str
) -> None:
    with pytest.raises(StartFailed, match=message):
        read(**environ)


@pytest.mark.parametrize("listen", ["3000", ":3000", "host:", "host:http", "host:70000"])
def test_a_wrong_listen_address_is_refused(listen: str) -> None:
    with pytest.raises(StartFailed, match="--listen: expected HOST:PORT"):
        read(listen)


def test_no_message_and_no_repr_shows_the_password() -> None:
    with pytest.raises(StartFailed) as refused:
        read(DATABASE_URL="postgresql://me:hunter2@db.test:x/y")

    assert "hunter2" not in str(refused.value)
    settings = read(DATABASE_URL="postgresql://me:hunter2@db.test/y")
    assert "hunter2" not in repr(settings) + str(settings.database)
