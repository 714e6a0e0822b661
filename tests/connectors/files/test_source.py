"""The source `files`: whatever happens to files and processes, every record is taken, and nothing new is seen in what was read."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from connectors.kit.contract import ConfigError, Record, Unavailable
from tests.connectors.files.conftest import Spot, drain, keys, killed, refused
from tests.support import openssh

TABLE = "numero;etat\nA1;depose\nA2;instruit\nA3;decide\n"


async def test_a_file_is_read_and_goes_to_done(place: Spot) -> None:
    place.put("permis.csv", TABLE)
    source = place.source(version="etat")
    assert (await source.check()).ok
    batches = await drain(source)
    first = batches[0].records[0]
    assert isinstance(first, Record)
    assert (first.key, first.version, first.raw, first.place) == ("A1", "depose", b"A1;depose\n", "permis.csv, line 2")
    assert first.content == {"numero": "A1", "etat": "depose"}
    assert keys(batches) == ["A1", "A2", "A3"]
    digest = hashlib.sha256(TABLE.encode()).hexdigest()
    assert (place.names("done"), place.names(".work")) == ([f"permis.{digest[:12]}.csv"], [])
    assert await drain(source, batches[-1].cursor) == []
    await source.close()


async def test_nothing_is_put_away_before_it_is_published(place: Spot) -> None:
    place.put("permis.csv", TABLE)
    source = place.source()
    batches = await drain(source, ack=False)
    assert place.names("done") == [] and len(place.names(".work")) == 1
    await source.ack(batches[-1])
    await source.ack(batches[-1])  # once more, as after a crash
    assert len(place.names("done")) == 1 and place.names(".work") == []
    await source.close()


@pytest.mark.parametrize("taken", range(5))
async def test_a_restart_goes_on_at_the_record(place: Spot, taken: int) -> None:
    place.put("a.csv", TABLE)
    place.put("b.csv", "numero;etat\nB1;depose\n")
    os.utime(place.path / "a.csv", (1, 1))
    first = place.source(batch_records=1)
    before, since = [], None
    async for batch in first.read(None):  # a process that takes so many batches, commits them, and dies before any ack
        if len(before) == taken:
            break
        before.append(batch)
        since = batch.cursor
    await killed(first)
    again = place.source(batch_records=1)
    after = await drain(again, since)
    assert keys(before) + keys(after) == ["A1", "A2", "A3", "B1"]
    assert len(place.names("done")) == 2 and place.names(".work") == []
    await again.close()


async def test_the_same_file_twice_is_nothing_new(place: Spot) -> None:
    source = place.source()
    place.put("permis.csv", TABLE)
    since = (await drain(source))[-1].cursor
    place.put("permis.csv", TABLE)
    assert await drain(source, since) == []
    assert len(place.names("done")) == 1 and place.names("") == [".work", "done"]
    place.put("permis.csv", TABLE.replace("instruit", "suspendu"))  # replaced: new content under the same name
    assert keys(await drain(source, since)) == ["A1", "A2", "A3"]
    assert len(place.names("done")) == 2
    await source.close()


async def test_an_unreadable_file_goes_to_failed_and_the_others_go_on(place: Spot) -> None:
    place.put("1.csv", "numero;numero\nA1;x\n")
    place.put("2.csv", 'numero;etat\nA1;depose\nA2;"instruit\nA3;decide\n')
    place.put("3.csv", "numero;etat\nA4;depose\n")
    source = place.source()
    batches = await drain(source)
    assert keys(batches) == ["A1", "A4"]
    assert [one.place for one in refused(batches)] == ["1.csv", "2.csv"]
    assert "line 3: a quote opens here" in refused(batches)[1].mend
    failed = place.names("failed")
    assert len(failed) == 4 and sum(name.endswith(".reason.txt") for name in failed) == 2
    reason = (place.path / "failed" / next(n for n in failed if n.startswith("2") and n.endswith("txt"))).read_text()
    assert "line 3: a quote opens here" in reason and "(1 enregistrements avant" in reason
    # mended by the configuration, the very same file is read when it is put back
    back = next(n for n in failed if n.startswith("1") and n.endswith("csv"))
    shutil.move(place.path / "failed" / back, place.path / "1.csv")
    mended = place.source(format={"kind": "csv", "skip_lines": 1, "columns": ["numero", "etat"]})
    assert keys(await drain(mended, batches[-1].cursor)) == ["A1"]
    await source.close()
    await mended.close()


async def test_a_crash_before_a_failed_file_is_put_away(place: Spot) -> None:
    place.put("1.csv", "numero;numero\nA1;x\n")
    source = place.source()
    since = (await drain(source, ack=False))[-1].cursor
    await killed(source)
    assert await drain(source, since) == []
    assert len(place.names("failed")) == 2 and place.names(".work") == []
    await source.close()


async def test_what_was_claimed_for_nothing_is_put_back(place: Spot) -> None:
    for ready in ("stable", "marker"):
        place.put("permis.csv", TABLE)
        place.put("permis.csv.done", "")
        trying = place.source(ready=ready, pattern="*.csv", batch_records=1)
        async for _ in trying.read(None):  # as a dry run does
            break
        assert len(place.names(".work")) in (1, 2)
        await trying.close()
        assert place.names("") == [".work", "permis.csv", "permis.csv.done"] and place.names(".work") == []


async def test_a_file_that_is_written_is_not_read(place: Spot) -> None:
    source = place.source(stable_s=0.4)
    path = place.path / "permis.csv"
    path.write_text("numero;etat\nA1;depose\n")

    async def write() -> None:
        for number in range(2, 40):
            await asyncio.sleep(0.02)
            with path.open("a") as file:
                file.write(f"A{number};depose\n")

    writing = asyncio.create_task(write())
    assert await drain(source) == []
    await writing
    assert len(keys(await drain(source))) == 39
    await source.close()


async def test_a_file_that_is_written_to_while_it_is_read_is_told(folder: Spot) -> None:
    source = folder.source(batch_records=1)
    folder.put("permis.csv", TABLE)
    with (folder.path / "permis.csv").open("a") as file:  # somebody holds it open
        batches = []
        async for batch in source.read(None):
            batches.append(batch)
            file.write("A4;depose\n")
            file.flush()
            await source.ack(batch)
    assert "still written to" in refused(batches)[-1].mend
    assert len(folder.names("failed")) == 2


async def test_a_marker_says_that_a_file_is_whole(place: Spot) -> None:
    source = place.source(ready="marker")
    place.put("permis.csv", TABLE)
    assert await drain(source) == []
    place.put("permis.csv.done", "")
    assert keys(await drain(source)) == ["A1", "A2", "A3"]
    assert place.names("") == [".work", "done"] and place.names(".work") == []
    await source.close()


async def test_a_claim_cut_short_between_marker_and_file_is_completed(place: Spot) -> None:
    (place.path / ".work").mkdir()
    place.put(".work/0000000000000000001~permis.csv.done", "")
    place.put("permis.csv", TABLE)
    source = place.source(ready="marker")
    assert keys(await drain(source)) == ["A1", "A2", "A3"]
    assert place.names(".work") == []
    await source.close()


async def test_where_files_stay_they_are_remembered(place: Spot) -> None:
    source = place.source(after="keep")
    place.put("permis.csv", TABLE)
    place.put("autres.csv", "numero;numero\n")
    batches = await drain(source)
    assert keys(batches) == ["A1", "A2", "A3"] and len(refused(batches)) == 1
    since = batches[-1].cursor
    assert await drain(source, since) == []
    os.utime(place.path / "permis.csv", (5, 5))  # touched, and the same
    assert await drain(source, since) == []
    place.put("permis.csv", TABLE + "A4;depose\n")
    more = await drain(source, since)
    assert keys(more) == ["A1", "A2", "A3", "A4"]
    (place.path / "autres.csv").unlink()
    os.utime(place.path / "permis.csv", (9, 9))
    place.put("encore.csv", "numero;etat\nB1;depose\n")
    last = await drain(source, more[-1].cursor)
    assert keys(last) == ["B1"] and set(last[-1].cursor["kept"]) == {"permis.csv", "encore.csv"}
    assert place.names("") == ["encore.csv", "permis.csv"]
    await source.close()


async def test_only_files_that_are_meant_are_touched(place: Spot) -> None:
    secret = place.path.parent / "secret.csv"
    secret.write_text(TABLE)
    (place.path / "lien.csv").symlink_to(secret)
    os.mkfifo(place.path / "tuyau.csv")
    (place.path / "dossier.csv").mkdir()
    place.put("permis.csv.part", TABLE)
    place.put(".permis.csv", TABLE)
    place.put("notes.txt", "numero;etat\n")
    before = place.names("")
    source = place.source(pattern="*.csv")
    assert await drain(source) == []
    assert place.names("") == sorted([*before, ".work"])
    await source.close()


async def test_a_cursor_of_something_else_is_told(folder: Spot) -> None:
    for wrong in ({"page": 3}, [1], {"record": "x"}, "x"):
        with pytest.raises(ConfigError, match="reset the offsets"):
            await drain(folder.source(), wrong)


async def test_a_place_that_is_not_there_is_told(place: Spot) -> None:
    place.path.rmdir()
    source = place.source()
    with pytest.raises(ConfigError, match="is not there: make the folder"):
        await drain(source)
    report = await source.check()
    assert not report.ok and "make the folder" in report.findings[-1].mend
    await source.close()


async def test_a_server_that_shows_another_key_is_refused(sshd: openssh.Server, tmp_path: Path) -> None:
    other = sshd.config(tmp_path, host_key="SHA256:" + 43 * "A")
    with pytest.raises(ConfigError, match="does not show the key that was given") as told:
        await drain(Spot(tmp_path, other).source())
    assert told.value.field == "host_key" and sshd.fingerprint in told.value.mend
    unknown = tmp_path / "known_hosts"
    unknown.write_text("")
    with pytest.raises(ConfigError, match="somebody may stand in between"):
        await drain(Spot(tmp_path, sshd.config(tmp_path, host_key=None, known_hosts=str(unknown))).source())
    kind, key = (sshd.home / "host.pub").read_text().split()[:2]
    unknown.write_text(f"[127.0.0.1]:{sshd.port} {kind} {key}\n")
    right = Spot(tmp_path, sshd.config(tmp_path, host_key=None, known_hosts=str(unknown))).source(pattern="*.csv")
    assert await drain(right) == []
    await right.close()


async def test_credentials_that_do_not_open_are_told(sshd: openssh.Server, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="with this password: correct") as told:
        await drain(Spot(tmp_path, sshd.config(tmp_path, key=None, password="geheim")).source())
    assert "geheim" not in str(told.value)
    with pytest.raises(ConfigError, match="with this key"):
        await drain(Spot(tmp_path, sshd.config(tmp_path, key={"file": str(sshd.home / "host")})).source())
    with pytest.raises(ConfigError, match="no private key"):
        await drain(Spot(tmp_path, sshd.config(tmp_path, key="rien")).source())
    for wrong in ({"host_key": None}, {"password": "x"}, {"key": None}):
        with pytest.raises(ValueError, match="give one of"):
            Spot(tmp_path, sshd.config(tmp_path, **wrong)).source()


async def test_a_server_that_stops_is_waited_for(tmp_path: Path) -> None:
    if openssh.program() is None:
        pytest.skip("OpenSSH's server is not installed here")
    home, path = tmp_path / "sshd", tmp_path / "arrivee"
    home.mkdir()
    path.mkdir()
    with openssh.server(home) as running:
        spot = Spot(path, running.config(path))
        spot.put("permis.csv", TABLE)
        source = spot.source(batch_records=1)
        before, since = [], None
        with pytest.raises(Unavailable, match="does not answer"):
            async for batch in source.read(None):
                before.append(batch)
                since = batch.cursor
                if len(before) == 2:
                    running.stop()
        with pytest.raises(Unavailable, match="does not answer"):
            await drain(source, since)
        running.start()
        assert keys(before) + keys(await drain(source, since)) == ["A1", "A2", "A3"]
        await source.close()
