"""Rows of shapes that are held packed: the cache on this disk, and a pack at the other end of a line."""
import contextlib
import functools
import os
import random
import shutil
import subprocess
import sys
import time

import cells
from row import CURL, DISK, FLOOR, OURS, RAW, Row

PACK_LIMIT = 120   # seconds for the cache to pack what was read, and for curl over the line
HELD = 0.2         # share of a file that a packed cache holds at most, whatever was still to be packed
CURL_FILES = 200   # of the small shapes that curl fetches over the line; its time is scaled to all of them
LINE = "100 Mbit/s, 30 ms"
ANATOMIES = ("liver", "spleen", "kidney_left", "kidney_right", "stomach", "pancreas", "aorta", "colon", "sacrum", "brain")


def own(*args):
    return Row(*args, own=True)


def rows(small):
    return [
        own("packed-disk", "read of 300 MB, all caches dropped", "s", DISK, 1.1),
        own("packed-disk-bytes", "the same: read from the disk", "MB", DISK, 0.02),
        own("packed-warm", "read of 300 MB, FUSE's pages dropped", "s", RAW, 2),
        own("packed-random", "200 reads of 4 KiB, FUSE's pages dropped", "ms", RAW),
        own("packed-cold", "read of 300 MB of facets, cold", "s", RAW, 1.05),
        own("packed-held", "the same: what the cache takes then", "MB", RAW),
        own("pack-large", "pack, %s: 300 MB" % LINE, "s", CURL, 1 / 20),
        own("pack-small", "pack, %s: %d of 300 KB" % (LINE, small), "s", CURL, 1 / 50),
        own("pack-mount", "pack of both, %s: mount, ls" % LINE, "s"),
    ]


def disk_bytes(pid):
    """Bytes that a process has made the disk give."""
    with open("/proc/%s/io" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("read_bytes"))


def held(folder):
    """Bytes of disk below a folder."""
    total = 0
    for top, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(top, name)).st_blocks * 512
    return total


def until_packed(cache, size):
    deadline = time.monotonic() + PACK_LIMIT
    while held(cache) > HELD * size:
        if time.monotonic() > deadline:
            raise cells.Failed("the cache still holds %d MB of %d after %d s" % (held(cache) / 1e6, size / 1e6, PACK_LIMIT))
        time.sleep(0.05)


def counted(path, size):
    """Seconds and bytes of disk that reading a file takes in this process."""
    before = disk_bytes("self")
    return cells.timed(lambda: cells.read_whole(path, size)), disk_bytes("self") - before


def forget(path):
    """Drops the kernel's pages of one file."""
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def shapes(bench, what):
    """Paths, in a folder of the work folder, of a set of meshes under names that the list could have."""
    folder = bench.work.path("shapes-" + what)
    if not os.path.exists(folder):
        os.mkdir(folder)
        for i, path in enumerate(list(bench.origins.meshes(what).values())[:bench.options.small]):
            name = "100206_brain.stl" if what == "large" else "s%04d_%s.nii.g_1.stl" % (i // 10, ANATOMIES[i % 10])
            try:
                os.link(path, os.path.join(folder, name))
            except OSError:
                shutil.copyfile(path, os.path.join(folder, name))
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


def cat(bench, files, limit):
    """Seconds of one `cat` of them all."""
    with open(bench.work.path("files"), "w") as f:
        f.writelines(p + "\0" for p in files)
    with open(bench.work.path("files")) as f:
        return cells.command(["xargs", "-0", "cat"], limit, stdin=f).wall


def filled(bench, system, links, path, size):
    """A cache folder that holds the file, packed where the system packs."""
    cache, name = bench.work.fresh("cache"), os.path.basename(path)
    system.refresh(links, cache, bench.options.limit)
    with system.session(links, cache) as m:
        cells.read_whole(bench.below(m.path, [name])[0], size)
        if system is bench.ours:
            until_packed(cache, size)
    return cache


def from_disk(bench):
    """All caches dropped: the packed cache against the file itself on the disk; the raw cache and floorfs tell what FUSE costs."""
    path = shapes(bench, "large")[0]
    name, size, limit = os.path.basename(path), os.path.getsize(path), bench.options.limit
    links = bench.origins.links([path])

    @functools.cache
    def cache(system):
        return filled(bench, system, links, path, size)

    def cell(shown, pid=None):
        cells.drop_caches()
        before = disk_bytes(pid) if pid else 0
        wall, got = cells.forked(lambda: counted(shown, size), limit)
        yield "packed-disk", wall
        yield "packed-disk-bytes", (got + (disk_bytes(pid) - before if pid else 0)) / 1e6

    def floor():
        with bench.floor.session(os.path.dirname(path)) as m:
            yield from cell(os.path.join(m.path, name), m.pid)

    def cached(system):
        with system.session(links, cache(system)) as m:
            yield from cell(bench.below(m.path, [name])[0], m.pid)

    kinds = {DISK: lambda: cell(path), FLOOR: floor, RAW: lambda: cached(bench.raw), OURS: lambda: cached(bench.ours)}
    bench.alternate(["packed-disk", "packed-disk-bytes"], kinds, bench.options.reps)


def warm(bench):
    """FUSE's pages dropped, what is below them in memory: the packed cache against the raw one."""
    path = shapes(bench, "large")[0]
    name, size, limit = os.path.basename(path), os.path.getsize(path), bench.options.limit
    links, rng = bench.origins.links([path]), random.Random(6)
    places = [rng.randrange(size - 4096) for _ in range(200)]

    def reads(shown):
        fd = os.open(shown, os.O_RDONLY)
        return cells.timed(lambda: [os.pread(fd, 4096, p) for p in places])

    def cell(shown):
        forget(shown)
        yield "packed-warm", cells.forked(lambda: cells.timed(lambda: cells.read_whole(shown, size)), limit)
        forget(shown)
        yield "packed-random", 1000 * cells.forked(lambda: reads(shown), limit)

    with contextlib.ExitStack() as stack:
        kinds = {}
        for which, system in ((RAW, bench.raw), (OURS, bench.ours)):
            try:
                m = stack.enter_context(system.session(links, filled(bench, system, links, path, size)))
            except cells.Failed as e:
                bench.notes.append("packed-warm: %s" % e)
                continue
            kinds[which] = functools.partial(cell, bench.below(m.path, [name])[0])
            cells.read_whole(bench.below(m.path, [name])[0], size)
        bench.alternate(["packed-warm", "packed-random"], kinds, 2 * bench.options.reps)


def cold(bench):
    """Nothing cached: what packing costs the one who fills the cache, and what the cache takes afterwards."""
    path = shapes(bench, "large")[0]
    name, size, limit = os.path.basename(path), os.path.getsize(path), bench.options.limit
    links = bench.origins.links([path])

    def cell(system):
        cache = bench.work.fresh("cache")
        system.refresh(links, cache, limit)
        with system.session(links, cache) as m:
            shown = bench.below(m.path, [name])[0]
            bench.work.settle()
            yield "packed-cold", cells.command(["cat", shown], limit).wall
            if system is bench.ours:
                until_packed(cache, size)
            yield "packed-held", held(cache) / 1e6
        bench.work.drop(cache)

    kinds = {RAW: functools.partial(cell, bench.raw), OURS: functools.partial(cell, bench.ours)}
    bench.alternate(["packed-cold", "packed-held"], kinds, bench.options.reps + 2)


def make_pack(bench, *sets):
    """Packs folders of shapes; returns where the pack is below the work folder."""
    name = "packs/%s.shapepack" % "-".join(sets)
    os.makedirs(bench.work.path("packs"), exist_ok=True)
    if not os.path.exists(bench.work.path(name)):
        argv = [bench.ours.program, "pack", "-o", name, *("shapes-" + s for s in sets)]
        cells.command(argv, PACK_LIMIT, cwd=bench.work.root)
    return "/" + name


def line_to(bench):
    """Starts the line to nginx; returns the URL of its near end."""
    port = bench.origins.web.rpartition(":")[2]
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "line.py")
    p = bench.work.server([sys.executable, script, "--to", port], stdout=subprocess.PIPE)
    return "http://127.0.0.1:%d" % int(p.stdout.readline())


def over_line(bench):
    """A pack over the line against the text of the same files by curl over the same line."""
    large, small = shapes(bench, "large"), shapes(bench, "small")
    line = line_to(bench)
    asked, config = small[:CURL_FILES], bench.work.path("line.curl")
    with open(config, "w") as f:
        f.writelines('url = "%s%s"\noutput = "/dev/null"\n' % (line, p[len(bench.work.root):]) for p in asked)

    def curl():
        url = line + large[0][len(bench.work.root):]
        yield "pack-large", cells.command(["curl", "-sS", "-o", "/dev/null", url], PACK_LIMIT).wall
        wall = cells.command(["curl", "-sS", "-K", config], PACK_LIMIT).wall
        yield "pack-small", wall * len(small) / len(asked)

    def read(key, paths, name):
        with bench.ours.session(line + make_pack(bench, name)) as m:
            files = bench.below(m.path, [os.path.basename(p) for p in paths])
            bench.work.settle()
            yield key, cat(bench, files, PACK_LIMIT)

    def ours():
        yield from read("pack-large", large, "large")
        url = line + make_pack(bench, "large", "small")
        begin = time.perf_counter()
        with bench.ours.session(url) as m:
            os.listdir(m.path)
            yield "pack-mount", time.perf_counter() - begin
        yield from read("pack-small", small, "small")

    keys = ["pack-large", "pack-small", "pack-mount"]
    bench.alternate(keys, {CURL: curl}, 1)
    bench.alternate(keys, {OURS: ours}, bench.options.reps)
    bench.notes.append("pack-small: curl fetched %d of the %d files; its time is scaled" % (len(asked), len(small)))


def session(one):
    """A session that is left out, with a note, where the meshes cannot be made."""
    def run(bench):
        if bench.origins.meshes("large") is None:
            return
        try:
            one(bench)
        except cells.Failed as e:
            bench.notes.append("%s: %s" % (one.__name__, e))
    return run


SESSIONS = [
    (session(from_disk), ("packed-disk", "packed-disk-bytes")),
    (session(warm), ("packed-warm", "packed-random")),
    (session(cold), ("packed-cold", "packed-held")),
    (session(over_line), ("pack-large", "pack-small", "pack-mount")),
]
