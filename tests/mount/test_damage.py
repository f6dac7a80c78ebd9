"""A cache that is full, gone, or damaged, and a daemon that is killed while it fills it: readers see right bytes only."""
import os
import random
import shutil
import subprocess
import sys
import threading

import harness
from origin import LARGE, Case, read, side_by_side, until

MODEL = """
import os, random, sys
sys.path.insert(0, sys.argv[1])
import faultd
seed, sizes = int(sys.argv[2]), dict(zip(sys.argv[5::2], map(int, sys.argv[6::2])))
rng, folder, rounds = random.Random(seed), sys.argv[3], int(sys.argv[4])
for i in range(rounds):
    name = rng.choice(sorted(sizes))
    first = rng.randrange(sizes[name])
    end = min(sizes[name], first + rng.choice((1, 100, 4096, 70000, 300000)))
    try:
        fd = os.open(os.path.join(folder, name), os.O_RDONLY)
        got = os.pread(fd, end - first, first)
        os.close(fd)
    except OSError:
        sys.exit(3)  # the daemon is gone
    want = b"".join(faultd.content(faultd.fnv(name.encode()), first, end))
    # A read that a dying daemon leaves short is short, never wrong.
    if got != want[:len(got)]:
        sys.exit("%s: other bytes at %d" % (name, first))
    if len(got) < len(want):
        sys.exit(3)
"""


class Damage(Case):
    concurrent = True

    @property
    def content(self):
        return self.tmp / "cache" / "content"

    def check_all(self, mount, names):
        for name, data in zip(names, side_by_side(lambda n: read(self.file(mount, n)), list(names))):
            self.assertRight(mount, name, data)

    def content_files(self):
        return [p for p in self.content.rglob("*") if p.is_file() and p.stat().st_size >= 100000 and "index" not in p.name]

    @harness.needs_root
    def test_full_cache_disk(self):
        cache = self.tmp / "small"
        cache.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", cache], capture_output=True).returncode != 0:
            self.skipTest("tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", cache], check=False)
        names = {"l%d.stl" % i: LARGE for i in range(4)}
        names["s.stl"] = None
        sizes = {k: v for k, v in names.items() if v}
        mount = self.mount_names(list(names), sizes, settings=self.settings(cache={"dir": str(cache), "min_free": "0"}))
        self.check_all(mount, names)
        self.drop(mount)
        self.check_all(mount, names)
        self.assertEqual(mount.json("errors.json")["errors"], [])
        self.assertGreater(mount.json()["cache"]["write_errors"], 0)
        mount.unmount()

    def drop(self, mount):
        """Forgets the kernel's pages of the mount, so that reads reach the daemon again."""
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
            f.write("1\n")

    def test_content_deleted_while_running(self):
        names = {"a.stl": LARGE, "b.stl": LARGE, "c.stl": 150000}
        mount = self.mount_names(list(names), names)
        self.assertRight(mount, "a.stl")
        shutil.rmtree(self.content)
        self.check_all(mount, names)
        mount.unmount()
        self.check_all(self.mount(self.path), names)

    def test_all_of_the_cache_deleted_while_running(self):
        names = {"a.stl": LARGE, "b.stl": LARGE}
        mount = self.mount_names(list(names), names)
        self.assertRight(mount, "a.stl")
        shutil.rmtree(self.tmp / "cache")
        self.check_all(mount, names)
        self.assertIn("a.stl", os.listdir(mount.path / "datasets" / "unsorted"))
        mount.unmount()
        self.put_list(names)
        self.assertRight(self.mount(self.path), "b.stl")

    def flip(self, where):
        files = self.content_files()
        self.assertTrue(files)
        for path in files:
            with open(path, "r+b") as f:
                f.seek(where if where >= 0 else os.path.getsize(path) + where)
                byte = f.read(1)
                f.seek(-1, os.SEEK_CUR)
                f.write(bytes([byte[0] ^ 0x10]))

    def test_a_flipped_byte_is_found(self):
        for where in (0, 131072, -1):
            with self.subTest(where=where):
                mount = self.mount_names(["a.stl"], {"a.stl": 400000}) if where == 0 else self.mount(self.path)
                self.assertRight(mount, "a.stl")
                mount.unmount()
                self.flip(where)
                mount = self.mount(self.path)
                before = self.origin.count("GET", "/a.stl")
                self.assertRight(mount, "a.stl")
                self.assertEqual(self.origin.count("GET", "/a.stl"), before + 1)
                self.assertGreaterEqual(mount.json()["cache"]["damaged"], 1)
                mount.unmount()

    def test_a_damaged_index(self):
        mount = self.mount_names(["a.stl", "b.stl"])
        self.assertRight(mount, "a.stl")
        mount.unmount()
        indexes = [p for p in self.content.rglob("*") if p.is_file() and p not in self.content_files() and p.stat().st_size > 4096]
        self.assertTrue(indexes)
        for path in indexes:
            path.write_bytes(os.urandom(path.stat().st_size))
        mount = self.mount(self.path)
        self.assertRight(mount, "a.stl")
        self.assertRight(mount, "b.stl")

    def test_content_files_cut_short(self):
        mount = self.mount_names(["a.stl"], {"a.stl": 400000})
        self.assertRight(mount, "a.stl")
        mount.unmount()
        for path in self.content_files():
            os.truncate(path, 150000)
        self.assertRight(self.mount(self.path), "a.stl")

    def test_a_content_file_cut_short_while_running(self):
        """The reader may get an error, never other bytes, and the daemon lives."""
        mount = self.mount_names(["a.stl", "b.stl"], {"a.stl": LARGE})
        self.assertRight(mount, "a.stl")
        for path in self.content_files():
            os.truncate(path, 0)
        self.drop(mount)
        got = read(self.file(mount, "a.stl"))
        if isinstance(got, bytes):
            self.assertRight(mount, "a.stl", got)
        self.assertRight(mount, "b.stl")


class Killed(Case):
    concurrent = True
    SIZES = {"m0.stl": 150000, "m1.stl": 700001, "m2.stl": LARGE, "m3.stl": 3 * LARGE, "m4.stl": 5000000}

    def readers(self, mount, count, rounds):
        pairs = [str(x) for pair in self.SIZES.items() for x in pair]
        folder = str(mount.path / "datasets" / "unsorted")
        return [subprocess.Popen([sys.executable, "-c", MODEL, str(harness.ROOT / "tests" / "lib"), str(seed), folder, str(rounds),
                                  *pairs], stderr=subprocess.PIPE, text=True) for seed in range(count)]

    def outcome(self, processes):
        said = [p.communicate(timeout=harness.PATIENCE)[1] for p in processes]
        return [p.returncode for p in processes], "".join(said)

    def test_random_ranges(self):
        mount = self.mount_names(list(self.SIZES), self.SIZES)
        self.assertEqual(self.outcome(self.readers(mount, 4, 120)), ([0] * 4, ""))
        for name in self.SIZES:
            self.assertRight(mount, name)

    def test_kill_in_the_middle_of_cold_reads(self):
        mount = self.mount_names(list(self.SIZES), self.SIZES)
        rng = random.Random(20)
        for _ in range(4):
            processes = self.readers(mount, 3, 1000000)
            begun = self.origin.count("GET")
            wanted = begun + rng.randrange(1, 5)
            until(lambda: self.origin.count("GET") >= wanted or mount.json()["reads"]["waits"] > 3, 10)
            mount.kill()
            codes, said = self.outcome(processes)
            self.assertEqual((set(codes), said), ({3}, ""))
            mount = self.mount(self.path, path=mount.path)
        self.assertEqual(self.outcome(self.readers(mount, 3, 60)), ([0] * 3, ""))
        for name in self.SIZES:
            self.assertRight(mount, name)
        self.assertEqual(mount.json()["cache"]["damaged"], 0)

    def test_kill_while_a_large_file_comes(self):
        """What was whole is used after the kill, what was not is asked for again."""
        mount = self.mount_names(["big.stl"], {"big.stl": 4 * LARGE})
        self.fault("big.stl", "trickle=65536:10")
        reader = threading.Thread(target=lambda: read(self.file(mount, "big.stl")))
        reader.start()
        until(lambda: mount.json()["cache"]["bytes"] > LARGE)
        mount.kill()
        reader.join(harness.PATIENCE)
        self.fault("big.stl", "")
        mount = self.mount(self.path, path=mount.path)
        self.assertRight(mount, "big.stl")

