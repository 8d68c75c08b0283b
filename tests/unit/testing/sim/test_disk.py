"""The disk of a host: what is left of it when the process, or the power, goes."""

import asyncio
from typing import Any

import pytest

from raftly.errors import DiskFull, StorageError
from raftly.testing.sim import HostDown, World


def write(world: World, *, sync: bool) -> Any:
    """Write to a file on host a, for `World.run`; the file."""
    host = world.hosts["a"]

    async def on_host() -> Any:
        fs = host.disk.fs
        file = fs.open("f", create=not fs.exists("f"))
        file.write(0, b"x" * 512)
        if sync:
            await file.sync()
            await fs.sync_dir("")
        return file

    async def script() -> Any:
        return await host.run(on_host())

    return world.run(script())


def made(seed: int = 1) -> World:
    world = World(seed)
    world.host("a").start()
    return world


def test_a_process_leaves_what_it_wrote_and_power_what_was_synced() -> None:
    left = set()
    for seed in range(20):
        world = made(seed)
        host = world.hosts["a"]
        write(world, sync=False)
        host.kill(power=False)
        host.start()
        assert host.disk.fs.exists("f")
        host.kill(power=True)
        host.start()
        left.add(host.disk.fs.exists("f"))
    assert left == {True, False}

    world = made()
    host = world.hosts["a"]
    write(world, sync=True)
    host.kill(power=True)
    host.start()
    assert host.disk.fs.open("f").read(0, 1000) == b"x" * 512


def test_what_a_dying_process_writes_does_not_count() -> None:
    for power in (False, True):
        world = made()
        host = world.hosts["a"]
        file = write(world, sync=True)

        async def main(file: Any = file) -> None:
            try:
                await asyncio.sleep(100)
            finally:
                with pytest.raises(StorageError):
                    file.write(0, b"last words")
                with pytest.raises(StorageError):
                    file.sync_now()

        work = host.spawn(main())
        world.run_for(1)
        host.kill(power=power)
        host.start()
        assert host.disk.fs.open("f").read(0, 1000) == b"x" * 512
        assert not work.done()


def test_locks_go_with_the_process() -> None:
    for power in (False, True):
        world = made()
        host = world.hosts["a"]
        host.disk.fs.lock("")
        host.kill(power=power)
        host.start()
        host.disk.fs.lock("")


def test_power_may_fail_at_any_change_of_the_disk() -> None:
    for step in range(1, 5):  # open, write, sync, sync_dir
        world = made()
        host = world.hosts["a"]
        host.disk.fuse = step
        with pytest.raises(HostDown):
            write(world, sync=True)
        assert not host.alive
        host.start()
        assert write(world, sync=True)


def test_a_slow_disk_takes_longer_and_a_stalled_one_until_it_goes_on() -> None:
    world = made()
    write(world, sync=True)
    quick = world.now
    world.hosts["a"].disk.slow = 1000.0
    write(world, sync=True)
    assert world.now > 20 * quick
    world.hosts["a"].disk.slow = 1.0
    world.hosts["a"].disk.stalled_until = world.now + 50
    begun = world.now
    write(world, sync=True)
    assert 50 <= world.now - begun < 51


def test_a_full_disk_has_room_again_after() -> None:
    world = made()
    disk = world.hosts["a"].disk
    file = write(world, sync=True)
    assert disk.used_bytes() == 512
    disk.fill(100)
    with pytest.raises(DiskFull):
        file.write(512, bytes(200))
    disk.free()
    file.write(512, bytes(200))


def test_rules_stay_in_force_over_a_crash() -> None:
    world = made()
    host = world.hosts["a"]
    rules = host.disk.fs.faults
    host.kill()
    assert host.disk.fs.faults is rules
