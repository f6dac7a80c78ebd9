"""Lists and listings made to hurt: a clear error or an escaped name each, and nothing that is cached is lost."""
import json
import os
import re
import subprocess
import threading
import time
import unittest
import urllib.parse

import harness
from origin import SLOW, Case, expected, read, until

LINES = 10000000 if os.environ.get("MSFS_LARGE") else 2000000
ANON_MAX = 64 << 20


class Sampler(threading.Thread):
    """The most anonymous memory that a process has been seen with."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.samples = pid, 0, 0
        self.start()

    def run(self):
        while True:
            try:
                with open("/proc/%d/status" % self.pid, encoding="ascii") as f:
                    found = re.search(r"RssAnon:\s+(\d+)", f.read())
            except OSError:
                return
            if found is None:
                return
            self.most, self.samples = max(self.most, int(found.group(1)) * 1024), self.samples + 1
            time.sleep(0.01)


class Hostile(Case):
    def setUp(self):
        super().setUp()
        self.mnt = self.mount_names(["kept.stl", "other.stl"])
        self.assertRight(self.mnt, "kept.stl")

    def refresh(self, *args, status=0):
        done = self.program("refresh", *args, "-o", "config=%s" % self.path, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def check_nothing_lost(self):
        """The catalogue still has the file, and its bytes come from the cache."""
        gets = self.origin.count("GET", "/kept.stl")
        self.assertRight(self.mnt, "kept.stl")
        mount = self.mnt
        mount.unmount()
        self.mnt = self.mount(self.path)
        self.assertRight(self.mnt, "kept.stl")
        self.assertEqual(self.origin.count("GET", "/kept.stl"), gets)

    def listed(self):
        return set(n for n in os.listdir(self.mnt.path / "datasets" / "unsorted") if n.endswith(".stl") or "stl" in n)

    def put_lines(self, lines):
        self.put_list(["kept.stl", "other.stl"], "".join("%s\n" % l for l in lines))

    def test_malformed_lines(self):
        bad = ["not a link", "http://", "http:///x.stl", "://x", "http://127.0.0.1:99999999/x.stl", "http://h/\x01x.stl", "http://h/",
               "javascript:alert(1)"]
        self.put_lines(bad + [self.origin.url("/fine.stl")])
        done = self.refresh("--json")
        self.assertEqual(json.loads(done.stdout)["malformed"], len(bad), done.stderr)
        for number in range(3, 3 + len(bad)):
            self.assertIn("line %d:" % number, done.stderr)
        self.assertTrue(until(lambda: "fine.stl" in self.listed(), 10))
        self.assertEqual(self.listed(), {"kept.stl", "other.stl", "fine.stl"})
        self.check_nothing_lost()

    def test_other_schemes(self):
        secret = self.tmp / "secret.stl"
        secret.write_text("solid secret")
        self.put_lines(["file://%s" % secret, "FILE://%s" % secret, "ftp://127.0.0.1/x.stl", "gopher://h/x.stl", "smb://h/s/x.stl",
                        "file://localhost%s" % secret])
        done = self.refresh("--json")
        self.assertEqual(json.loads(done.stdout)["malformed"], 6, done.stderr)
        self.assertEqual(self.listed(), {"kept.stl", "other.stl"})
        found = subprocess.run(["grep", "-rl", "solid secret", self.mnt.path / "datasets" / "unsorted"], capture_output=True, text=True)
        self.assertEqual(found.stdout, "")
        self.check_nothing_lost()

    def test_a_line_of_a_megabyte(self):
        self.put_lines([self.origin.url("/" + "x" * (1 << 20) + ".stl"), self.origin.url("/fine.stl")])
        done = self.refresh("--json")
        self.assertEqual(json.loads(done.stdout)["malformed"], 1)
        self.assertIn("line 3: longer than 16 KiB", done.stderr)
        self.assertTrue(until(lambda: "fine.stl" in self.listed(), 10))
        self.check_nothing_lost()

    def test_names(self):
        """Whatever the name, the file stands in its own folder, can be opened, and has the bytes of its own URL."""
        names = ["a/b.stl", "..", ".", "../../x.stl", "nul\0.stl", "new\nline.stl", "bell\x07.stl", "\x7f.stl", "x" * 300 + ".stl",
                 "x" * 299 + "y.stl", "Case.stl", "case.stl", "twice.stl", "LICENSE.txt", "index.csv", "umlaut-ü.stl", " blank .stl",
                 "-rf.stl", "percent%2F.stl", "back\\slash.stl", "semi;colon.stl"]
        quoted = [urllib.parse.quote(n, safe="") for n in names] + ["bad-%ff-utf8.stl", "other/../twice.stl"]
        self.put_lines([self.origin.url("/q%d/%s" % (i, q)) for i, q in enumerate(quoted)] + [self.origin.url("/second/twice.stl")] * 3)
        self.refresh()
        folder = self.mnt.path / "datasets" / "unsorted"
        self.assertTrue(until(lambda: "Case.stl" in self.listed(), 10))
        seen = {}
        for top, _, files in os.walk(os.fsencode(folder)):
            for name in files:
                path = os.path.join(top, name)
                self.assertLessEqual(len(name), 255)
                self.assertNotRegex(name, rb"[\x00-\x1f\x7f/]")
                name.decode("utf-8")
                with open(path, "rb") as f:
                    data = f.read()
                self.assertEqual(len(data), os.stat(path).st_size)
                seen[os.path.relpath(path, os.fsencode(folder))] = data
        self.assertTrue(seen[b"Case.stl"] == expected("Case.stl") and seen[b"case.stl"] == expected("case.stl"))
        self.assertIn(b"LICENSE~2.txt", seen)
        self.assertIn(b"index~2.csv", seen)
        self.assertIn(b"twice~2.stl", seen)
        self.assertEqual(seen["umlaut-ü.stl".encode()], expected("umlaut-ü.stl"))
        cut = [n for n in seen if n.startswith(b"xxxx")]
        self.assertEqual(len(cut), 2, cut)
        self.assertEqual(sorted(os.listdir(self.mnt.path)), ["CITATION.bib", "README.txt", "anatomy", "datasets", "index.csv", "licenses",
                                                             "search"])
        self.check_nothing_lost()

    def test_length_lies(self):
        """Content-Length or Content-Range say one thing and the body is another: an error or the right bytes, never others."""
        self.put_list(["kept.stl", "lie.stl"])
        self.refresh()
        path = self.file(self.mnt, "lie.stl")
        self.assertTrue(until(path.exists, 10))
        for do in ("length=+1000", "length=-1000", "total=5", "total=99999999999999999999", "total=-1", "crange=bytes 0-5/3",
                   "crange=bytes 0-18446744073709551615/18446744073709551615", "length=+9000000000000000000"):
            with self.subTest(do=do):
                self.rule("/lie.stl", do)
                got = read(path)
                self.assertTrue(isinstance(got, int) or got == expected("lie.stl")[:len(got)], "other bytes")
                self.rule("/lie.stl", "")
                self.assertTrue(until(lambda: read(path) == expected("lie.stl"), 20), "does not heal")
                self.assertEqual(os.stat(path).st_size, len(expected("lie.stl")))
        self.check_nothing_lost()

    def test_head_lies(self):
        """HEAD tells a wrong length, so the first size is wrong: it is mended by the first read, and no byte is made up."""
        self.put_list(["kept.stl", "lie.stl"])
        self.refresh()
        path = self.file(self.mnt, "lie.stl")
        self.assertTrue(until(lambda: "lie.stl" in self.listed(), 10))
        self.rule("/lie.stl", "length=+1000,times=1")
        self.assertEqual(os.stat(path).st_size, len(expected("lie.stl")) + 1000)
        got = read(path)
        self.assertTrue(isinstance(got, int) or got == expected("lie.stl"))
        self.assertTrue(until(lambda: read(path) == expected("lie.stl"), 10))
        self.assertEqual(os.stat(path).st_size, len(expected("lie.stl")))

    def test_endless_body(self):
        """A server that sends for ever is cut off."""
        self.fault("other.stl", "close")
        self.rule("/other.stl", "size=4000000000,close,norange")
        self.assertIsInstance(read(self.file(self.mnt, "other.stl")), int)
        self.rule("/other.stl", "")
        self.assertTrue(until(lambda: read(self.file(self.mnt, "other.stl")) == expected("other.stl"), 20))


class HostileShare(harness.Case):
    """An ownCloud whose PROPFIND answers are bad: the list is mounted without sizes, and says so."""

    def setUp(self):
        super().setUp()
        self.share = self.davd("--make", "40", "--size", "50000")
        self.settings = {"sources": [harness.manifest(self.share.url("/list.txt"))],
                         "network": {"timeout": "%ds" % (2 * SLOW), "retry_for": "%ds" % (3 * SLOW),
                                     "listing_timeout": "%ds" % (3 * SLOW)}}
        self.path = self.config(self.settings)

    def check(self, switches):
        """Refreshes beside a mount whose files are cached, and after."""
        mount = self.mount(self.path)
        shape = mount.path / "datasets" / "unsorted" / "shape_0000003.stl"
        data, size, inode = shape.read_bytes(), shape.stat().st_size, shape.stat().st_ino
        self.assertEqual(len(data), size)
        self.share.post("/_set", **switches)
        done = self.program("refresh", "-o", "config=%s" % self.path, check=False, timeout=60 * SLOW)
        self.assertIn(done.returncode, (0, 3), done.stderr)
        self.assertRegex(done.stderr, r"\Amedshapefs: ")
        self.assertTrue(until(lambda: mount.json()["catalog"]["without_sizes"], 10))
        self.assertEqual(len(list(shape.parent.glob("*.stl"))), 40)
        self.assertEqual((shape.stat().st_size, shape.stat().st_ino), (size, inode))
        self.assertEqual(shape.read_bytes(), data)
        self.assertIn("sizes", self.program("status", mount.path).stdout)
        mount.unmount()
        return done.stderr

    def test_entity_bomb(self):
        self.check({"bomb": 1})

    def test_cut(self):
        self.check({"cut": 5000})

    def test_cut_that_looks_whole(self):
        self.check({"cut_close": 5000})

    def test_html(self):
        self.assertIn("HTML", self.check({"html": 1}))

    def test_refused(self):
        self.check({"dav": 405})

    def test_names_that_are_not_listed(self):
        mount = self.mount(self.path)
        self.share.post("/_set", extra=500, missing=2)
        self.program("refresh", "-o", "config=%s" % self.path)
        self.assertTrue(until(lambda: mount.json()["catalog"]["unknown_sizes"] == 20, 10))
        self.assertEqual(len(list((mount.path / "datasets" / "unsorted").glob("*.stl"))), 40)


class ManyLines(harness.Case):
    """A list of millions of lines takes no more memory than one of thousands."""
    limit = 600

    def write(self, path, lines):
        with open(path, "w", encoding="ascii", buffering=1 << 20) as f:
            for i in range(0, lines, 10000):
                f.writelines("http://127.0.0.1:9/f%d/n%08d.stl\n" % (j % 5, j) for j in range(i, min(lines, i + 10000)))

    def refresh(self, url, cache):
        config = self.config({"sources": [harness.manifest(url)], "cache": {"dir": str(cache)}})
        process = subprocess.Popen(self.command(["refresh", "--json", "-o", "config=%s" % config]), env=self.environment(), cwd=self.tmp,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        sampler = Sampler(process.pid)
        out, err = process.communicate(timeout=500 * SLOW)
        self.assertEqual(process.returncode, 0, err)
        return json.loads(out), sampler

    @harness.large
    @unittest.skipIf(SLOW > 1, "memory of an instrumented program says nothing")
    def test_memory_is_flat(self):
        for lines in (LINES // 20, LINES):  # the second is a refresh over a catalogue
            path = self.tmp / "list.txt"
            self.write(path, lines)
            done, sampler = self.refresh("file://%s" % path, self.tmp / "cache")
            self.assertEqual(done["shapes"], lines)
            self.assertGreater(sampler.samples, 3)
            self.assertLess(sampler.most, ANON_MAX, "%d lines" % lines)
