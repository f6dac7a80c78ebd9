"""medshapefs unpack: what comes out is what went in, byte and time; what is there, what is chosen, what is refused."""
import hashlib
import json
import os
import pty
import signal
import stat
import subprocess
import time

import harness
import packs


class Unpack(packs.PackCase):
    def fill(self, files, **more):
        """Packs these files, by their names."""
        packs.make(self.src, files)
        self.ok("pack", "-o", self.file, ".", cwd=self.src, **more)

    def test_odd_trees_come_back(self):
        files = {"a/b/c.stl": packs.cube(), "a/b/empty": b"", "a/b.stl": b"no shape\0\xff", "a/bx/y": b"y", "empty/": b"", "a/none/": b"",
                 "new\nline\ttab": b"1", "blank at end ": b"2", b"bytes\xff\xfe\x80": b"3", "-dash": b"4", "ü/Ü": b"5", "*": b"6",
                 "x" * 255: b"7", "/".join("d" * 100 for _ in range(20)) + "/deep": b"8", "...": b"9", ".hidden/.x": b"10"}
        packs.make(self.src, files)
        for i, (at, folders, names) in enumerate(os.walk(os.fsencode(self.src), topdown=False)):
            for name in names:
                os.utime(os.path.join(at, name), ns=(0, 1234567890123456789 + i * 1000003))
            if not folders and not names:
                os.utime(at, ns=(0, 987654321987654321 + i))
        os.utime(self.src / "*", ns=(0, -1500000000))
        self.fill({})
        said = self.ok("unpack", self.file, "-C", self.out)
        self.assertEqual(said, "%d files, %d bytes; 2 empty folders\n" % (len(files) - 2, sum(map(len, files.values()))))
        self.assertEqual(packs.tree(self.out), packs.tree(self.src))

    @harness.large
    def test_a_large_file(self):
        packs.write_large(self.src / "large.stl", 60 << 20)
        with open(self.src / "random", "wb") as out:
            out.write(os.urandom(40 << 20))
        self.fill({"small": b"small"})
        self.ok("unpack", self.file, "-C", self.out)
        self.assertEqual(packs.tree(self.out), packs.tree(self.src))

    def test_modes_follow_the_umask(self):
        self.fill({"d/a": b"a"})
        for mask in (0o022, 0o077):
            out = self.fresh("out")
            self.ok("unpack", self.file, "-C", out, preexec_fn=lambda m=mask: os.umask(m))
            self.assertEqual(stat.S_IMODE((out / "d").stat().st_mode), 0o777 & ~mask)
            self.assertEqual(stat.S_IMODE((out / "d" / "a").stat().st_mode), 0o666 & ~mask)

    def test_where_to(self):
        self.fill({"d/a": b"a"})
        self.ok("unpack", self.file, cwd=self.src)
        self.ok("unpack", "-C", self.out / "new" / "er", self.file)
        self.assertEqual(packs.tree(self.out / "new" / "er"), packs.tree(self.src))
        (self.tmp / "file").write_bytes(b"")
        self.refused(1, "file: ", "unpack", self.file, "-C", self.tmp / "file")
        self.refused(4, r"none\.shapepack: No such file", "unpack", "none.shapepack", "-C", self.tmp / "nowhere")
        self.assertFalse((self.tmp / "nowhere").exists())
        self.refused(2, "mount -o source=http://a/b", "unpack", "http://a/b")
        self.refused(2, "only one of", "unpack", "-l", "--verify", self.file)

    def test_selection(self):
        self.fill({"a/1": b"1", "a/2": b"2", "ab/3": b"3", "c": b"4", "e/": b""})
        for chosen, names in ((["a"], ["a/1", "a/2"]), (["./a/", "/c"], ["a/1", "a/2", "c"]), (["a/2", "e"], ["a/2", "e/"]), (["."], None)):
            out = self.fresh("out")
            self.ok("unpack", self.file, "-C", out, *chosen)
            self.assertEqual(sorted(map(os.fsdecode, packs.tree(out))), names or ["a/1", "a/2", "ab/3", "c", "e/"])
        self.told(4, ["a/3: not in the pack", "none: not in the pack"], "unpack", self.file, "-C", self.fresh("out"), "a/3", "c", "none")
        self.assertTrue((self.tmp / "out5" / "c").is_file())
        self.refused(2, r"\.\./c: .*'\.\.'", "unpack", self.file, "-C", self.out, "../c")
        self.told(4, ["none: not in the pack"], "unpack", "-l", self.file, "none")

    def test_what_is_there_already(self):
        self.fill({"same": b"same", "other": b"pack's", "size": b"12345", "large": os.urandom(9 << 20)})
        packs.make(self.out, {"same": b"same", "other": b"user's", "size": b"1"})
        os.utime(self.out / "same", (1, 1))
        said = self.told(3, ["other: another one is there already .*-f", "size: another one is there already .*-f"],
                         "unpack", self.file, "-C", self.out)
        self.assertEqual(said, "2 files, %d bytes; 1 was there already; 2 did not come out\n" % ((9 << 20) + 4))
        self.assertEqual((self.out / "other").read_bytes(), b"user's")
        self.assertEqual((self.out / "same").stat().st_mtime, 1)
        self.assertIn("2 were there already", self.ok("unpack", "-f", self.file, "-C", self.out))
        os.utime(self.out / "same", ns=(0, (self.src / "same").stat().st_mtime_ns))
        self.assertEqual(packs.tree(self.out), packs.tree(self.src))
        with open(self.out / "large", "r+b") as f:
            f.seek(5 << 20)
            f.write(b"x")
        self.told(3, ["large: another one"], "unpack", self.file, "-C", self.out)
        self.assertEqual(json.loads(self.ok("unpack", "-f", "--json", self.file, "-C", self.out)),
                         {"files": 4, "folders": 0, "bytes": (9 << 20) + 15, "there": 3, "failed": 0, "missing": 0})
        self.assertEqual(packs.tree(self.out), packs.tree(self.src))

    def test_only_refused_is_failed(self):
        self.fill({"a": b"a"})
        packs.make(self.out, {"a": b"b"})
        self.told(1, ["a: another one"], "unpack", self.file, "-C", self.out)

    def test_things_in_the_way(self):
        self.fill({"d/a": b"a", "f": b"f", "g": b"g", "h": b"h", "i/j/k": b"k"})
        outside = self.tmp / "outside"
        packs.make(outside, {"g": b"outside"})
        packs.make(self.out, {"f/x": b"x", "h": b"h"})
        os.symlink(outside, self.out / "d")
        os.symlink(outside / "g", self.out / "g")
        packs.make(self.out, {"i": b"a file"})
        lines = ["d: what is there is no folder", "f: Is a directory", "i/j: what is there is no folder"]
        self.told(3, lines + ["g: another one"], "unpack", self.file, "-C", self.out)
        self.told(3, lines, "unpack", "-f", self.file, "-C", self.out)
        self.assertEqual(packs.tree(outside).keys(), {b"g"})
        self.assertEqual((outside / "g").read_bytes(), b"outside")
        self.assertFalse((self.out / "g").is_symlink())
        self.assertEqual((self.out / "g").read_bytes(), b"g")
        self.assertEqual((self.out / "i").read_bytes(), b"a file")

    @harness.needs_root
    def test_full_disk(self):
        self.fill({"a": b"a", "large": os.urandom(9 << 20), "z": b"z"})
        self.out.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", self.out], check=True)
        self.addCleanup(subprocess.run, ["umount", self.out], check=False)
        self.refused(1, "out: No space left on device .*again", "unpack", self.file, "-C", self.out)
        self.assertEqual({k: v[0] for k, v in packs.tree(self.out).items() if k != b"z"}, {b"a": b"a"})
        subprocess.run(["mount", "-o", "remount,size=40m", self.out], check=True)
        self.assertIn("there already", self.ok("unpack", self.file, "-C", self.out))
        self.assertEqual(packs.tree(self.out), packs.tree(self.src))

    def test_resume_after_a_kill(self):
        data = {"%d/%d.bin" % (n % 20, n): os.urandom(1000) * 400 for n in range(400)}
        data["large"] = os.urandom(8 << 20)
        self.fill(data)
        for _ in range(20):
            out = self.fresh("out")
            run = subprocess.Popen(self.command(["unpack", self.file, "-C", out]), env=self.environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while run.poll() is None and not list(out.glob("*/*")):
                time.sleep(0.001)
            run.kill()
            run.wait()
            came = packs.tree(out)
            if len(came) < len(data):
                break
        self.assertTrue(0 < len(came) < len(data))
        whole = packs.tree(self.src)
        for name, what in came.items():
            if not name.endswith(b"/"):
                self.assertEqual(what, whole[name], name)
        said = json.loads(self.ok("unpack", "--json", self.file, "-C", out))
        self.assertEqual((said["files"], said["there"]), (len(data), sum(1 for name in came if not name.endswith(b"/"))))
        self.assertEqual(packs.tree(out), whole)

    def test_list(self):
        self.fill({"s/cube.stl": packs.cube(), "x": b"0" * 5000, "e/": b"", b"\xff\n": b""})
        os.utime(self.src / "x", ns=(0, 1500000000000000007))
        self.ok("pack", "-f", "-o", self.file, ".", cwd=self.src)
        rows = {row["path"]: row for row in json.loads(self.ok("unpack", "-l", "--json", self.file))}
        self.assertEqual(sorted(rows), ["e", "s/cube.stl", "x", "\ufffd\n"])
        cube, edge = rows["s/cube.stl"], packs.CUBE
        self.assertEqual([cube[k] for k in ("type", "health", "binary", "closed", "facets", "vertices", "min", "max", "bytes", "dataset", "licence")],
                         ["file", "ok", False, True, 12, 8, [0, 0, 0], [edge] * 3, len(packs.cube()), None, None])
        self.assertAlmostEqual(cube["surface"], 6 * edge ** 2, places=9)
        self.assertAlmostEqual(cube["volume"], edge ** 3, places=9)
        self.assertEqual(cube["sha256"], hashlib.sha256(packs.cube()).hexdigest())
        x = rows["x"]
        self.assertEqual([x[k] for k in ("bytes", "mtime", "mtime_ns", "health", "url")], [5000, "2017-07-14T02:40:00Z", 7, None, None])
        self.assertTrue(0 < x["packed"] < 100)
        self.assertEqual(rows["\ufffd\n"]["path_hex"], "ff0a")
        self.assertEqual([rows["e"][k] for k in ("type", "sha256", "bytes")], ["folder", None, 0])
        lines = self.ok("unpack", "-l", self.file, "x", "e").splitlines()
        self.assertEqual([line.split() for line in lines], [["BYTES", "PACKED", "MTIME", "DATASET", "PATH"], ["0", "0", lines[1].split()[2], "-", "e/"],
                                                            ["5000", str(x["packed"]), "2017-07-14T02:40:00Z", "-", "x"]])
        self.assertFalse(self.out.exists())

    def test_list_of_what_came_from_somewhere(self):
        self.write([packs.Row("a", b"a", url=b"https://o/a", dataset=b"ASOCA", etag=b'"e"'), packs.Row("b", b"b", dataset=b"Other")],
                   datasets=[("ASOCA", b'{"id": "ASOCA", "licence": "CC-BY-4.0"}'), ("VerSe", b'{"licence": null}')])
        rows = json.loads(self.ok("unpack", "-l", "--json", self.file))
        self.assertEqual([(r["url"], r["etag"], r["dataset"], r["licence"]) for r in rows],
                         [("https://o/a", '"e"', "ASOCA", "CC-BY-4.0"), (None, None, "Other", None)])

    def test_empty_pack(self):
        self.write([])
        self.assertEqual(json.loads(self.ok("unpack", "-l", "--json", self.file)), [])
        self.assertEqual(self.ok("unpack", "-l", self.file), "")
        self.assertEqual(self.ok("unpack", self.file, "-C", self.out), "0 files, 0 bytes\n")

    def test_verify(self):
        self.fill({"a": packs.cube(), "b": os.urandom(9 << 20), "c": b"", "e/": b""})
        said = self.ok("unpack", "--verify", self.file)
        self.assertEqual(said, "3 files, %d bytes, as their SHA-256 say; 1 empty folder\n" % (len(packs.cube()) + (9 << 20)))
        self.assertEqual(sorted(os.listdir(self.tmp)), ["src", "x.shapepack"])
        self.write([packs.Row("a", b"a"), packs.Row("b", b"b", sha256=b"\0" * 32)])
        self.assertIn("1 damaged", self.told(3, ["b: damaged: .*SHA-256"], "unpack", "--verify", self.file))

    def test_progress_on_a_terminal(self):
        self.fill({"a": packs.cube()})
        ours, theirs = pty.openpty()
        run = subprocess.Popen(self.command(["unpack", self.file, "-C", self.out]), env=self.environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=theirs)
        self.assertEqual(run.wait(harness.PATIENCE), 0)
        os.close(theirs)
        text = os.read(ours, 65536).decode()
        os.close(ours)
        self.assertRegex(text, r"\A(\r\x1b\[K[^\n\r]* of [^\n\r]* %)+\r\x1b\[K\Z")

    def test_interrupted(self):
        self.fill({"%d" % n: os.urandom(4 << 20) for n in range(40)})
        run = subprocess.Popen(self.command(["unpack", self.file, "-C", self.out]), env=self.environment(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        while run.poll() is None and not list(self.out.glob("*")):
            time.sleep(0.001)
        run.send_signal(signal.SIGTERM)
        said = run.communicate(timeout=harness.PATIENCE)[1]
        came, whole = packs.tree(self.out), packs.tree(self.src)
        self.assertEqual(came, {name: whole[name] for name in came})
        if run.returncode != 0:  # else it was faster
            self.assertEqual(run.returncode, 1)
            self.assertRegex("\n".join(self.said(said)), r"\Amedshapefs: .*x\.shapepack: interrupted.*\Z")
