"""The faults. Each strikes at a random moment and is over when its function returns, but for what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path

from deploy.chaos.scene import Scene

HOLD_S = 3.0
LONGER_THAN_A_SESSION = 1.5
STEPS_S = (-86_400 * 40, -3_600, -30, 30, 3_600, 86_400 * 40)
"""Steps of a worker's wall clock: seconds as a leap, hours as a wrong zone, days as an empty battery."""


class Fault(StrEnum):
    """What happens."""

    KILL = "kill"
    """kill -9 of a worker, and its restart."""
    FREEZE = "freeze"
    """SIGSTOP and SIGCONT, within the session."""
    ZOMBIE = "zombie"
    """The same for longer than the session: the worker comes back after its partitions have moved."""
    JOIN = "join"
    """A worker more."""
    LEAVE = "leave"
    """A worker stops as told, and another takes its place."""
    BROKER = "broker"
    """kill -9 of the broker, and its restart on the same data."""
    CUT = "cut"
    """The network between a worker and the broker is cut."""
    STALL = "half-open"
    """Connections stand, but no answer comes."""
    SLOW = "slow"
    """Every answer is late."""
    COMMIT = "unknown-commit"
    """The connection ends between the request of a commit and its answer."""
    DISK = "disk-full"
    """No room for the local store."""
    DAMAGE = "damage"
    """A worker is killed and its local store is damaged: bytes flipped, files cut or removed."""
    CLOCK = "clock-step"
    """The wall clock of a worker is put ahead or back."""


Strike = Callable[[Scene, random.Random], Awaitable[str]]


async def strike(fault: Fault, scene: Scene, rnd: random.Random) -> str:
    """Let a fault happen; what exactly happened, in words."""
    return await _STRIKES[fault](scene, rnd)


def possible(scene: Scene) -> list[Fault]:
    """The faults that this machine allows."""
    denied = {text.split(":")[0] for text in scene.skipped}
    return [fault for fault in Fault if fault.value not in denied]


async def _victim(scene: Scene, rnd: random.Random) -> int:
    """A worker, at a moment at which it has something to do."""
    number = rnd.choice(sorted(scene.workers))
    await scene.busy(number)
    await asyncio.sleep(rnd.uniform(0, 0.15))
    return number


async def _kill(scene: Scene, rnd: random.Random) -> str:
    number = await _victim(scene, rnd)
    proxy, when = scene.proxies[number], "at any moment"
    if rnd.random() < 0.5:  # a transaction is open for some milliseconds only: wait for its last one
        proxy.hold_commit()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(proxy.holds.wait(), HOLD_S)
            when = "before a commit"
    scene.kill(number)
    proxy.heal()
    await asyncio.sleep(rnd.choice((0.0, 0.0, 0.5, 4.0)))
    scene.start(number)
    return f"w{number} {when}"


async def _stand_still(scene: Scene, rnd: random.Random, seconds: float) -> str:
    number = await _victim(scene, rnd)
    scene.signal(number, signal.SIGSTOP)
    await asyncio.sleep(seconds)
    scene.signal(number, signal.SIGCONT)
    return f"w{number} for {seconds:.1f} s"


async def _freeze(scene: Scene, rnd: random.Random) -> str:
    return await _stand_still(scene, rnd, rnd.uniform(0.1, 0.6) * scene.settings.session_timeout_ms / 1000)


async def _zombie(scene: Scene, rnd: random.Random) -> str:
    return await _stand_still(scene, rnd, LONGER_THAN_A_SESSION * scene.settings.session_timeout_ms / 1000)


async def _join(scene: Scene, rnd: random.Random) -> str:
    guest = scene.wanted
    if guest in scene.workers:
        await scene.leave(guest)
        return f"w{guest} left again"
    scene.start(guest)
    return f"w{guest} came"


async def _leave(scene: Scene, rnd: random.Random) -> str:
    number = await _victim(scene, rnd)
    await scene.leave(number)
    await asyncio.sleep(rnd.choice((0.0, 1.0)))
    scene.start(number)
    return f"w{number}"


async def _broker(scene: Scene, rnd: random.Random) -> str:
    await _victim(scene, rnd)
    assert scene.kafka is not None
    await asyncio.to_thread(scene.kafka.kill)
    await asyncio.sleep(rnd.uniform(0, 3))
    await asyncio.to_thread(scene.kafka.start)
    return ""


async def _network(scene: Scene, rnd: random.Random, fault: Fault) -> str:
    number = await _victim(scene, rnd)
    proxy, seconds = scene.proxies[number], rnd.choice((0.3, 2.0, 6.0))
    if fault is Fault.CUT:
        proxy.cut()
    elif fault is Fault.STALL:
        proxy.stall()
    else:
        proxy.delay_s = rnd.choice((0.02, 0.2))
    await asyncio.sleep(seconds)
    proxy.heal()
    return f"w{number} for {seconds:.1f} s"


async def _cut(scene: Scene, rnd: random.Random) -> str:
    return await _network(scene, rnd, Fault.CUT)


async def _stall(scene: Scene, rnd: random.Random) -> str:
    return await _network(scene, rnd, Fault.STALL)


async def _slow(scene: Scene, rnd: random.Random) -> str:
    return await _network(scene, rnd, Fault.SLOW)


async def _commit(scene: Scene, rnd: random.Random) -> str:
    number = rnd.choice(sorted(scene.workers))
    proxy = scene.proxies[number]
    before = proxy.commits_cut
    proxy.cut_at_commit(rnd.choice((1, 2)))
    for _ in range(100):
        await asyncio.sleep(0.05)
        if proxy.commits_cut > before:
            break
    proxy.heal()
    return f"w{number}, {proxy.commits_cut - before} times"


async def _disk(scene: Scene, rnd: random.Random) -> str:
    number = rnd.choice(sorted(scene.workers))
    filler = scene.store(number) / "filler"
    await asyncio.to_thread(_fill, filler)
    seconds = rnd.choice((1.0, 4.0))
    await asyncio.sleep(seconds)
    filler.unlink(missing_ok=True)
    return f"w{number} for {seconds:.1f} s"


def _fill(path: Path) -> None:
    try:
        with path.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
    except OSError:
        return


async def _damage(scene: Scene, rnd: random.Random) -> str:
    number = await _victim(scene, rnd)
    scene.kill(number)
    told = damage(scene.store(number) / scene.settings.instance, rnd)
    scene.start(number)
    return f"w{number}: {told}"


def damage(folder: Path, rnd: random.Random) -> str:
    """Damage one file of a local store."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size and p.name not in ("LOCK", "LOG"))
    if not files:
        return "nothing to damage"
    file = rnd.choice(files)
    how = rnd.choice(("flip", "flip", "cut", "remove"))
    size = file.stat().st_size
    if how == "remove":
        file.unlink()
    elif how == "cut":
        os.truncate(file, rnd.randrange(size))
    else:
        with file.open("r+b") as open_file:
            for _ in range(rnd.randint(1, 20)):
                at = rnd.randrange(size)
                open_file.seek(at)
                byte = open_file.read(1)[0]
                open_file.seek(at)
                open_file.write(bytes((byte ^ rnd.randint(1, 255),)))
    return f"{how} {file.relative_to(folder)}"


async def _clock(scene: Scene, rnd: random.Random) -> str:
    number, seconds = rnd.choice(sorted(scene.workers)), rnd.choice(STEPS_S)
    scene.step_clock(number, seconds)
    await asyncio.sleep(rnd.uniform(1.5, 4))
    if rnd.random() < 0.5:
        scene.kill(number)
        scene.start(number)  # whose clock is right again: it finds stores written in another time
    else:
        scene.step_clock(number, 0)
    return f"w{number} by {seconds} s"


_STRIKES: dict[Fault, Strike] = {
    Fault.KILL: _kill, Fault.FREEZE: _freeze, Fault.ZOMBIE: _zombie, Fault.JOIN: _join, Fault.LEAVE: _leave, Fault.BROKER: _broker,
    Fault.CUT: _cut, Fault.STALL: _stall, Fault.SLOW: _slow, Fault.COMMIT: _commit, Fault.DISK: _disk, Fault.DAMAGE: _damage,
    Fault.CLOCK: _clock,
}  # fmt: skip
