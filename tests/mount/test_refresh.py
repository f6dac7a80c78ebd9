"""`medshapefs refresh` beside a running mount: what comes and goes, and what leaves the old catalogue in place."""
import json
import os
import random
import subprocess
import time

import harness
from origin import Case, until

LIVERS = ["s0000_liver.nii.g_1.stl", "002345_liver.stl"]


class Refresh(Case):
    concurrent = True

    def begin(self, names, **more):
        self.put_list(names)
        self.path = self.config(self.settings(**more))
        self.mnt = self.mount(self.path)
        return self.mnt.path

    def refresh(self, *args, status=0):
        done = self.program("refresh", *args, "-o", "config=%s" % self.path, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def listed(self, folder="datasets/unsorted"):
        return sorted(n for n in os.listdir(self.mnt.path / folder) if n.endswith(".stl"))

    def refreshed(self):
        """The time of the catalogue that the daemon serves."""
        return self.mnt.json()["catalog"]["refreshed"], self.mnt.json()["catalog"]["shapes"]


class Follow(Refresh):
    def test_names_come_and_go(self):
        root = self.begin(["a.stl", "b.stl", "c.stl"])
        folder = root / "datasets" / "unsorted"
        inodes = {n: os.stat(folder / n, follow_symlinks=False).st_ino for n in ("b.stl", "c.stl")}
        self.assertFalse((folder / "new.stl").exists())  # the kernel remembers that
        self.assertFalse((folder / "new.stl").exists())
        self.assertTrue((folder / "a.stl").exists())
        self.put_list(["b.stl", "c.stl", "new.stl"])
        self.refresh()
        self.assertTrue(until(lambda: (folder / "new.stl").exists(), 10))
        self.assertTrue(until(lambda: not (folder / "a.stl").exists(), 10))
        self.assertEqual(self.listed(), ["b.stl", "c.stl", "new.stl"])
        self.assertEqual({n: os.stat(folder / n).st_ino for n in inodes}, inodes)
        self.assertRight(self.mnt, "new.stl")
        self.put_list(["a.stl", "b.stl", "c.stl", "new.stl"])
        self.refresh()
        self.assertTrue(until(lambda: (folder / "a.stl").exists(), 10))
        self.assertEqual({n: os.stat(folder / n).st_ino for n in inodes}, inodes)

    def test_inodes_stay_over_a_remount(self):
        root = self.begin(LIVERS + ["x.stl"])
        inodes = {str(p.relative_to(root)): p.stat().st_ino for p in root.rglob("*.stl")}
        self.mnt.unmount()
        self.put_list(["before.stl"] + LIVERS + ["x.stl"])
        self.refresh()
        again = self.mount(self.path).path
        now = {str(p.relative_to(again)): p.stat().st_ino for p in again.rglob("*.stl")}
        self.assertEqual({k: v for k, v in now.items() if "before" not in k}, inodes)
        self.assertNotIn(now["datasets/unsorted/before.stl"], inodes.values())

    def test_search_and_anatomy_follow(self):
        root = self.begin([LIVERS[0], "x.stl"])
        self.assertEqual(self.listed("search/liver"), LIVERS[:1])
        self.assertEqual(self.listed("anatomy/liver"), LIVERS[:1])
        self.assertFalse((root / "anatomy" / "liver" / LIVERS[1]).exists())
        self.assertFalse((root / "search" / "liver" / LIVERS[1]).exists())
        self.assertFalse((root / "anatomy" / "spleen").exists())
        self.put_list(LIVERS + ["x.stl", "s0001_spleen.nii.g_1.stl"])
        self.refresh()
        for folder in ("anatomy/liver", "search/liver"):
            with self.subTest(folder=folder):
                self.assertTrue(until(lambda: self.listed(folder) == sorted(LIVERS), 10))
                self.assertTrue(until(lambda: (root / folder / LIVERS[1]).exists(), 10))
        self.assertTrue(until(lambda: (root / "anatomy" / "spleen").is_dir(), 10))
        self.put_list([LIVERS[1], "x.stl", "y.stl"])
        self.refresh()
        for folder in ("anatomy/liver", "search/liver"):
            self.assertTrue(until(lambda: self.listed(folder) == LIVERS[1:], 10))
            self.assertTrue(until(lambda: not (root / folder / LIVERS[0]).exists(), 10))
        self.assertTrue(until(lambda: not (root / "anatomy" / "spleen").exists(), 10))

    def test_texts_follow(self):
        root = self.begin(["a.stl", "b.stl"])
        before = (root / "index.csv").read_text()
        self.assertIn("datasets/unsorted/a.stl", before)
        self.put_list(["b.stl", "c.stl"])
        self.refresh()
        self.assertTrue(until(lambda: "c.stl" in (root / "index.csv").read_text(), 10))
        self.assertNotIn("a.stl", (root / "index.csv").read_text())
        self.assertIn("c.stl", (root / "datasets" / "unsorted" / "index.csv").read_text())

    def test_a_folder_that_is_being_listed(self):
        names = ["n%05d.stl" % i for i in range(3000)]
        root = self.begin(names)
        with os.scandir(root / "datasets" / "unsorted") as entries:
            seen = [next(entries).name for _ in range(50)]
            self.put_list(names[:1500] + ["p%05d.stl" % i for i in range(1000)])
            self.refresh()
            self.assertTrue(until(lambda: (root / "datasets" / "unsorted" / "p00000.stl").exists(), 10))
            seen += [e.name for e in entries]
        self.assertEqual(len(seen), len(set(seen)), "a name came twice")
        self.assertLessEqual(set(names[:1500]), set(seen), "a name that stayed was left out")

    def test_conditional_get(self):
        self.begin(["a.stl"])
        self.origin.reset()
        self.put_list(["a.stl"])
        done = self.refresh()
        self.assertIn("nothing changed", done.stdout)
        request = self.origin.requests("GET", "/list.txt")[0]
        self.assertEqual(request["status"], 304)
        self.put_list(["a.stl", "b.stl"])
        self.assertNotIn("nothing changed", self.refresh().stdout)
        self.assertTrue(until(lambda: self.listed() == ["a.stl", "b.stl"], 10))

    def test_the_daemon_refreshes_by_itself(self):
        self.begin(["a.stl"], refresh="1s")
        self.put_list(["a.stl", "b.stl"])
        self.assertTrue(until(lambda: self.listed() == ["a.stl", "b.stl"], 20))
        self.put_list(["b.stl", "c.stl"])
        self.assertTrue(until(lambda: self.listed() == ["b.stl", "c.stl"], 20))

    def test_an_old_catalogue_is_refreshed_behind_the_mount(self):
        self.begin(["a.stl"])
        self.mnt.unmount()
        self.put_list(["a.stl", "b.stl"])
        self.rule("/list.txt", "delay=1000")
        catalogue = self.tmp / "cache" / "catalog" / "catalog.mdb"
        self.assertTrue(catalogue.exists())
        self.path = self.config(self.settings(refresh="1s"))
        time.sleep(max(0, catalogue.stat().st_mtime + 1.5 - time.time()))
        begun = time.monotonic()
        self.mnt = self.mount(self.path)
        self.assertEqual(self.listed(), ["a.stl"])
        self.assertLess(time.monotonic() - begun, harness.PATIENCE / 60)
        self.assertTrue(until(lambda: self.listed() == ["a.stl", "b.stl"], 20))


class Refused(Refresh):
    def check_stays(self, pattern, *args):
        """The refresh fails with one line that says so, and nothing changes under the mount."""
        before = self.refreshed()
        done = self.refresh(*args, status=1)
        self.assertRegex(done.stderr, r"\A(?:medshapefs: list: line 1: [^\n]*\n)?medshapefs: [^\n]*(?:%s)[^\n]*\n\Z" % pattern)
        self.assertEqual(done.stdout, "")
        self.assertEqual(self.refreshed(), before)
        self.assertEqual(self.listed(), self.names)
        self.assertRight(self.mnt, self.names[0])

    def setUp(self):
        super().setUp()
        self.names = ["n%d.stl" % i for i in range(10)]
        self.begin(self.names)

    def test_a_list_that_breaks_off(self):
        self.put_list(self.names + ["new.stl"])
        for do in ("cut=100", "rst=100", "length=+10", "chunked,cut=100"):
            with self.subTest(do=do):
                self.rule("/list.txt", do)
                self.check_stays("list http://")

    def test_pages_and_errors(self):
        for do, pattern in (("html=Please log in", "HTML page.*Please log in"), ("status=404", "404"), ("status=403", "403"),
                            ("status=401", "401"), ("status=500", "500"), ("garbage", "list http"), ("loop", "redirects"),
                            ("to=file:///etc/passwd", "redirect")):
            with self.subTest(do=do):
                self.rule("/list.txt", do)
                self.check_stays(pattern)

    def test_bodies_that_are_no_list(self):
        for body, pattern in (("", "no link"), ("\n\n# nothing\n", "no link"), ("<!DOCTYPE html><html></html>", "HTML"),
                              ("hello\n", "no link"), ("\x1f\x8b\x08binary\0", "binary"),
                              ('<?xml version="1.0"?><x/>', "XML")):
            with self.subTest(body=body):
                self.origin.post("/_put", body, path="/list.txt")
                self.check_stays(pattern)

    def test_more_than_half_is_gone(self):
        self.put_list(self.names[:4])
        self.check_stays("more than half")
        self.assertIn("--force", self.refresh(status=1).stderr)
        self.refresh("--force")
        self.assertTrue(until(lambda: self.listed() == self.names[:4], 10))
        self.put_list(self.names[:2])
        self.refresh()
        self.assertTrue(until(lambda: self.listed() == self.names[:2], 10))

    def test_half_is_taken(self):
        self.put_list(self.names[5:])
        self.refresh()
        self.assertTrue(until(lambda: self.listed() == self.names[5:], 10))

    def test_a_list_that_stalls(self):
        self.put_list(self.names + ["new.stl"])
        self.rule("/list.txt", "stall=50")
        self.check_stays("list http")

    def test_two_at_once(self):
        self.rule("/list.txt", "stallhead")
        first = subprocess.Popen(self.command(["refresh", "-o", "config=%s" % self.path]), env=self.environment(), cwd=self.tmp,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(first.kill)
        asked = self.origin.count("GET", "/list.txt")
        self.assertTrue(until(lambda: self.origin.count("GET", "/list.txt") > asked or self.origin.raw_log()[-1]["status"] == 0, 10))
        self.check_stays("another refresh")
        first.kill()
        first.wait()
        self.rule("/list.txt", "")
        self.put_list(self.names + ["o.stl"])
        self.refresh()
        self.assertTrue(until(lambda: self.listed() == self.names + ["o.stl"], 10))


class Killed(Refresh):
    def start(self):
        return subprocess.Popen(self.command(["refresh", "-o", "config=%s" % self.path]), env=self.environment(), cwd=self.tmp,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def leftovers(self):
        return sorted(str(p.relative_to(self.tmp / "cache")) for p in (self.tmp / "cache" / "catalog").rglob("*") if p.is_file())

    def test_kill_9_in_the_middle(self):
        old = ["o%05d.stl" % i for i in range(30000)]
        new = ["n%05d.stl" % i for i in range(30000)] + old
        self.begin(old)
        files = self.leftovers()
        self.put_list(new)
        begun = time.monotonic()
        self.program("refresh", "-o", "config=%s" % self.config(self.settings(cache={"dir": str(self.tmp / "other")})))
        whole = time.monotonic() - begun
        rng = random.Random(7)
        for i in range(6):
            process = self.start()
            try:
                process.wait(whole * (0.1 + 0.75 * i / 6 + 0.05 * rng.random()))
            except subprocess.TimeoutExpired:
                process.kill()
            if process.wait() == 0:
                break
            self.assertEqual(len(self.listed()), len(old))
        else:
            self.assertEqual(self.mnt.json()["catalog"]["shapes"], len(old))
        self.refresh()
        self.assertTrue(until(lambda: len(self.listed()) == len(new), 20))
        self.assertEqual(self.leftovers(), files)
        self.mnt.unmount()
        self.mnt = self.mount(self.path)
        self.assertEqual(len(self.listed()), len(new))


class TwoSources(Refresh):
    def setUp(self):
        super().setUp()
        self.other = self.faultd()
        self.put_list(["a1.stl", "a2.stl"])
        self.put_other(["b1.stl", "b2.stl"])
        self.path = self.config(self.settings(sources=[harness.manifest(self.origin.url("/list.txt"), "first"),
                                                       harness.manifest(self.other.url("/list.txt"), "second")]))
        self.mnt = self.mount(self.path)

    def put_other(self, names):
        self.other.post("/_put", "".join(self.other.url("/%s\n" % n) for n in names), path="/list.txt")

    def test_one_is_down(self):
        self.assertEqual(self.listed(), ["a1.stl", "a2.stl", "b1.stl", "b2.stl"])
        inodes = {n: self.file(self.mnt, n).stat().st_ino for n in self.listed()}
        for server, list_of, name in ((self.other, self.put_list, "second"), (self.origin, self.put_other, "first")):
            with self.subTest(down=name):
                server.post("/_rule", prefix="/list.txt", do="status=404")
                letter = "b" if name == "first" else "a"
                list_of([letter + "1.stl", letter + "2.stl", letter + "3.stl"])
                done = self.refresh("--json", status=3)
                self.assertRegex(done.stderr, r"\Amedshapefs: [^\n]*%s[^\n]*\n\Z" % name)
                self.assertEqual(json.loads(done.stdout)["failed_sources"], 1)
                self.assertTrue(until(lambda: letter + "3.stl" in self.listed(), 10))
                self.assertLessEqual(set(inodes), set(self.listed()))
                self.assertEqual({n: self.file(self.mnt, n).stat().st_ino for n in inodes}, inodes)
                server.post("/_rule", prefix="/list.txt", do="")
        self.assertRight(self.mnt, "b1.stl")
        self.assertRight(self.mnt, "a3.stl")

    def test_one_lost_more_than_half(self):
        """The other one's new names are taken or not; what the broken one had stays in any case, and the exit status tells."""
        self.put_list(["a%d.stl" % i for i in range(10)])
        self.refresh()
        self.put_list(["a0.stl"])
        done = self.program("refresh", "-o", "config=%s" % self.path, check=False)
        self.assertIn(done.returncode, (1, 3))
        self.assertIn("more than half", done.stderr)
        self.assertTrue(until(lambda: len(self.listed()) == 12, 10))

    def test_all_are_down(self):
        for server in (self.origin, self.other):
            server.post("/_rule", prefix="/list.txt", do="status=404")
        done = self.refresh(status=1)
        self.assertRegex(done.stderr.splitlines()[-1], "404")
        self.assertEqual(self.listed(), ["a1.stl", "a2.stl", "b1.stl", "b2.stl"])
