"""A mount over an origin that misbehaves as told (tests/lib/faultd.py): content by formula, rules, reads that are checked."""
import importlib.util
import os
import sys
import threading
import time

import harness

SLOW = int(os.environ.get("MSFS_SLOWDOWN", "1"))
RETRY_FOR = 2 * SLOW
NETWORK = {"timeout": "%dms" % (700 * SLOW), "retry_for": "%ds" % RETRY_FOR, "listing_timeout": "%ds" % (5 * SLOW)}
LARGE = 2200000  # more than what is fetched whole


def load(name):
    """A module of tests/lib."""
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location(name, harness.ROOT / "tests" / "lib" / (name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


faultd = load("faultd")


def size_of(name):
    return 100000 + faultd.fnv(name.encode()) % 100000


def expected(name, first=0, end=None, version=0):
    """The bytes that faultd has of that name."""
    end = size_of(name) if end is None else end
    return b"".join(faultd.content((version << 32) + faultd.fnv(name.encode()), first, end))


def until(what, seconds=None):
    """Asks until the answer is true; it, or the last one when time is up."""
    end = time.monotonic() + (seconds or harness.PATIENCE)
    while not (answer := what()) and time.monotonic() < end:
        time.sleep(0.02)
    return answer


def read(path):
    """The bytes of a file, or the errno of its failure."""
    try:
        return path.read_bytes()
    except OSError as e:
        return e.errno


def side_by_side(function, items):
    """[function(item)] by a thread an item."""
    out = [None] * len(items)

    def one(i):
        out[i] = function(items[i])

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(items))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return out


class Case(harness.Case):
    """A test on one origin, one list and one mount."""

    def setUp(self):
        super().setUp()
        self.origin = self.faultd()
        self.sizes = {}

    def rule(self, prefix, do):
        self.origin.post("/_rule", prefix=prefix, do=do)

    def put_list(self, names, extra=""):
        self.origin.post("/_put", "".join(self.origin.url("/%s\n" % n) for n in names) + extra, path="/list.txt")

    def settings(self, **more):
        return {"sources": [harness.manifest(self.origin.url("/list.txt"))], "network": NETWORK, **more}

    def mount_names(self, names, sizes=None, options="", settings=None):
        """Mounts a list of these names, learns all sizes, forgets rules and log. sizes: name -> bytes, where not by formula."""
        self.put_list(names)
        self.sizes = dict(sizes or {})
        for name, size in self.sizes.items():
            self.rule("/" + name, "size=%d" % size)
        self.path = self.config(settings or self.settings())
        mount = self.mount(self.path, options=options)
        for name in names:
            self.assertEqual(self.file(mount, name).stat().st_size, self.size(name))
        self.origin.reset()
        for name in names:
            self.fault(name, "")
        return mount

    def size(self, name):
        return self.sizes.get(name, size_of(name))

    def fault(self, name, do):
        """The origin does that to a name from now on; an empty text ends it."""
        size = "size=%d" % self.sizes[name] if name in self.sizes else ""
        self.rule("/" + name, ",".join(filter(None, (size, do))))

    def file(self, mount, name):
        return mount.path / "datasets" / "unsorted" / name

    def assertRight(self, mount, name, data=None):
        data = read(self.file(mount, name)) if data is None else data
        if isinstance(data, int):
            self.fail("%s: %s" % (name, os.strerror(data)))
        self.assertTrue(data == expected(name, 0, self.size(name)), "%s: other bytes (%d of them)" % (name, len(data)))

    def errors(self, mount):
        """The rows of errors.json, when it is made anew."""
        def rows():
            return {row["path"]: row for row in mount.json("errors.json")["errors"]}
        end = time.monotonic() + 1.1
        while time.monotonic() < end:
            time.sleep(0.05)
        return rows()
