"""export --packed of the collection: with and without a mount, what a second run asks for, what cannot be had."""
import json
import threading
import unittest

import harness
import origin
from mirrors import Mirrors, packs
from origin import expected, read, size_of, until

NAMES = {"s0001_liver.nii.g_1.stl": "TotalSegmentator", "s0002_liver.nii.g_1.stl": "TotalSegmentator",
         "012345_liver.stl": "autoPET", "100206_brain.stl": "HCP", "something else.stl": "unsorted"}


class Case(origin.Case, Mirrors):
    concurrent = True

    def setUp(self):
        super().setUp()
        self.mirror = self.tmp / "mirror"

    def collection(self, names=tuple(NAMES), sizes=None, **more):
        """A catalogue of these names; sizes: name -> bytes, where not by formula."""
        self.put_list([n.replace(" ", "%20") for n in names])
        self.sizes = dict(sizes or {})
        for name, size in self.sizes.items():
            self.rule("/" + name, "size=%d" % size)
        self.path = self.config(self.settings(**more))
        self.program("refresh", "--config", self.path)
        self.origin.reset()
        for name in self.sizes:
            self.fault(name, "")

    def export_all(self, *what, **more):
        return self.export("--config", self.path, *what, self.mirror, **more)

    def count_added(self, *what, **more):
        return json.loads(self.export_all("--json", *what, **more).stdout)["added"]

    def place(self, name):
        return "datasets/%s/%s" % (NAMES.get(name, "unsorted"), name)

    def assertMirrored(self, names=tuple(NAMES), versions=()):
        """The mirror has these files and no others, byte for byte."""
        folder = self.unpacked(self.mirror)
        found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
        self.assertEqual(found, {self.place(n) for n in names})
        for name in names:
            data = (folder / self.place(name)).read_bytes()
            version = dict(versions).get(name, 0)
            self.assertTrue(data == expected(name, 0, self.size(name), version), name)
        self.assertIndexed(self.mirror)


class Collection(Case):
    def test_everything(self):
        self.collection()
        done = self.export_all()
        self.assertRegex(done.stdout, r"\A5 files added, 5 in 1 pack: ")
        self.assertEqual(done.stderr, "")
        self.assertMirrored()
        rows = self.rows(self.mirror)
        for name, dataset in NAMES.items():
            row = rows[self.place(name)]
            self.assertEqual(row["url"], self.origin.url("/" + name.replace(" ", "%20")))
            self.assertEqual(row["dataset"], None if dataset == "unsorted" else dataset)
            self.assertTrue(row["etag"].startswith('"'), row)
        self.assertEqual(rows[self.place("012345_liver.stl")]["licence"], "CC-BY-4.0")
        for dataset in ("TotalSegmentator", "autoPET", "HCP"):
            for name in ("LICENSE.txt", "CITATION.bib"):
                self.assertGreater((self.mirror / "datasets" / dataset / name).stat().st_size, 20)
        self.assertEqual({p.name for p in (self.mirror / "datasets").iterdir()}, {"TotalSegmentator", "autoPET", "HCP"})
        self.assertIn("MedShapeNet", (self.mirror / "CITATION.bib").read_text())

    def test_a_dataset_and_a_query(self):
        self.collection()
        self.assertEqual(self.count_added("autopet"), 1)
        self.assertEqual(self.count_added("liver"), 2)
        self.assertMirrored([n for n in NAMES if "liver" in n])
        self.assertEqual(self.count_added("side:left"), 0)
        wrong = self.export_all("side:up", check=False)
        self.assertEqual((wrong.returncode, wrong.stderr.count("\n")), (2, 1))
        self.assertEqual(self.count_added(), 2)
        self.assertMirrored()
        self.assertEqual(len(packs(self.mirror)), 3)

    def test_no_catalogue_yet(self):
        self.put_list([n.replace(" ", "%20") for n in NAMES])
        self.path = self.config(self.settings())
        done = self.export_all("-o", "offline", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Amedshapefs: [^\n]*no catalogue yet[^\n]*\n\Z")
        self.rule("/list.txt", "status=404")
        done = self.export_all(check=False)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1))
        self.assertFalse(self.mirror.exists())
        self.rule("/list.txt", "")
        self.put_list([n.replace(" ", "%20") for n in NAMES])
        self.assertEqual(self.count_added(), 5)
        self.assertMirrored()

    def test_second_run_asks_for_nothing(self):
        self.collection()
        self.export_all()
        self.origin.reset()
        self.assertEqual(self.count_added(), 0)
        self.assertEqual(self.origin.log(), [])
        self.assertMirrored()

    def test_what_changed_and_what_is_new(self):
        self.collection()
        self.export_all()
        self.put_list([n.replace(" ", "%20") for n in [*NAMES, "new.stl"]])
        self.origin.post("/_version", name="100206_brain.stl", v=1)
        (self.tmp / "cache").rename(self.tmp / "old")  # sizes and ETags are asked for anew
        self.program("refresh", "--config", self.path)
        self.origin.reset()
        self.origin.post("/_version", name="100206_brain.stl", v=1)
        self.assertEqual(self.count_added(), 2)
        content = {r["path"] for r in self.origin.requests("GET")}
        self.assertEqual(content, {"/100206_brain.stl", "/new.stl"})
        self.assertMirrored([*NAMES, "new.stl"], {"100206_brain.stl": 1}.items())
        self.assertEqual(len(packs(self.mirror)), 2)

    def test_what_cannot_be_had(self):
        self.collection()
        self.fault("012345_liver.stl", "status=404")
        self.fault("100206_brain.stl", "html")
        done = self.export_all(check=False)
        self.assertEqual(done.returncode, 3)
        said = "\n".join(line for line in done.stderr.splitlines() if " packed in " not in line)
        self.assertRegex(said, r"\A(medshapefs: datasets/\w+/\w+\.stl: [^\n]+\n?){2}\Z")
        self.assertIn("datasets/autoPET/012345_liver.stl: No such file", said)
        self.assertIn("datasets/HCP/100206_brain.stl: ", said)
        self.assertIn("2 could not be had", done.stdout)
        self.assertMirrored([n for n in NAMES if n not in ("012345_liver.stl", "100206_brain.stl")])
        self.fault("012345_liver.stl", "")
        self.fault("100206_brain.stl", "")
        self.assertEqual(self.count_added(), 2)
        self.assertMirrored()

    def test_bodies_that_break_off(self):
        self.collection(sizes={"012345_liver.stl": 9000000})
        self.fault("012345_liver.stl", "cut=5000000,times=2")
        self.fault("100206_brain.stl", "cut=50000,times=1")
        self.export_all()
        self.assertMirrored()

    def test_offline(self):
        self.collection(["%03d.stl" % i for i in range(100)])
        done = self.export_all("-o", "offline", check=False)
        self.assertEqual(done.returncode, 1)
        lines = done.stderr.splitlines()
        self.assertRegex(lines[-1], r"no file came any more: .*\(run it again to go on\)$")
        self.assertLess(len(lines), 70)

    def test_two_of_one_cache(self):
        self.collection(sizes={"012345_liver.stl": 3000000})
        self.fault("012345_liver.stl", "stall=100")
        process = self.start_export("--config", self.path, self.mirror)
        self.assertTrue(until(lambda: (self.mirror / ".export.lock").exists()))
        done = self.export("--config", self.path, self.tmp / "other", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Amedshapefs: [^\n]*another medshapefs uses this cache: pid %d[^\n]*\n\Z" % process.pid)
        self.fault("012345_liver.stl", "")
        self.origin.post("/_release")
        self.assertEqual(process.wait(harness.PATIENCE), 0, process.messages.read_text())
        self.assertMirrored()


class Mounted(Case):
    def mount_and_list(self, **more):
        mount = self.mount_names(list(NAMES)[:4], settings=self.settings(**more))
        self.names = list(NAMES)[:4]
        return mount

    def file(self, mount, name):
        return mount.path / self.place(name)

    def test_through_the_mount(self):
        mount = self.mount_and_list()
        before = mount.json()["reads"]
        self.assertEqual(self.count_added(), 4)
        self.assertMirrored(self.names)
        self.assertGreater(until(lambda: mount.json()["reads"] != before), 0)
        self.origin.reset()
        self.assertEqual(self.count_added(), 0)
        self.assertEqual(self.origin.log(), [])
        self.assertEqual(self.count_added("hcp"), 0)
        mount.unmount()
        self.assertEqual(self.count_added(), 0)  # the same by the core itself

    def test_while_somebody_reads(self):
        mount = self.mount_and_list()
        stop, wrong = threading.Event(), []

        def reader():
            while not stop.is_set():
                for name in self.names:
                    if read(self.file(mount, name)) != expected(name, 0, size_of(name)):
                        wrong.append(name)
        thread = threading.Thread(target=reader)
        thread.start()
        try:
            self.assertEqual(self.count_added(), 4)
        finally:
            stop.set()
            thread.join()
        self.assertEqual(wrong, [])
        self.assertMirrored(self.names)

    def test_unknown_sizes(self):
        self.put_list(list(NAMES)[:4])
        self.path = self.config(self.settings())
        self.mount(self.path)
        self.assertEqual(self.count_added(), 4)
        self.assertMirrored(list(NAMES)[:4])
        self.origin.reset()
        self.assertEqual(self.count_added(), 0)
        self.assertEqual(self.origin.count("GET"), 0)

    def test_refresh_meanwhile(self):
        names = ["%02d.stl" % i for i in range(8)]
        mount = self.mount_names(names)
        self.fault("03.stl", "stall=1000")
        process = self.start_export("--config", self.path, self.mirror)
        self.assertTrue(until(lambda: self.origin.count("GET", "/03.stl")))
        self.put_list([n for n in names if n != "06.stl"] + ["new.stl"])
        self.program("refresh", "--config", self.path)
        self.assertTrue(until(lambda: (mount.path / "datasets" / "unsorted" / "new.stl").exists()))
        self.fault("03.stl", "")
        self.origin.post("/_release")
        self.assertIn(process.wait(harness.PATIENCE), (0, 3), process.messages.read_text())
        self.added("--config", self.path, self.mirror)
        rest = [n for n in names if n != "06.stl"] + ["new.stl"]
        found = set(self.rows(self.mirror))
        self.assertLessEqual({self.place(n) for n in rest}, found)
        self.assertIndexed(self.mirror)

    def test_mount_that_dies(self):
        names = ["%02d.stl" % i for i in range(8)]
        mount = self.mount_names(names)
        self.fault("03.stl", "stall=1000")
        process = self.start_export("--config", self.path, self.mirror)
        self.assertTrue(until(lambda: self.origin.count("GET", "/03.stl")))
        mount.kill()
        self.assertEqual(process.wait(harness.PATIENCE), 1, process.messages.read_text())
        self.assertIn("the mount is gone (run it again", process.messages.read_text().splitlines()[-1])
        harness.unmount_lazily(str(mount.path))
        self.fault("03.stl", "")
        self.origin.post("/_release")
        self.export("--config", self.path, self.mirror)
        self.assertMirrored(names)


class Mirror(Case):
    """What was exported is a collection of its own."""

    def assertSame(self, mount):
        for name in NAMES:
            data = read(mount.path / self.place(name))
            self.assertTrue(data == expected(name, version=int(name == "100206_brain.stl")), name)
        shown = {str(p.relative_to(mount.path)) for p in (mount.path / "datasets").rglob("*.stl")}
        self.assertEqual(shown, {self.place(n) for n in NAMES})
        for dataset in ("TotalSegmentator", "autoPET", "HCP"):
            for name in ("LICENSE.txt", "CITATION.bib"):
                self.assertEqual((mount.path / "datasets" / dataset / name).read_bytes(),
                                 (self.mirror / "datasets" / dataset / name).read_bytes())

    def test_mounted_over_http_and_from_the_folder(self):
        self.collection()
        self.export_all()
        self.origin.post("/_version", name="100206_brain.stl", v=1)
        (self.tmp / "cache").rename(self.tmp / "old")
        self.put_list([n.replace(" ", "%20") for n in NAMES])
        self.export_all()
        self.assertEqual(len(packs(self.mirror)), 2)
        self.origin.stop()
        (self.mirror / "0003.shapepack").write_bytes(b"a pack that is under way" * 9999)
        self.check(self.nginx(self.mirror).url("/"))
        (self.mirror / "0003.shapepack").unlink()
        self.check(self.mirror)

    def check(self, source):
        mount = self.mount(options="source=%s,cache=%s" % (source, self.fresh("cache")))
        self.assertSame(mount)
        mount.unmount()


if __name__ == "__main__":
    unittest.main()
