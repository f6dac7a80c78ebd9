"""The tree that every mount has: folders, generated files, licences, markers; that it is read-only; what stat and statfs say."""
import csv
import errno
import io
import json
import os
import re
import stat
import time
import zlib

import harness
import shapes

DATASETS = """3D-COSI 3DTeethSeg AMOS ASOCA AVT AbdomenAtlas AbdomenCT-1K BraTS CT-ORG Calgary-campinas Crossmoda
    DigitalBodyPreservation EMIDEC FLARE FacialModels GLISRT HCP HECKTOR ISLES22 KiTS21 LNDb LUMIERE LiTS MRIGBM MUG500+ PROMISE
    PulmonaryTree SUDMEXCONN SkullBreak SkullFix TCGA-GBM ToothFairy TotalSegmentator VerSe autoPET""".split()
MARKERS = [".trackerignore", ".nomedia", ".metadata_never_index", "CACHEDIR.TAG"]


class Tree(shapes.ListCase):
    def setUp(self):
        super().setUp()
        self.server = self.share(shapes.KNOWN)

    def test_folders(self):
        root = self.mount(self.source(self.server)).path
        self.assertEqual(sorted(os.listdir(root)),
                         ["CITATION.bib", "README.txt", "anatomy", "datasets", "index.csv", "licenses", "search"])
        self.assertEqual(len(DATASETS), 35)
        self.assertEqual(sorted(os.listdir(root / "datasets")), sorted(DATASETS + ["unsorted"]))
        for name in DATASETS + ["unsorted"]:
            want = sorted(n for n, (dataset, _) in shapes.KNOWN.items() if dataset == name)
            self.assertEqual(sorted(os.listdir(root / "datasets" / name)), sorted(want + shapes.GENERATED), name)
        self.assertEqual(os.listdir(root / "search"), [])

    def test_only_datasets_with_files_by_source_of_another_type(self):
        """A list is a manifest; the rule is about folders, packs and shares, which this version has not."""
        root = self.mount(None, "source=%s,cache=%s" % (self.server.url("/list.txt"), self.tmp / "c")).path
        self.assertEqual(len(os.listdir(root / "datasets")), 36)

    def test_generated_files(self):
        root = self.mount(self.source(self.server)).path
        readme = (root / "README.txt").read_text()
        self.assertRegex(readme, r"(?m)^Shapes: +%d$" % len(shapes.KNOWN))
        self.assertIn(self.server.url("/list.txt"), readme)
        self.assertIn("2308.16139", readme + (root / "CITATION.bib").read_text())
        whole = (root / "CITATION.bib").read_text()
        for name in DATASETS:
            with self.subTest(dataset=name):
                self.check_dataset(root / "datasets" / name, whole)

    def check_dataset(self, folder, whole):
        known = json.loads((folder / "dataset.json").read_text())
        self.assertEqual(known["id"], folder.name)
        for key in ("title", "description", "licence", "homepage", "doi", "counts", "bytes", "sources"):
            self.assertIn(key, known)
        files = [p for p in folder.iterdir() if p.name not in shapes.GENERATED]
        self.assertEqual((known["counts"]["files"], known["bytes"]), (len(files), sum(p.stat().st_size for p in files)))
        licence = (folder / "LICENSE.txt").read_text()
        self.assertIn(known["licence"] or "not stated by the source", licence)
        cite = (folder / "CITATION.bib").read_text()
        if folder.name in ("DigitalBodyPreservation", "MRIGBM"):
            self.assertNotRegex(cite, r"(?m)^@")
        else:
            self.assertRegex(cite, r"(?m)^@\w+\{")
            for entry in re.findall(r"(?ms)^@.*?^}", cite):
                self.assertIn(entry, whole)
        doubtful = folder.name in ("BraTS", "SkullFix", "VerSe")
        self.assertEqual(bool(known["doubt"]), doubtful)
        self.assertEqual(list(known)[0] == "doubt" and licence.startswith("PLEASE NOTE"), doubtful)

    def test_licences(self):
        root = self.mount(self.source(self.server)).path
        seen = {}
        for licence in os.listdir(root / "licenses"):
            self.assertRegex(licence, r"\A(unstated|LicenseRef-[A-Za-z0-9.-]+|[A-Z][A-Za-z0-9.-]+)\Z")
            for name in os.listdir(root / "licenses" / licence):
                link = root / "licenses" / licence / name
                self.assertEqual(os.readlink(link), "../../datasets/" + name)
                self.assertEqual(link.lstat().st_size, len("../../datasets/" + name))
                self.assertTrue((link / "LICENSE.txt").samefile(root / "datasets" / name / "LICENSE.txt"))
                seen[name] = licence
        self.assertEqual(sorted(seen), sorted(DATASETS + ["unsorted"]))
        self.assertEqual([seen[n] for n in ("HCP", "KiTS21", "ASOCA", "AVT")],
                         ["LicenseRef-HCP-Data-Use-Terms", "MIT", "unstated", "CC-BY-4.0"])
        for name, licence in seen.items():
            self.assertEqual(json.loads((root / "datasets" / name / "dataset.json").read_text())["licence"] or "unstated", licence)

    def test_index(self):
        root = self.mount(self.source(self.server)).path
        raw = (root / "index.csv").read_bytes()
        self.assertEqual(raw.count(b"\r\n"), len(shapes.KNOWN) + 1)
        self.assertEqual(raw.count(b"\n"), len(shapes.KNOWN) + 1)
        rows = list(csv.reader(io.StringIO(raw.decode(), newline="")))
        self.assertEqual(rows[0], "path,dataset,anatomy,subject,side,licence,bytes,mtime,url".split(","))
        paths = [r[0] for r in rows[1:]]
        self.assertEqual(paths, sorted(paths, key=os.fsencode))
        for path, dataset, anatomy, _, _, licence, size, mtime, url in rows[1:]:
            name = os.path.basename(path)
            self.assertEqual((dataset, anatomy or None), shapes.KNOWN[name])
            self.assertEqual(path, "datasets/%s/%s" % (dataset, name))
            st = os.stat(root / path)
            self.assertEqual(int(size), st.st_size)
            self.assertEqual(mtime, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(st.st_mtime)))
            self.assertTrue(os.path.lexists(root / "licenses" / licence / dataset))
            self.assertEqual(harness.NO_PROXY.open(url).read(), (root / path).read_bytes())
        found = {r[0]: r[2:5] for r in rows[1:]}
        self.assertEqual(found["datasets/autoPET/012345_costa1left.stl"], ["rib_1", "012345", "left"])
        self.assertEqual(found["datasets/HCP/100206_skull.stl"][:2], ["skull", "100206"])
        self.check_parts(root, raw)

    def check_parts(self, root, raw):
        """Each dataset's index is the header and its rows of the whole one."""
        lines = raw.splitlines(True)
        for name in os.listdir(root / "datasets"):
            want = [x for x in lines[1:] if (b"datasets/%s/" % name.encode()) in x.split(b",")[0]]
            self.assertEqual((root / "datasets" / name / "index.csv").read_bytes(), b"".join([lines[0]] + want))

    def test_hidden(self):
        root = self.mount(self.source(self.server)).path
        for name in MARKERS:
            self.assertTrue(stat.S_ISREG(os.stat(root / name).st_mode))
            self.assertEqual(len((root / name).read_bytes()), os.stat(root / name).st_size)
        self.assertTrue((root / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55"))
        self.assertEqual(sorted(os.listdir(root / ".medshapefs")), ["errors.json", "metrics", "status.json"])
        listed = {os.path.basename(p) for p in shapes.everything(root)}
        self.assertFalse(listed & set(MARKERS + [".medshapefs", "status.json", "metrics", "errors.json"]))
        for probe in (".hidden", ".directory", ".Trash", ".Trash-0", ".git", "._README.txt", ".DS_Store", "autorun.inf"):
            self.assertFalse(os.path.lexists(root / probe))
            self.assertFalse(os.path.lexists(root / "datasets" / "AVT" / probe))


class ReadOnly(shapes.ListCase):
    def test_every_change_is_erofs(self):
        _, mount = self.mounted(["face_1.stl"], options="xattr")
        folder, file = mount.path / "datasets" / "FacialModels", mount.path / "datasets" / "FacialModels" / "face_1.stl"
        for target in (mount.path, folder, mount.path / "search", mount.path / "anatomy" / "face", mount.path / ".medshapefs"):
            for what in (lambda t: os.open(t / ".new", os.O_CREAT | os.O_WRONLY), lambda t: os.mkdir(t / ".new"),
                         lambda t: os.symlink("x", t / ".new"), lambda t: os.link(file, t / ".new"),
                         lambda t: os.mkfifo(t / ".new"), lambda t: os.rename(file, t / ".new")):
                self.refused(what, target)
        for target in (file, mount.path / "README.txt", mount.path / ".medshapefs" / "status.json"):
            for what in (lambda t: os.open(t, os.O_WRONLY), lambda t: os.open(t, os.O_RDWR), lambda t: os.truncate(t, 0),
                         lambda t: os.chmod(t, 0o600), lambda t: os.chown(t, 1, 1), lambda t: os.utime(t, (1, 1)), os.unlink,
                         lambda t: os.setxattr(t, "user.x", b"1"), lambda t: os.removexattr(t, "user.mime_type"),
                         lambda t: os.rename(t, folder / "other")):
                self.refused(what, target)
        for what in (os.rmdir, lambda t: os.chmod(t, 0o700), lambda t: os.rename(t, mount.path / "other")):
            self.refused(what, folder)

    def refused(self, what, target):
        with self.assertRaises(OSError) as caught:
            what(target)
        self.assertEqual(caught.exception.errno, errno.EROFS, target)


class Attributes(shapes.ListCase):
    def modes(self, root):
        return {(stat.S_IFMT(st.st_mode), oct(stat.S_IMODE(st.st_mode)), st.st_uid, st.st_gid)
                for st in [os.lstat(root), *shapes.everything(root).values(), os.lstat(root / ".medshapefs" / "metrics")]
                if not stat.S_ISLNK(st.st_mode)}

    def test_modes_and_owner(self):
        _, mount = self.mounted(shapes.KNOWN)
        me = (os.getuid(), os.getgid())
        self.assertEqual(self.modes(mount.path), {(stat.S_IFREG, "0o444", *me), (stat.S_IFDIR, "0o555", *me)})

    @harness.needs_root
    def test_uid_gid_umask(self):
        server, mount = self.mounted(shapes.KNOWN, options="uid=12345,gid=54321,umask=027")
        self.assertEqual(self.modes(mount.path), {(stat.S_IFREG, "0o440", 12345, 54321), (stat.S_IFDIR, "0o550", 12345, 54321)})
        mount.unmount()
        mount = self.mount(self.source(server), options="umask=077,allow_other")
        user = self.user()
        done = self.as_user(user, "cat", mount.path / "README.txt")
        self.assertIn("Permission denied", done.stderr, "default_permissions makes the kernel keep the modes")

    def test_statfs(self):
        _, mount = self.mounted(shapes.KNOWN)
        v = os.statvfs(mount.path)
        total = sum(os.stat(mount.path / "datasets" / d / n).st_size for n, (d, _) in shapes.KNOWN.items())
        self.assertEqual(v.f_blocks, -(-total // v.f_frsize))
        self.assertEqual((v.f_bfree, v.f_bavail, v.f_ffree, v.f_namemax), (0, 0, 0, 255))
        self.assertEqual(v.f_files, len(shapes.KNOWN))
        self.assertTrue(v.f_flag & os.ST_RDONLY and v.f_flag & os.ST_NOSUID)

    def test_flags_and_type(self):
        _, mount = self.mounted(["face_1.stl"])
        line = next(x for x in open("/proc/self/mounts", encoding="utf-8") if x.split()[1] == str(mount.path))
        self.assertEqual(line.split()[2], "fuse.medshapefs")
        self.assertLessEqual({"ro", "nosuid", "nodev", "default_permissions"}, set(line.split()[3].split(",")))

    def test_blocks_and_times(self):
        sizes = ["s%04d_liver.nii.g_1.stl" % i for i in range(40)]
        _, mount = self.mounted(sizes)
        for path, st in shapes.everything(mount.path).items():
            if stat.S_ISREG(st.st_mode):
                self.assertEqual(st.st_blocks, -(-st.st_size // 512), path)
                self.assertGreater(st.st_size, 0, path)
        st = os.stat(mount.path / "datasets" / "TotalSegmentator" / sizes[0])
        self.assertEqual(st.st_mtime, 1726740000 + zlib.crc32(sizes[0].encode()) % 1000, "the source's Last-Modified")

    def test_time_of_what_has_none_is_the_refresh_that_first_saw_it(self):
        origin = self.faultd()
        origin.post("/_put?path=/list.txt&type=text/plain", origin.url("/!nodate/face_1.stl\n"))
        before = int(time.time())
        path = self.config({"sources": [harness.manifest(origin.url("/list.txt"))]})
        mount = self.mount(path)
        file = mount.path / "datasets" / "FacialModels" / "face_1.stl"
        first = file.stat().st_mtime
        self.assertTrue(before <= first <= time.time())
        origin.post("/_put?path=/list.txt&type=text/plain", origin.url("/!nodate/face_1.stl\n") + origin.url("/face_2.stl\n"))
        mount.unmount()
        while int(time.time()) == int(first):  # so that the second refresh has another time
            time.sleep(0.05)
        self.program("refresh", "--config", path)
        self.mount(path, path=mount.path)
        self.assertEqual(file.stat().st_mtime, first)
        self.assertEqual(os.stat(file.parent / "face_2.stl").st_mtime, 1700000000, "its Last-Modified")
