"""A source of type pack: one .shapepack or a folder of them, local or on a web server."""
import errno
import hashlib
import json
import os
import random

import harness
import origin
import shapes

TRAILER = 64


def stl(seed, facets):
    """An STL text: a strip of triangles of its own."""
    r = random.Random(seed)
    points = [(i % 50 + r.random() / 4, i // 50 + r.random() / 4, r.random()) for i in range(facets + 2)]
    lines = ["solid ascii"]
    for i in range(facets):
        lines += [" facet normal 0 0 1", "  outer loop"]
        lines += ["   vertex %.9g %.9g %.9g" % p for p in points[i:i + 3]]
        lines += ["  endloop", " endfacet"]
    return ("\n".join(lines) + "\nendsolid\n").encode()


class PackCase(harness.Case):
    limit = 120

    def write(self, folder, files):
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def pack(self, pack, files, *more):
        """Makes a pack of {path: bytes}."""
        folder = self.fresh("files")
        folder.mkdir()
        self.write(folder, files)
        self.program("pack", "-f", *more, "-o", pack, *sorted(os.listdir(folder)), cwd=folder)
        return pack

    def some(self, **more):
        files = {"heart/a.stl": stl(1, 3000), "heart/b.stl": stl(2, 200), "liver/deep/c.stl": stl(3, 40),
                 "notes.txt": b"hello\n", "empty.stl": b""}
        return {**files, **more}

    def source(self, url, **more):
        return {"sources": [{"name": "lab", "type": "pack", "url": str(url), **more}]}

    def assertSame(self, mount, files, below="x"):
        for name, content in files.items():
            path = mount.path / "datasets" / below / name
            self.assertEqual(path.stat().st_size, len(content), name)
            self.assertEqual(hashlib.sha256(path.read_bytes()).digest(), hashlib.sha256(content).digest(), name)

    def refresh(self, config, *args, status=0):
        done = self.program("refresh", *args, "-o", "config=%s" % config, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def follows(self, mount, before):
        """Waits until the mount has another catalogue than the one of `before`."""
        self.assertTrue(origin.until(lambda: mount.json()["catalog"] != before, 20))


class Local(PackCase):
    def test_one_pack_without_a_configuration(self):
        files = self.some()
        pack = self.pack(self.tmp / "x.shapepack", files)
        mount = self.mount(options="xattr,source=%s" % pack)
        self.assertSame(mount, files)
        self.assertEqual(sorted(os.listdir(mount.path / "datasets")), ["x"])
        file = mount.path / "datasets/x/heart/a.stl"
        self.assertEqual(os.getxattr(file, "user.medshapefs.checksum").decode(), hashlib.sha256(files["heart/a.stl"]).hexdigest())
        self.assertEqual(os.getxattr(file, "user.medshapefs.health"), b"ok")
        self.assertEqual(os.getxattr(mount.path / "datasets/x/empty.stl", "user.medshapefs.health"), b"empty")
        self.assertEqual(os.getxattr(file, "user.xdg.origin.url").decode(), "file://%s#heart/a.stl" % pack)
        self.assertIn("not stated", (mount.path / "datasets/x/LICENSE.txt").read_text())
        self.assertEqual(mount.json()["sources"], [{"name": "x.shapepack", "type": "pack", "url": "file://%s" % pack}])

    def test_awkward_names(self):
        files = {"a b,c#%41?.stl": stl(1, 20), "\u00e9\n/x.stl": stl(2, 20), "heart/s0001_liver.nii.g_1.stl": stl(3, 20)}
        (self.tmp / "my packs").mkdir()
        pack = self.pack(self.tmp / "my packs" / "50% a,b.shapepack", files)
        mount = self.mount(options="source=%s" % str(pack).replace(",", "\\,"))
        self.assertEqual((mount.path / "datasets/TotalSegmentator/heart/s0001_liver.nii.g_1.stl").read_bytes(), stl(3, 20))
        self.assertEqual((mount.path / "anatomy/liver/s0001_liver.nii.g_1.stl").read_bytes(), stl(3, 20))
        names = shapes.everything(mount.path / "datasets" / "50__a_b")
        self.assertIn("a b,c#%41?.stl", names)
        self.assertIn("\u00e9%0A/x.stl", names)

    def test_a_folder_of_packs_and_what_is_no_pack(self):
        folder = self.tmp / "packs"
        folder.mkdir()
        self.pack(folder / "0001.shapepack", {"a.stl": stl(1, 30), "b.stl": stl(2, 30)})
        self.pack(folder / "0002.shapepack", {"b.stl": stl(3, 50), "c/c.stl": stl(4, 30)})
        mount = self.mount(options="source=%s" % folder)
        self.assertSame(mount, {"a.stl": stl(1, 30), "b.stl": stl(3, 50), "c/c.stl": stl(4, 30)}, "packs")
        whole = (folder / "0001.shapepack").read_bytes()
        for name, content, why in (("none", b"no pack" * 100, "not a pack"), ("cut", whole[:-1], "cut short"),
                                   ("flipped", whole[:-70] + bytes([whole[-70] ^ 1]) + whole[-69:], "damaged"),
                                   ("later", whole[:8] + b"\x09" + whole[9:], "version 9")):
            path = self.tmp / (name + ".shapepack")
            path.write_bytes(content)
            done = self.program("mount", "-o", "source=%s" % path, self.mountpoint(), check=False)
            self.assertEqual(done.returncode, 1)
            line, = done.stderr.splitlines()
            self.assertIn(why, line)
            self.assertIn(path.name, line)

    def test_a_pack_that_changes_in_place(self):
        pack = self.pack(self.tmp / "x.shapepack", self.some())
        config = self.config(self.source(pack))
        mount = self.mount(config)
        path = mount.path / "datasets/x/heart/a.stl"
        content = pack.read_bytes()
        pack.write_bytes(b"\0" * len(content))  # the same file, other bytes
        with self.assertRaises(OSError) as caught:
            path.read_bytes()
        self.assertEqual(caught.exception.errno, errno.EIO)
        self.assertIn("checksum", mount.json("errors.json")["errors"][0]["reason"])
        self.assertIn("heart/a.stl", mount.json("errors.json")["errors"][0]["path"])
        before = mount.json()["catalog"]
        files = self.some(**{"more.stl": stl(9, 5000)})
        self.pack(pack, files)
        self.refresh(config)
        self.follows(mount, before)
        self.assertSame(mount, files)


class Served(PackCase):
    """On nginx."""
    concurrent = True

    def serve(self):
        self.root = self.tmp / "www"
        self.root.mkdir()
        return self.nginx(self.root)

    def many(self):
        """So many files that the catalogue is longer than what is asked for first."""
        return {"many/%04d.stl" % i: b"solid\nfacet %d\nendsolid\n" % i for i in range(3000)}

    def test_requests_are_few_and_every_byte_is_right(self):
        server = self.serve()
        files = self.some(**self.many(), **{"z/never-read.stl": stl(4, 30000)})
        self.pack(self.root / "x.shapepack", files)
        config = self.config(self.source(server.url("/x.shapepack")))
        mount = self.mount(config)
        first = server.log()
        self.assertEqual([r["status"] for r in first], [206, 206], first)
        server.reset()
        found = shapes.everything(mount.path)
        self.assertEqual(len([n for n in found if "/many/" in n and n.startswith("datasets")]), 3000)
        self.assertEqual(server.count(), 0)
        self.assertEqual((mount.path / "datasets/x/heart/a.stl").read_bytes(), files["heart/a.stl"])
        self.assertEqual(server.count(), 1)
        self.assertLess(server.log()[0]["sent"], len(files["heart/a.stl"]) / 3)
        self.assertSame(mount, self.some())
        self.assertSame(mount, {n: files[n] for n in list(self.many())[::500]})
        server.reset()
        self.refresh(config)
        self.assertEqual([r["status"] for r in server.log()], [304])
        mount.unmount()
        server.stop()
        again = self.mount(config, "offline")
        self.assertSame(again, self.some())
        with self.assertRaises(OSError) as caught:
            (again.path / "datasets/x/z/never-read.stl").read_bytes()
        self.assertEqual(caught.exception.errno, errno.ENETUNREACH)

    def index(self, folder):
        """What `export --packed` writes."""
        packs = []
        for path in sorted(folder.glob("*.shapepack")):
            tail = path.read_bytes()[-TRAILER:]
            number = lambda i: int.from_bytes(tail[8 * i:8 * i + 8], "little")
            packs.append({"name": path.name, "bytes": path.stat().st_size, "files": number(4), "text": number(5),
                          "catalogue_sum": "%016x" % number(6)})
        index = {"format": "medshapefs packs", "version": 1, "packs": packs}
        (folder / "index.json").write_text(json.dumps(index))

    def test_a_folder_of_packs(self):
        server = self.serve()
        self.pack(self.root / "0001.shapepack", self.some())
        self.pack(self.root / "0002.shapepack", {"notes.txt": b"newer\n", "more.stl": stl(7, 30)})
        self.index(self.root)
        config = self.config(self.source(server.url("/")))
        mount = self.mount(config)
        files = self.some(**{"notes.txt": b"newer\n", "more.stl": stl(7, 30)})
        self.assertEqual(sorted(r["path"] for r in server.log()), ["/0001.shapepack", "/0002.shapepack", "/index.json"])
        self.assertSame(mount, files, "lab")
        server.reset()
        before = mount.json()["catalog"]
        self.pack(self.root / "0003.shapepack", {"third.stl": stl(8, 30)})
        self.index(self.root)
        self.refresh(config)
        self.assertEqual(sorted(r["path"] for r in server.log()), ["/0003.shapepack", "/index.json"])
        self.follows(mount, before)
        self.assertSame(mount, {**files, "third.stl": stl(8, 30)}, "lab")

    def test_indexes_that_lie(self):
        server = self.serve()
        self.pack(self.root / "0001.shapepack", self.some())
        good = {"name": "0001.shapepack", "bytes": 1, "files": 1, "text": 1, "catalogue_sum": "0" * 16}
        for packs, why in (([{**good, "name": "../0001.shapepack"}], "no plain file name"), ([good, good], "twice"), ([], "no pack"),
                           ([{**good, "bytes": -1}], "bytes"), ([{**good, "catalogue_sum": "x"}], "catalogue_sum")):
            (self.root / "index.json").write_text(json.dumps({"format": "medshapefs packs", "version": 1, "packs": packs}))
            done = self.program("mount", "-o", "source=%s" % server.url("/"), self.mountpoint(), check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(why, done.stderr)
        (self.root / "index.json").write_text(json.dumps({"format": "medshapefs packs", "version": 1, "packs": [good]}))
        mount = self.mount(options="source=%s" % server.url("/"))  # sizes and sums are those of the pack
        self.assertEqual(len(list(mount.path.glob("datasets/*/heart/a.stl"))), 1)

    def test_a_pack_that_changes_at_the_server(self):
        server = self.serve()
        old = self.some(**{"z/%d.stl" % i: stl(100 + i, 400) for i in range(8)})
        self.pack(self.root / "x.shapepack", old)
        config = self.config(self.source(server.url("/x.shapepack")))
        mount = self.mount(config)
        folder = mount.path / "datasets/x"
        self.assertEqual((folder / "heart/b.stl").read_bytes(), old["heart/b.stl"])
        new = {n: stl(500 + i, 300 + i) for i, n in enumerate(old)}
        self.pack(self.root / "new", new)
        os.replace(self.root / "new", self.root / "x.shapepack")
        self.assertEqual((folder / "heart/b.stl").read_bytes(), old["heart/b.stl"])  # cached
        failed = 0
        for name in old:
            try:
                self.assertEqual((folder / name).read_bytes(), old[name], name)
            except OSError as e:
                self.assertIn(e.errno, (errno.ESTALE, errno.EIO))
                failed += 1
        self.assertGreater(failed, 5)
        self.assertIn("changed at its source", mount.json("errors.json")["errors"][0]["reason"])
        before = mount.json()["catalog"]
        self.refresh(config)
        self.follows(mount, before)
        self.assertSame(mount, new)

    def test_an_append_at_the_server_does_no_harm(self):
        server = self.serve()
        old = self.some()
        self.pack(self.root / "x.shapepack", old)
        config = self.config(self.source(server.url("/x.shapepack")))
        mount = self.mount(config)
        with open(self.root / "x.shapepack", "ab") as out:  # of what is behind the blocks a reader sees nothing
            out.write(b"more" * 1000)
        self.assertSame(mount, old)

    def test_a_damaged_block(self):
        server = self.serve()
        files = self.some()
        self.pack(self.root / "x.shapepack", files)
        mount = self.mount({**self.source(server.url("/x.shapepack")), "network": {"retry_for": "1s"}})
        whole = bytearray((self.root / "x.shapepack").read_bytes())
        whole[1000] ^= 4
        stamp = (self.root / "x.shapepack").stat()
        (self.root / "x.shapepack").write_bytes(whole)
        os.utime(self.root / "x.shapepack", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # nothing shows it
        hit = []
        for name, content in files.items():
            try:
                self.assertEqual((mount.path / "datasets/x" / name).read_bytes(), content, name)
            except OSError as e:
                self.assertEqual(e.errno, errno.EIO)
                hit.append(name)
        self.assertEqual(len(hit), 1)
        row = mount.json("errors.json")["errors"][0]
        self.assertEqual(row["path"], "datasets/x/" + hit[0])
        self.assertIn("checksum", row["reason"])

    def test_a_source_that_is_down_keeps_what_it_had(self):
        server, other = self.serve(), self.davd("--make", "3")
        self.pack(self.root / "x.shapepack", {"datasets/Own/a.stl": stl(1, 20), "b.stl": stl(2, 20)})
        settings = self.source(server.url("/x.shapepack"))
        settings["sources"].append(harness.manifest(other.url("/list.txt")))
        config = self.config(settings)
        self.refresh(config)
        os.rename(self.root / "x.shapepack", self.root / "gone")
        done = self.refresh(config, status=3)
        self.assertIn("HTTP 404", done.stderr)
        mount = self.mount(config)
        self.assertEqual(mount.json()["catalog"]["shapes"], 5)
        os.rename(self.root / "gone", self.root / "x.shapepack")
        self.assertEqual((mount.path / "datasets/x/b.stl").read_bytes(), stl(2, 20))

    def test_secrets_stay_out(self):
        server = self.serve()
        self.pack(self.root / "x.shapepack", {"a.stl": stl(1, 20)})
        mount = self.mount(self.source(server.url("/x.shapepack?sig=SECRET")))
        self.assertEqual((mount.path / "datasets/x/a.stl").read_bytes(), stl(1, 20))
        self.assertNotIn("SECRET", (mount.path / "index.csv").read_text())
        self.assertTrue(all("sig=SECRET" in r["path"] for r in server.log()))


class WithoutRanges(PackCase):
    def test_a_pack_under_another_name_is_told(self):
        server = self.faultd()
        server.post("/_put", self.pack(self.tmp / "x.shapepack", {"a.stl": stl(1, 50)}).read_bytes(), path="/content")
        done = self.program("mount", "-o", "source=%s" % server.url("/content"), self.mountpoint(), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("it is a .shapepack", done.stderr)

    def test_a_small_pack_comes_whole_and_a_large_one_is_refused(self):
        server = self.faultd()
        server.post("/_rule", prefix="/", do="norange")
        small = self.pack(self.tmp / "x.shapepack", {"a.stl": stl(1, 50)})
        server.post("/_put", small.read_bytes(), path="/x.shapepack")
        mount = self.mount(options="source=%s" % server.url("/x.shapepack"))
        self.assertSame(mount, {"a.stl": stl(1, 50)})
        done = self.program("mount", "-o", "source=%s" % server.url("/!size=9000000/big.shapepack"), self.mountpoint(), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("knows ranges", done.stderr)

    def test_answers_that_are_no_pack(self):
        server = self.faultd()
        for path, why in (("/!status=404/x.shapepack", "404"), ("/!html=Sign-in/x.shapepack", "HTML"), ("/x.shapepack", "not a"),
                          ("/!total=9/x.shapepack", ""), ("/!shift=5/x.shapepack", ""), ("/!crange=nonsense/x.shapepack", "")):
            done = self.program("mount", "-o", "source=%s" % server.url(path), self.mountpoint(), check=False)
            self.assertEqual(done.returncode, 1, path)
            self.assertIn(why, done.stderr)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)


class Mirror(PackCase):
    """What `export --packed` made, as a source."""
    NAMES = ["s0001_liver.nii.g_1.stl", "012345_liver.stl", "100206_skull.stl", "something.stl"]

    def begin(self):
        names = self.fresh("names")
        names.write_text("".join("http://any/s/T/download?path=%%2F&files=%s\n" % n for n in self.NAMES))
        self.server = self.davd("--names", names)
        self.origin = harness.manifest(self.server.url("/list.txt"))
        config = self.config({"sources": [self.origin], "cache": {"dir": str(self.tmp / "cache0")}})
        self.first = self.mount(config)
        self.folder = self.tmp / "mirror"
        self.program("export", "--packed", self.folder, "-o", "config=%s" % config)

    def test_it_needs_no_other_source(self):
        self.begin()
        mirror = self.mount(options="source=%s" % self.folder)
        texts = ["index.csv"]
        for name in self.NAMES:
            found, = mirror.path.glob("datasets/*/" + name)
            path = found.relative_to(mirror.path)
            self.assertEqual(found.read_bytes(), (self.first.path / path).read_bytes())
            texts += [str(path.parent / "LICENSE.txt"), str(path.parent / "CITATION.bib")]
        for text in texts:
            self.assertEqual((mirror.path / text).read_text(), (self.first.path / text).read_text(), text)
        self.assertEqual(sorted(os.listdir(mirror.path / "datasets")), ["HCP", "TotalSegmentator", "autoPET", "unsorted"])

    def test_the_pack_is_asked_before_the_origin(self):
        self.begin()
        self.first.unmount()
        both = {"sources": [self.origin, {"name": "lab", "type": "pack", "url": str(self.folder)}]}
        mount = self.mount(both)
        self.server.reset()
        self.assertEqual(mount.json()["catalog"]["shapes"], len(self.NAMES))
        for name in self.NAMES:
            found, = mount.path.glob("datasets/*/" + name)
            found.read_bytes()
        self.assertEqual(self.server.count(), 0)
