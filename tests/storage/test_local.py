"""The local tier: it outlives processes, never outgrows its quota, and never tears a record."""

import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.policy.stored import StoredResponse
from gateway.storage import codec
from gateway.storage.local import SMALLEST_QUOTA, LocalStore, TierDown, Write, prepare
from tests.storage.responses import response

QUOTA = SMALLEST_QUOTA
LATER = 4e9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert prepare(tmp_path / "local", QUOTA) is None
    return tmp_path / "local"


@pytest.fixture
def store(folder: Path) -> Iterator[LocalStore]:
    store = LocalStore(folder, QUOTA)
    yield store
    store.close()


def put(store: LocalStore, key: bytes, *variants: StoredResponse) -> None:
    store.write([Write(key, variants, LATER)])


def body(store: LocalStore, key: bytes) -> bytes | None:
    record = store.find(key, 1.8e9)
    return None if record is None else codec.decode(record, key)[0].body


def test_what_was_written_is_found_and_by_another_process_too(
    store: LocalStore, folder: Path
) -> None:
    put(store, b"key", response(b"body"))

    assert body(store, b"key") == b"body"
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                f"""
                from pathlib import Path
                from gateway.storage import codec
                from gateway.storage.local import LocalStore
                record = LocalStore(Path({str(folder)!r}), {QUOTA}).find(b"key", 1.8e9)
                print(codec.decode(record, b"key")[0].body.decode())
                """
            ),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "body\n"


def test_it_outlives_whoever_wrote_it(folder: Path) -> None:
    first = LocalStore(folder, QUOTA)
    put(first, b"key", response(b"body"))
    first.close()

    again = LocalStore(folder, QUOTA)
    assert body(again, b"key") == b"body"
    again.close()


def test_a_key_longer_than_lmdb_takes_is_as_good_as_any(store: LocalStore) -> None:
    put(store, b"k" * 10_000, response(b"long"))
    put(store, b"k" * 10_001, response(b"longer"))

    assert body(store, b"k" * 10_000) == b"long"
    assert body(store, b"k" * 10_001) == b"longer"


def test_what_is_of_no_use_any_more_is_not_found(store: LocalStore) -> None:
    store.write([Write(b"key", (response(),), until=2e9)])

    assert store.find(b"key", 2e9 - 1) is not None
    assert store.find(b"key", 2e9 + 1) is None


def test_only_what_came_later_than_what_is_known_is_found_on_demand(store: LocalStore) -> None:
    known = response()
    put(store, b"key", known)
    came = known.arrival.response_time

    assert store.find(b"key", 1.8e9, came - 1) is not None
    assert store.find(b"key", 1.8e9, came) is None


def test_variants_that_others_stored_stay_beside_ours(store: LocalStore) -> None:
    english = replace(response(b"hello"), nominated=((b"accept-language", b"en"),))
    german = replace(response(b"hallo"), nominated=((b"accept-language", b"de"),))
    put(store, b"key", english)
    put(store, b"key", german)

    record = store.find(b"key", 1.8e9)
    assert record is not None
    assert {each.body for each in codec.decode(record, b"key")} == {b"hello", b"hallo"}


def test_a_write_without_variants_removes_and_leaves_what_is_newer_where_asked_to(
    store: LocalStore,
) -> None:
    known = response(b"body")
    put(store, b"key", known)

    store.write([Write(b"key", (), unless_newer=known.arrival.response_time - 1)])
    assert body(store, b"key") == b"body"
    store.write([Write(b"key", (), unless_newer=known.arrival.response_time)])
    assert body(store, b"key") is None


def test_the_file_never_outgrows_its_quota_whatever_is_written(
    store: LocalStore, folder: Path
) -> None:
    chance = random.Random(7)
    sizes = [50, 900, 3_000, 20_000, 400_000]
    for _ in range(150):
        store.write(
            [
                Write(
                    b"k%d" % chance.randrange(3000),
                    (response(chance.randbytes(chance.choice(sizes))),),
                    LATER,
                )
                for _ in range(10)
            ]
        )
        assert (folder / "data.mdb").stat().st_size <= QUOTA

    store.measure()
    counted = store.statistics
    assert counted.evictions > 100
    assert counted.errors == 0
    assert QUOTA / 3 < counted.bytes < QUOTA
    assert counted.objects > 10


def test_what_came_first_goes_first_unless_it_was_used_again(store: LocalStore) -> None:
    def fill(numbers: range) -> None:
        for number in numbers:
            put(store, b"%d" % number, response(os.urandom(50_000)))

    fill(range(150))
    store.write([], used=[b"0"])
    fill(range(150, 330))

    assert store.find(b"0", 1.8e9) is not None
    assert store.find(b"1", 1.8e9) is None
    assert store.find(b"329", 1.8e9) is not None


def test_a_record_too_large_for_it_takes_the_place_of_nothing_and_leaves_nothing_older(
    store: LocalStore,
) -> None:
    put(store, b"key", response(b"small"))
    put(store, b"key", response(b"x" * QUOTA))

    assert store.find(b"key", 1.8e9) is None


def test_a_process_killed_while_it_writes_leaves_whole_records_only(folder: Path) -> None:
    writer = textwrap.dedent(
        f"""
        import os, random
        from pathlib import Path
        from gateway.storage.local import LocalStore, Write
        from tests.storage.responses import response
        store = LocalStore(Path({str(folder)!r}), {QUOTA})
        print("begun", flush=True)
        number = 0
        while True:
            writes = []
            for _ in range(20):
                number += 1
                body = b"%d " % number * random.randrange(1, 2000)
                writes.append(Write(b"k%d" % random.randrange(500), (response(body),), 4e9))
            store.write(writes)
        """
    )
    found = 0
    for delay in (0.05, 0.11, 0.2, 0.31):
        process = subprocess.Popen(
            [sys.executable, "-c", writer], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()

        store = LocalStore(folder, QUOTA)
        for number in range(500):
            record = store.find(b"k%d" % number, 1.8e9)
            if record is not None:
                found += 1
                stored = codec.decode(record, b"k%d" % number)[0].body
                word = stored.split(b" ", 1)[0] + b" "
                assert stored == word * (len(stored) // len(word))
        put(store, b"afterwards", response(b"it takes writes"))
        assert body(store, b"afterwards") == b"it takes writes"
        store.close()
    assert found > 100


def test_a_full_disk_refuses_the_write_and_what_is_there_can_still_be_read(folder: Path) -> None:
    store = LocalStore(folder, QUOTA)
    put(store, b"before", response(b"here"))
    size = (folder / "data.mdb").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 8192, hard))
        writes = [Write(b"%d" % n, (response(os.urandom(100_000)),), LATER) for n in range(100)]
        with pytest.raises(TierDown):
            store.write(writes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)

    assert body(store, b"before") == b"here"
    put(store, b"after", response(b"room again"))
    assert body(store, b"after") == b"room again"
    store.close()


def test_a_file_of_something_else_begins_anew_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "local"
    folder.mkdir()
    (folder / "data.mdb").write_bytes(b"no database" * 1000)

    told = prepare(folder, QUOTA)

    assert told is not None
    assert "begins empty" in told
    store = LocalStore(folder, QUOTA)
    put(store, b"key", response(b"body"))
    assert body(store, b"key") == b"body"
    store.close()


def test_a_file_larger_than_its_quota_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "local"
    assert prepare(folder, 4 * QUOTA) is None
    large = LocalStore(folder, 4 * QUOTA)
    for number in range(30):
        put(large, b"%d" % number, response(os.urandom(1_000_000)))
    large.close()

    assert "larger than its quota" in (prepare(folder, QUOTA) or "")
    assert (folder / "data.mdb").stat().st_size < QUOTA


def test_a_folder_that_cannot_be_made_is_told_and_not_raised_later(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(TierDown, match="can't be used"):
        prepare(tmp_path / "file" / "local", QUOTA)
