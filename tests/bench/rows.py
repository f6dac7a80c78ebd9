"""The rows of the benchmark. A session measures some rows for some systems in turn."""
import contextlib
import functools
import os
import random
import sys
import time

import cells
import codec
import packed
import systems
from row import CURL, DISK, FLOOR, MIB, OURS, Row


def all_rows(options):
    lines = "%dM lines" % options.millions
    return [
        Row("refresh", "refresh, 106,101 lines, no sizes: CPU", "s", limit=1),
        Row("refresh-mem", "refresh, no sizes: peak RssAnon", "MiB", limit=64),
        Row("refresh-sizes", "refresh with PROPFIND: CPU", "s", limit=2),
        Row("refresh-sizes-mem", "refresh with PROPFIND: peak RssAnon", "MiB", limit=64),
        Row("refresh-again", "refresh, nothing has changed: CPU", "s"),
        Row("lines", "refresh, %s: CPU" % lines, "s"),
        Row("lines-mem", "refresh, %s: peak RssAnon" % lines, "MiB", limit=64),
        Row("mount", "mount of a catalogue to first ls", "s", limit=0.1),
        Row("find", "find -type f, 106,101 files, warm", "s", DISK, 1.2),
        Row("ls", "ls -l of 68,949 files, cold", "s", DISK, 2),
        Row("ls-warm", "ls -l of 68,949 files, warm", "s", DISK),
        Row("crawl", "ls -lR of everything, cold", "s"),
        Row("crawl-mem", "ls -lR: daemon's peak RssAnon", "MiB", limit=32),
        Row("cached", "read of 300 MB, page cached", "s", FLOOR, 1.1),
        Row("cold", "read of 300 MB, cold", "s", CURL, 1.3),
        Row("cold-cpu", "read of 300 MB, cold: CPU of daemon", "s", CURL),
        Row("random", "200 random reads of 64 KiB, cold", "s", CURL),
        Row("small-1", "%d small files, 1 process, cold" % options.small, "s", CURL),
        Row("small-1-warm", "%d small files, 1 process, warm" % options.small, "s", DISK),
        Row("small-16", "%d small files, 16 processes, cold" % options.small, "s", CURL),
        Row("small-16-warm", "%d small files, 16 processes, warm" % options.small, "s", DISK),
    ] + packed.rows(options.small) + codec.rows()


def below(mount, names):
    """Paths of files below a mount's datasets/, in the order of `names`."""
    found = {}
    for folder, _, files in os.walk(os.path.join(mount, "datasets")):
        found.update((name, os.path.join(folder, name)) for name in files)
    return [found[name] for name in names]


class Bench:
    """Runs sessions; results are left in the rows."""

    def __init__(self, work, origins, options, program, floor, codec_program):
        self.work, self.origins, self.options, self.codec_program = work, origins, options, codec_program
        self.ours, self.raw = systems.Medshapefs(work, program), systems.RawCache(work, program)
        self.floor, self.peers = systems.Floor(work, floor), systems.peers(work)
        self.rows = {row.key: row for row in all_rows(options)}
        self.notes = origins.notes
        self.below = below

    def say(self, text):
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K" + text)
            sys.stderr.flush()

    def alternate(self, keys, kinds, reps):
        """Runs each system's cell in turn; a cell yields (key, value). Who was late or failed is not asked again."""
        for rep in range(reps):
            for name, cell in list(kinds.items()):
                self.say("%s: %s (%d of %d)" % (keys[0], name, rep + 1, reps))
                last = None
                try:
                    for last, value in cell():
                        self.rows[last].values.setdefault(name, []).append(value)
                except (cells.Late, cells.Failed) as e:
                    del kinds[name]
                    left = [k for k in keys if k != last and name not in self.rows[k].values]
                    late = isinstance(e, cells.Late)
                    if left:
                        self.rows[left[0]].marks[name] = ">%g s" % self.options.limit if late else "failed"
                    if not late:
                        self.notes.append("%s: %s" % (keys[0], e))
        self.say("")

    # ---- catalogue ----

    def refresh(self):
        limit = self.options.limit

        def cell(url, key, again):
            cache = self.work.fresh("cache")
            used = self.ours.refresh(url, cache, limit, 0)
            yield key, used.cpu
            yield key + "-mem", used.anon / MIB
            if again:
                yield "refresh-again", self.ours.refresh(url, cache, limit).cpu
            self.work.drop(cache)

        mute, share = self.origins.mute_share + "/list.txt", self.origins.share + "/list.txt"
        self.notes.append("refresh-sizes: the PROPFIND answer has %.1f MB" % (self.origins.listing_size() / 1e6))
        self.alternate(["refresh", "refresh-mem"], {OURS: lambda: cell(mute, "refresh", False)}, self.options.reps)
        self.alternate(["refresh-sizes", "refresh-sizes-mem", "refresh-again"],
                       {OURS: lambda: cell(share, "refresh-sizes", True)}, self.options.reps)

    def lines(self):
        url = self.origins.many_links(self.options.millions)

        def cell():
            cache = self.work.fresh("cache")
            used = self.ours.refresh(url, cache, 1800, 0)
            yield "lines", used.cpu
            yield "lines-mem", used.anon / MIB
            self.work.drop(cache)

        self.alternate(["lines", "lines-mem"], {OURS: cell}, 1)
        self.work.drop(os.path.dirname(url[len("file://"):]))

    # ---- metadata ----

    @functools.cached_property
    def catalogue(self):
        """A cache folder with the catalogue of the share that tells sizes."""
        cache = self.work.fresh("cache")
        self.ours.refresh(self.origins.share + "/list.txt", cache, 120)
        return cache

    @functools.cached_property
    def tree(self):
        self.say("making the same tree on the disk")
        with self.mount_all() as m:
            return self.origins.tree(os.path.join(m.path, "datasets"))

    @functools.cached_property
    def big(self):
        """Name of the folder that has most files."""
        return max(os.listdir(self.tree), key=lambda name: len(os.listdir(os.path.join(self.tree, name))))

    def mount_all(self):
        return self.ours.session(self.origins.share + "/list.txt", self.catalogue)

    def mount(self):
        url, limit = self.origins.share + "/list.txt", self.options.limit
        os.stat(self.tree)  # the peers show it

        def ours():
            path = self.work.fresh("mnt")
            argv = self.ours.argv(url, self.catalogue, path)
            try:
                used = cells.command(["sh", "-c", '"$@" && ls "$0"', path, *argv], limit)
                self.ours.attach(path).close()
            except BaseException:
                systems.unmount(path)
                raise
            yield "mount", used.wall

        def peer(system):
            begin = time.perf_counter()
            with system.session("%s/tree/" % self.origins.web) as m:
                cells.command(["ls", m.path], limit)
                yield "mount", time.perf_counter() - begin

        self.alternate(["mount"], {OURS: ours} | self.each_peer(peer), 2 * self.options.reps)

    def each_peer(self, cell):
        return {name: functools.partial(cell, system) for name, system in self.peers.items()}

    def listing(self, top):
        """ls cold, then find and ls warm, below one system's folder."""
        limit, big = self.options.limit, os.path.join(top, self.big)
        yield "ls", cells.command(["ls", "-l", big], limit).wall
        cells.command(["find", top, "-type", "f"], limit)
        for _ in range(3):
            yield "find", cells.command(["find", top, "-type", "f"], limit).wall
        yield "ls-warm", cells.command(["ls", "-l", big], limit).wall

    def listings(self):
        tree = self.tree

        def disk():
            cells.drop_caches()
            yield from self.listing(tree)

        def ours():
            cells.drop_caches()
            with self.mount_all() as m:
                yield from self.listing(os.path.join(m.path, "datasets"))

        def peer(system):
            cells.drop_caches()
            with system.session("%s/tree/" % self.origins.web) as m:
                yield from self.listing(m.path)

        self.alternate(["ls", "find", "ls-warm"], {DISK: disk, OURS: ours} | self.each_peer(peer), self.options.reps)

    def crawl(self):
        def cell():
            with self.mount_all() as m:
                used = cells.command(["ls", "-lR", m.path], 10 * self.options.limit, m.pid)
                yield "crawl", used.wall
                yield "crawl-mem", max(used.anon, m.anon()) / MIB

        self.alternate(["crawl", "crawl-mem"], {OURS: cell}, 2)

    # ---- content ----

    def peer_url(self, folder):
        return "%s/%s/" % (self.origins.web, folder)

    def cached(self):
        large, limit = self.origins.large, self.options.limit
        name, size = os.path.basename(large), os.path.getsize(large)
        paths = {DISK: large}
        with contextlib.ExitStack() as stack:
            paths[FLOOR] = os.path.join(stack.enter_context(self.floor.session(os.path.dirname(large))).path, name)
            m = stack.enter_context(self.ours.session(self.origins.links([large])))
            paths[OURS] = below(m.path, [name])[0]
            for peer, system in self.peers.items():
                paths[peer] = os.path.join(stack.enter_context(system.session(self.peer_url("large"))).path, name)

            def cell(path):
                yield "cached", cells.forked(lambda: cells.timed(lambda: cells.read_whole(path, size)), limit)

            kinds = {system: functools.partial(cell, path) for system, path in paths.items()}
            self.alternate(["cached"], kinds, 1)
            for values in self.rows["cached"].values.values():
                values.clear()  # that was to fill the page cache
            self.alternate(["cached"], kinds, 3)
            self.alternate(["cached"], {k: v for k, v in kinds.items() if k not in self.peers}, 5 * self.options.reps)

    def cold(self):
        large, limit = self.origins.large, self.options.limit
        links, name = self.origins.links([large]), os.path.basename(large)

        def curl():
            out = self.work.path("out")
            self.work.settle()
            used = cells.command(["curl", "-sS", "-o", out, self.peer_url("large") + name], limit)
            os.unlink(out)
            yield "cold", used.wall
            yield "cold-cpu", used.cpu

        def read(m, path):
            self.work.settle()
            before = m.cpu()
            yield "cold", cells.command(["cat", path], limit).wall
            yield "cold-cpu", m.cpu() - before

        def ours():
            with self.ours.session(links) as m:
                yield from read(m, below(m.path, [name])[0])

        def peer(system):
            with system.session(self.peer_url("large")) as m:
                yield from read(m, os.path.join(m.path, name))

        kinds = {CURL: curl, OURS: ours} | self.each_peer(peer)
        self.alternate(["cold", "cold-cpu"], kinds, self.options.reps + 2)

    def random(self):
        large, limit = self.origins.large, self.options.limit
        links, name = self.origins.links([large]), os.path.basename(large)
        rng = random.Random(4)
        places = [rng.randrange(os.path.getsize(large) - 65536) for _ in range(200)]
        config = self.work.path("random.curl")
        with open(config, "w") as f:
            f.write("next\n".join('url = "%s"\nrange = %d-%d\noutput = /dev/null\n' % (self.peer_url("large") + name, p, p + 65535)
                                  for p in places))

        def reads(path):
            fd = os.open(path, os.O_RDONLY)
            return cells.timed(lambda: [os.pread(fd, 65536, p) for p in places])

        def curl():
            yield "random", cells.command(["curl", "-sS", "-K", config], limit).wall

        def ours():
            with self.ours.session(links) as m:
                path = below(m.path, [name])[0]
                yield "random", cells.forked(lambda: reads(path), limit)

        def peer(system):
            with system.session(self.peer_url("large")) as m:
                yield "random", cells.forked(lambda: reads(os.path.join(m.path, name)), limit)

        self.alternate(["random"], {CURL: curl, OURS: ours} | self.each_peer(peer), self.options.reps)

    def small(self):
        paths, limit = self.origins.small, self.options.limit
        links, names = self.origins.links(paths), [os.path.basename(p) for p in paths]
        config = self.work.path("small.curl")

        def cat(files, processes):
            """Reads files by one `cat`, or by some that take 25 each."""
            each = 25 if processes > 1 else len(files)
            with open(self.work.path("files"), "w") as f:
                f.writelines(p + "\0" for p in files)
            with open(self.work.path("files")) as f:
                return cells.command(["xargs", "-0", "-P", str(processes), "-n", str(each), "cat"], limit, stdin=f).wall

        def twice(files, processes):
            self.work.settle()
            yield "small-%d" % processes, cat(files, processes)
            yield "small-%d-warm" % processes, cat(files, processes)

        def disk():
            for processes in (1, 16):
                yield "small-%d-warm" % processes, cat(paths, processes)

        def curl():
            for processes in (1, 16):
                out = self.work.fresh("out")
                with open(config, "w") as f:
                    f.writelines('url = "%s%s"\noutput = "%s/%s"\n' % (self.peer_url("small"), n, out, n) for n in names)
                self.work.settle()
                parallel = ["-Z", "--parallel-max", str(processes)] if processes > 1 else []
                yield "small-%d" % processes, cells.command(["curl", "-sS", *parallel, "-K", config], limit).wall
                self.work.drop(out)

        def ours():
            for processes in (1, 16):
                with self.ours.session(links) as m:
                    yield from twice(below(m.path, names), processes)

        def peer(system):
            for processes in (1, 16):
                with system.session(self.peer_url("small")) as m:
                    yield from twice([os.path.join(m.path, n) for n in names], processes)

        keys = ["small-1", "small-1-warm", "small-16", "small-16-warm"]
        self.alternate(keys, {DISK: disk, CURL: curl, OURS: ours} | self.each_peer(peer), self.options.reps)

    # ---- all ----

    SESSIONS = [(refresh, ("refresh", "refresh-mem", "refresh-sizes", "refresh-sizes-mem", "refresh-again")),
                (lines, ("lines", "lines-mem")), (mount, ("mount",)), (listings, ("find", "ls", "ls-warm")),
                (crawl, ("crawl", "crawl-mem")), (cached, ("cached",)), (cold, ("cold", "cold-cpu")), (random, ("random",)),
                (small, ("small-1", "small-1-warm", "small-16", "small-16-warm")),
                *packed.SESSIONS, (codec.session, tuple(row.key for row in codec.rows()))]

    def run(self, wanted):
        """Runs the sessions that any wanted row needs (all where none is named); returns the rows that were measured."""
        measured = []
        for session, keys in self.SESSIONS:
            if not wanted or set(wanted) & set(keys):
                session(self)
                measured += [self.rows[key] for key in keys if not wanted or key in wanted]
        return measured
