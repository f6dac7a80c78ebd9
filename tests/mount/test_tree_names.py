"""Names from outside: what cannot be a file name is escaped, equal ones stay apart, nothing leaves its own folder."""
import csv
import os
import re
import urllib.parse

import harness
import shapes

REFUSED = ["--set", "dav=404"]  # so that each name is asked for by its link alone

# Bytes of a remote name -> the name here.
ESCAPED = {
    b"a/b.stl": "a%2Fb.stl", b"/abs.stl": "%2Fabs.stl", b"../../etc/passwd": "..%2F..%2Fetc%2Fpasswd", b".": "%2E", b"..": "%2E%2E",
    b"nul\0.stl": "nul%00.stl", b"line\nfeed.stl": "line%0Afeed.stl", b"tab\t.stl": "tab%09.stl", b"esc\x1b[2J.stl": "esc%1B[2J.stl",
    b"del\x7f.stl": "del%7F.stl", "c1\x85.stl".encode(): "c1%C2%85.stl", b"\xff\xfe.stl": "%FF%FE.stl", b"caf\xe9.stl": "caf%E9.stl",
    b"over\xc0\xaf.stl": "over%C0%AF.stl", b"surrogate\xed\xa0\x80.stl": "surrogate%ED%A0%80.stl",
    # What is a name stays as it is.
    "café.stl".encode(): "café.stl", "日本語.stl".encode(): "日本語.stl", b"100%.stl": "100%.stl", b"a%2Fb.stl~": "a%2Fb.stl~",
    b'quote",comma.stl': 'quote",comma.stl', b"back\\slash.stl": "back\\slash.stl", b" blanks .stl": " blanks .stl",
    b"...": "...", b".hidden.stl": ".hidden.stl", b"-rf": "-rf", b"a+b & c=d;e.stl": "a+b & c=d;e.stl",
}


class Names(shapes.ListCase):
    def unsorted(self, mount):
        return mount.path / "datasets" / "unsorted"

    def test_escapes(self):
        server, mount = self.mounted(ESCAPED, *REFUSED, options="xattr")
        folder = self.unsorted(mount)
        self.assertEqual(shapes.split(os.listdir(folder)), sorted(ESCAPED.values()))
        for raw, name in ESCAPED.items():
            with self.subTest(raw=raw):
                path = folder / name
                want = server.get("/s/HeShw1G4da15OOZ/download?path=/&files=" + urllib.parse.quote(raw, safe=""))
                self.assertEqual(path.stat().st_size, len(want))
                self.assertEqual(path.read_bytes(), want)
                self.assertEqual(os.getxattr(path, "user.medshapefs.name"), raw, "the name at the source")
                self.assertIn("files=" + urllib.parse.quote(raw, safe=""), os.getxattr(path, "user.xdg.origin.url").decode())

    def test_escapes_in_the_index(self):
        _, mount = self.mounted(ESCAPED, *REFUSED)
        raw = (mount.path / "index.csv").read_bytes()
        text = raw.decode()  # UTF-8, whatever the names are
        self.assertNotRegex(text.replace("\r\n", ""), r"[\x00-\x1f\x7f-\x9f]")
        rows = list(csv.reader(text.split("\r\n")[1:-1], strict=True))
        self.assertEqual(sorted(r[0] for r in rows), sorted("datasets/unsorted/" + n for n in ESCAPED.values()))
        self.assertEqual({len(r) for r in rows}, {9})
        for row in rows:
            self.assertTrue(os.path.lexists(mount.path / row[0]), row)

    def test_folders(self):
        """A folder in a link is a folder here, without a way out of the dataset."""
        names = ["a/b/x.stl", "a/x.stl", "a/face_1.stl", "ü/x.stl"]
        server, mount = self.mounted(names)
        self.assertEqual((self.unsorted(mount) / "a" / "b" / "x.stl").read_bytes(),
                         server.get("/s/HeShw1G4da15OOZ/download?path=/a/b&files=x.stl"))
        self.assertEqual(sorted(os.listdir(self.unsorted(mount))), sorted(shapes.GENERATED + ["a", "ü"]))
        self.assertEqual(os.listdir(mount.path / "datasets" / "FacialModels" / "a"), ["face_1.stl"])

    def test_nothing_leads_out(self):
        origin = self.faultd()
        evil = ["/s/T/download?path=%2F..%2F..&files=x.stl", "/s/T/download?path=%2F..%2FAVT&files=LICENSE.txt", "/s/T/download?path=/./&files=y.stl",
                "/s/T/download?path=%2F&files=..%2Fup.stl", "/a/%2E%2E%2F%2E%2E%2Fz.stl", "/a/..%2f..%2fw.stl", "/s/T/download?path=%00&files=n.stl"]
        origin.post("/_put?path=/list.txt", "".join(origin.url(e) + "\n" for e in evil) + origin.url("/good.stl\n"))
        mount = self.mount({"sources": [harness.manifest(origin.url("/list.txt"))]})
        found = shapes.everything(mount.path)
        self.assertIn("datasets/unsorted/good.stl", found)
        for path in found:
            self.assertFalse({"..", "."} & set(path.split("/")), path)
        self.assertEqual(sorted(os.listdir(mount.path / "datasets" / "AVT")), shapes.GENERATED)
        self.assertEqual(len(os.listdir(mount.path / "datasets")), 36)

    def test_long(self):
        long = [b"x" * 300 + b".stl", b"x" * 300 + b"y.stl", ("ü" * 150).encode() + b".stl", b"\xff" * 100 + b".stl", b"n" * 255,
                b"m" * 251 + b".stl", b"k" * 252 + b".stl", b"." + b"h" * 400]
        _, mount = self.mounted(long, *REFUSED, options="xattr")
        folder = self.unsorted(mount)
        names = shapes.split(os.listdir(folder))
        self.assertEqual(len(names), len(long))
        seen = {}
        for name in names:
            self.assertLessEqual(len(os.fsencode(name)), 255)
            name.encode()  # cut between characters
            self.assertEqual(len((folder / name).read_bytes()), (folder / name).stat().st_size)
            seen[os.getxattr(folder / name, "user.medshapefs.name")] = name
        self.assertEqual(sorted(seen), sorted(long))
        self.assertEqual((seen[b"n" * 255], seen[b"m" * 251 + b".stl"]), ("n" * 255, "m" * 251 + ".stl"))
        self.assertRegex(seen[long[0]], r"\Ax+~[0-9a-f]{16}\.stl\Z")

    def test_case(self):
        names = ["a.stl", "A.stl", "A.STL", "face_1.stl", "FACE_1.stl"]
        _, mount = self.mounted(names)
        found = shapes.everything(mount.path / "datasets")
        self.assertEqual(sorted(os.path.basename(p) for p in found if p.lower().endswith(".stl")), sorted(names))

    def put(self, *links):
        self.origin.post("/_put?path=/list.txt", "".join(self.origin.url(link) + "\n" for link in links))

    def test_equal_names(self):
        """The first in the list keeps the plain name; a repeated line is one file."""
        self.origin = self.faultd()
        self.put("/a/x.stl", "/b/x.stl", "/c/x.stl", "/a/x.stl", "/a/x", "/b/x", "/a/.x", "/b/.x", "/a/x.tar.gz", "/b/x.tar.gz")
        mount = self.mount({"sources": [harness.manifest(self.origin.url("/list.txt"))]}, options="xattr")
        folder = self.unsorted(mount)
        want = {"x.stl": "/a/x.stl", "x~2.stl": "/b/x.stl", "x~3.stl": "/c/x.stl", "x": "/a/x", "x~2": "/b/x", ".x": "/a/.x", ".x~2": "/b/.x",
                "x.tar.gz": "/a/x.tar.gz", "x.tar~2.gz": "/b/x.tar.gz"}
        self.assertEqual({n: os.getxattr(folder / n, "user.xdg.origin.url").decode() for n in shapes.split(os.listdir(folder))},
                         {n: self.origin.url(u) for n, u in want.items()})
        for name in ("x~2.stl", "x~3.stl"):
            self.assertEqual(os.getxattr(folder / name, "user.medshapefs.name"), b"x.stl")
            (folder / name).read_bytes()
        self.assertEqual([self.origin.count("GET", "/%s/x.stl" % c) for c in "abc"], [0, 1, 1])

    def test_a_number_that_is_taken(self):
        self.origin = self.faultd()
        self.put("/a/x.stl", "/b/x.stl", "/a/x~2.stl")
        mount = self.mount({"sources": [harness.manifest(self.origin.url("/list.txt"))]})
        self.assertEqual(shapes.split(os.listdir(self.unsorted(mount))), ["x.stl", "x~2.stl", "x~3.stl"])

    def test_equal_long_names(self):
        self.origin = self.faultd()
        self.put(*("/%s/%s.stl" % (c, "x" * 251) for c in "ab"))
        mount = self.mount({"sources": [harness.manifest(self.origin.url("/list.txt"))]})
        names = shapes.split(os.listdir(self.unsorted(mount)))
        self.assertEqual(names, ["x" * 251 + ".stl", "x" * 249 + "~2.stl"])

    def test_generated_names_win(self):
        names = ["LICENSE.txt", "index.csv", "dataset.json", "CITATION.bib", "index~2.csv", "license.txt", "README.txt"]
        server, mount = self.mounted(names, options="xattr")
        folder = self.unsorted(mount)
        self.assertEqual(shapes.split(os.listdir(folder)), sorted(
            ["LICENSE~2.txt", "dataset~2.json", "CITATION~2.bib", "index~2.csv", "index~3.csv", "license.txt", "README.txt"]))
        self.assertIn("not stated by the source", (folder / "LICENSE.txt").read_text())
        self.assertEqual((folder / "LICENSE~2.txt").read_bytes(), server.get("/s/HeShw1G4da15OOZ/download?path=/&files=LICENSE.txt"))
        self.assertEqual(os.getxattr(folder / "LICENSE~2.txt", "user.medshapefs.name"), b"LICENSE.txt")

    def test_a_folder_with_the_name_of_a_file(self):
        names = ["x/y.stl", "x", "index.csv/z.stl", "LICENSE.txt/deep/z.stl"]
        _, mount = self.mounted(names, *REFUSED)
        found = {p: s for p, s in shapes.everything(self.unsorted(mount)).items() if os.path.basename(p) not in shapes.GENERATED}
        files = sorted(p for p in found if not os.path.isdir(self.unsorted(mount) / p))
        self.assertEqual(len(files), 4, files)
        for path in files:
            self.assertTrue(re.fullmatch(r"x(~2)?(/y\.stl)?|index~2\.csv/z\.stl|LICENSE~2\.txt/deep/z\.stl", path), path)
            (self.unsorted(mount) / path).read_bytes()
        self.assertTrue((self.unsorted(mount) / "index.csv").is_file())

    def test_names_survive_a_refresh_in_another_order(self):
        """Which of two equal names is plain follows the list; a path that stays keeps its inode."""
        self.origin = self.faultd()
        self.put("/a/x.stl", "/b/x.stl")
        path = self.config({"sources": [harness.manifest(self.origin.url("/list.txt"))]})
        mount = self.mount(path)
        before = {p: s.st_ino for p, s in shapes.everything(mount.path).items()}
        first = (self.unsorted(mount) / "x.stl").read_bytes()
        mount.unmount()
        self.put("/b/x.stl", "/a/x.stl")
        self.program("refresh", "--config", path)
        mount = self.mount(path)
        self.assertEqual({p: s.st_ino for p, s in shapes.everything(mount.path).items()}, before)
        self.assertEqual((self.unsorted(mount) / "x~2.stl").read_bytes(), first)
