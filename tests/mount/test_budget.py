"""How many requests things cost, counted at the server."""
import os
import shutil
import subprocess
import threading
import time

import harness
import shapes

COUNT = 60
NAMES = ["s%04d_liver.nii.g_1.stl" % i for i in range(COUNT)] + ["face_1.stl", "a/deep/thing.stl", "vessel_tree_00.stl"]
UNKNOWN = ["--set", "dav=404"]  # no listing of the share: each size has to be asked for


def run(*command, cwd):
    """Output of a command that has to succeed."""
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=harness.PATIENCE).stdout


class Names(shapes.ListCase):
    """Names cost nothing, whether sizes are known or not."""

    def test_listing_everything_cold(self):
        for how in ([], UNKNOWN):
            server, mount = self.mounted(NAMES, *how)
            out = run("ls", "-U", "-R", "--color=never", cwd=mount.path)
            self.assertEqual(out.count("liver.nii.g_1.stl"), 2 * COUNT)
            self.assertEqual(server.log(), [])
            mount.unmount()
            shutil.rmtree(self.tmp / "cache")

    def test_find(self):
        server, mount = self.mounted(NAMES, *UNKNOWN)
        self.assertEqual(run("find", ".", "-name", "*.stl", cwd=mount.path).count("\n"), 2 * len(NAMES) - 1)
        self.assertEqual(run("find", ".", "-type", "f", cwd=mount.path).count("_liver."), 2 * COUNT)
        self.assertEqual(server.log(), [])

    def test_search_and_texts(self):
        server, mount = self.mounted(NAMES, *UNKNOWN, options="xattr")
        self.assertEqual(len(os.listdir(mount.path / "search" / "liver")), COUNT)
        for name in ("index.csv", "README.txt", "CITATION.bib", "datasets/AVT/dataset.json", ".medshapefs/status.json", ".medshapefs/metrics"):
            (mount.path / name).read_bytes()
        os.listxattr(mount.path / "datasets" / "AVT")
        for name in (".hidden", ".git", "nothing"):
            self.assertFalse(os.path.lexists(mount.path / name))
        self.assertEqual(server.log(), [])

    def test_refresh_and_mount(self):
        """One GET for the list and one PROPFIND for each folder; a second refresh gets 304; mounting again asks nothing."""
        server = self.share(NAMES)
        path = self.config(self.source(server))
        mount = self.mount(path)
        self.assertEqual(server.count("GET", "/list.txt"), 1)
        self.assertEqual(len([r for r in server.requests("PROPFIND") if r["depth"] == "1" and r["status"] == 207]), 2)
        mount.unmount()
        server.reset()
        mount = self.mount(path)
        self.assertEqual(server.log(), [])
        self.program("refresh", "--config", path)
        self.assertEqual([r["status"] for r in server.requests("GET")], [304])


class Sizes(shapes.ListCase):
    def heads(self, server):
        """HEADs so far; nothing else may have been asked."""
        rows = server.log()
        self.assertEqual({r["method"] for r in rows} - {"HEAD"}, set(), rows)
        return len(rows)

    def test_one_stat_is_one_head(self):
        server, mount = self.mounted(NAMES, *UNKNOWN)
        path = mount.path / "datasets" / "FacialModels" / "face_1.stl"
        size = path.stat().st_size
        self.assertEqual(self.heads(server), 1)
        self.assertEqual((mount.path / "anatomy" / "face" / "face_1.stl").stat().st_size, size)
        self.assertEqual(self.heads(server), 1)

    def test_long_listing(self):
        server, mount = self.mounted(NAMES, *UNKNOWN)
        folder = "datasets/TotalSegmentator"
        first = run("ls", "-l", folder, cwd=mount.path)
        self.assertEqual(first.count("\n"), COUNT + 5)
        self.assertNotRegex(first, r"\s0 \w+ +\d+ [\d:]+ s\d")
        self.assertLessEqual(self.heads(server), COUNT)
        self.assertEqual(len({r["path"] for r in server.log()}), COUNT)
        server.reset()
        self.assertEqual(run("ls", "-l", folder, cwd=mount.path), first)
        self.assertEqual(run("ls", "-l", "anatomy/liver", cwd=mount.path).count("\n"), COUNT + 1)
        self.assertEqual(server.log(), [])
        mount.unmount()
        mount = self.mount(self.tmp / "config.json", path=mount.path)
        self.assertEqual(run("ls", "-l", folder, cwd=mount.path), first)
        self.assertEqual(server.log(), [])

    def test_other_folders_cost_as_much(self):
        for folder in ("anatomy/liver", "search/liver"):
            server, mount = self.mounted(NAMES, *UNKNOWN)
            run("ls", "-l", folder, cwd=mount.path)
            self.assertLessEqual(self.heads(server), COUNT, folder)
            mount.unmount()
            shutil.rmtree(self.tmp / "cache")

    def test_the_next_ones_are_of_the_folder_that_is_walked(self):
        """The shapes of a class lie far apart in their dataset: what stands between is not asked for."""
        organs = ("colon", "kidney_left", "liver", "spleen", "stomach", "trachea")
        names = ["s%04d_%s.nii.g_1.stl" % (i, o) for i in range(COUNT) for o in organs] + ["%06d_liver.stl" % i for i in range(9)]
        for folder, count in (("anatomy/liver", COUNT + 9), ("search/liver", COUNT + 9), ("search/ext:stl liver dataset:autopet", 9),
                              ("datasets/autoPET", 9), ("anatomy/kidney", COUNT)):
            with self.subTest(folder=folder):
                server, mount = self.mounted(names, *UNKNOWN)
                self.assertEqual(run("ls", "-l", folder, cwd=mount.path).count(".stl\n"), count)
                self.assertEqual(self.heads(server), count)
                mount.unmount()
                shutil.rmtree(self.tmp / "cache")

    def test_stats_here_and_there_are_no_walk(self):
        server, mount = self.mounted(NAMES, *UNKNOWN)
        files = sorted(p for p in (mount.path / "datasets" / "TotalSegmentator").glob("*.stl"))
        for path in files[40:0:-2]:
            path.stat()
        self.assertEqual(self.heads(server), 20)

    def test_many_at_once(self):
        """Many who look at one file ask once."""
        server, mount = self.mounted(NAMES, *UNKNOWN)
        path = mount.path / "datasets" / "FacialModels" / "face_1.stl"
        sizes = in_threads(16, lambda _: path.stat().st_size)
        self.assertEqual(len(set(sizes)), 1)
        self.assertEqual(self.heads(server), 1)

    def test_sizes_of_propfind(self):
        server, mount = self.mounted(NAMES)
        out = run("ls", "-l", "-R", cwd=mount.path)
        self.assertEqual(out.count("liver.nii.g_1.stl"), 2 * COUNT)
        run("du", "-a", cwd=mount.path)
        self.assertEqual(server.log(), [])


def in_threads(count, what):
    """What `what(i)` returns for each i, all begun together."""
    barrier, results = threading.Barrier(count), [None] * count

    def one(i):
        barrier.wait()
        results[i] = what(i)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


class Content(shapes.ListCase):
    concurrent = True

    def file(self, mount):
        return mount.path / "datasets" / "FacialModels" / "face_1.stl"

    def test_one_byte_is_one_request(self):
        for how in ([], UNKNOWN):
            server, mount = self.mounted(["face_1.stl"], *how, "--size", "100000")
            with open(self.file(mount), "rb", buffering=0) as f:
                first = f.read(1)
                self.assertLessEqual(len(server.requests("HEAD")), 1 if how else 0)
                self.assertEqual(server.count("GET"), 1)
                self.assertEqual(first + f.read(), self.file(mount).read_bytes())
            self.assertEqual(server.count("GET"), 1, "a small file came whole")
            mount.unmount()
            shutil.rmtree(self.tmp / "cache")

    def test_readers_of_a_cold_file_share_one_request(self):
        server, mount = self.mounted(["face_1.stl"], "--set", "latency=200", "--size", "400000")
        texts = in_threads(32, lambda _: self.file(mount).read_bytes())
        self.assertEqual(len(set(texts)), 1)
        self.assertEqual(len(texts[0]), self.file(mount).stat().st_size)
        self.assertEqual(server.count("GET"), 1)

    def test_readers_of_one_byte_each(self):
        server, mount = self.mounted(["face_1.stl"], "--set", "latency=200", "--size", "400000")
        size = self.file(mount).stat().st_size

        def one(i):
            with open(self.file(mount), "rb", buffering=0) as f:
                f.seek(i * size // 32)
                return f.read(1)

        got = in_threads(32, one)
        self.assertLessEqual(server.count("GET"), 2)
        text = self.file(mount).read_bytes()
        self.assertEqual(got, [text[i * size // 32:][:1] for i in range(32)])

    def test_remount_and_read(self):
        self.read_again(lambda mount: mount.unmount())

    def test_kill_and_read(self):
        """A row of the index follows its content within 50 ms: what is in it survives."""
        self.read_again(lambda mount: self.until_indexed(mount) and mount.kill())

    def until_indexed(self, mount):
        end = time.monotonic() + harness.PATIENCE
        while mount.json()["cache"]["objects"] < COUNT:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        return True

    def read_again(self, end):
        server, mount = self.mounted(NAMES, "--size", "300000")
        files = [p.relative_to(mount.path) for p in (mount.path / "datasets" / "TotalSegmentator").glob("*.stl")]
        texts = [(mount.path / f).read_bytes() for f in files]
        self.assertEqual(server.count("GET"), len(files))
        end(mount)
        server.reset()
        again = self.mount(self.tmp / "config.json", path=mount.path)
        self.assertEqual([(again.path / f).read_bytes() for f in files], texts)
        self.assertEqual(server.log(), [])

    def test_a_large_file_is_asked_for_in_few_requests(self):
        """A sequential reader's window grows and stays ahead of it, however far the server is."""
        for latency in (0, 50):
            server, mount = self.mounted(["face_1.stl"], "--size", "40000000", "--set", "latency=%d" % latency)
            size = self.file(mount).stat().st_size
            with open(self.file(mount), "rb", buffering=0) as f:
                while f.read(1 << 20):
                    pass
                self.assertEqual(sum(r["sent"] for r in server.requests("GET")), size, "each byte once")
                self.assertLessEqual(server.count("GET"), 6 + size // (2 << 20))
                f.seek(size // 2)
                f.read(10)
            self.assertEqual(sum(r["sent"] for r in server.requests("GET")), size)
            mount.unmount()
            shutil.rmtree(self.tmp / "cache")

    def test_random_reads_of_a_large_file_fetch_little(self):
        server, mount = self.mounted(["face_1.stl"], "--size", "60000000")
        size = self.file(mount).stat().st_size
        fd = os.open(self.file(mount), os.O_RDONLY)
        self.addCleanup(os.close, fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        for i in range(8):
            os.pread(fd, 100, size // 9 * (8 - i))
        self.assertLessEqual(server.count("GET"), 8)
        self.assertLess(sum(r["sent"] for r in server.requests("GET")), size // 3)
