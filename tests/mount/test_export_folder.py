"""export --packed of a local folder: what comes back, what is told, what a second run does."""
import fcntl
import os
import pty
import stat
import subprocess
import sys
import unittest

import harness
from mirrors import Mirrors, index, packs

STL = b"solid x\n" + b"facet normal 0 0 1\n outer loop\n  vertex 0 0 0\n  vertex 1 0 0\n  vertex 0 1 0\n endloop\nendfacet\n" * 50 \
    + b"endsolid x\n"
ODD = [b"white space", b"-o", b"new\nline", b"bytes\xff\xfe", "ümläut".encode(), b"back\\slash", b"quote\"'", b"~", b"...", b"%2e"]

# Prints the peak of a command's memory; this process, which it would be forked from, may be large itself.
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=sys.stderr, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def tree(root):
    """{path: (bytes, time) of a file, None of an empty folder}, links and other things left out."""
    found = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        path = os.path.relpath(folder, os.fsencode(root))
        if not folders and not files:
            found[path] = None
        for name in files:
            file = os.path.join(folder, name)
            st = os.lstat(file)
            if stat.S_ISREG(st.st_mode):
                with open(file, "rb") as f:
                    found[os.path.normpath(os.path.join(path, name))] = (f.read(), st.st_mtime_ns)
    return found


class Case(harness.Case, Mirrors):
    def setUp(self):
        super().setUp()
        self.folder, self.mirror = self.tmp / "in", self.tmp / "mirror"
        self.folder.mkdir()

    def put(self, path, data=STL):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file

    def refused(self, *args, status=1, **more):
        """The one line that a refusal is."""
        done = self.export(*args, check=False, **more)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Amedshapefs: [^\n]+\n\Z")
        return done.stderr


class Folder(Case):
    def test_comes_back(self):
        for i, name in enumerate(ODD):
            os.makedirs(os.path.join(os.fsencode(self.folder), b"deep", name), exist_ok=True)
            with open(os.path.join(os.fsencode(self.folder), b"deep", name, name + b".stl"), "wb") as file:
                file.write(STL * i)
        self.put("notes.txt", b"not a shape")
        self.put("large.bin", os.urandom(5000000))
        (self.folder / "empty" / "below").mkdir(parents=True)
        os.symlink("/etc/passwd", self.folder / "link")
        os.symlink(self.folder, self.folder / "loop")
        os.mkfifo(self.folder / "pipe")
        os.utime(self.folder / "notes.txt", ns=(1, 1234567890123456789))
        done = self.export(self.folder, self.mirror)
        for name in ("link", "loop", "pipe"):
            self.assertIn("medshapefs: %s/%s: not a regular file: left out\n" % (self.folder, name), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 3)
        self.assertRegex(done.stdout, r"\A13 files added, 13 in 1 pack: \d.*smaller\)\n\Z")
        self.assertIndexed(self.mirror)
        back = tree(self.unpacked(self.mirror))
        self.assertEqual(back, tree(self.folder))
        self.assertIsNone(back[b"empty/below"])
        self.assertIn("medshapefs mount -o source=", (self.mirror / "README.txt").read_text())

    def test_current_folder_and_mirror_inside(self):
        self.put("a/one.stl")
        self.put("two.stl")
        for expected in (2, 0):
            self.assertEqual(self.added(".", "a/mirror", cwd=self.folder)["added"], expected)
        self.assertEqual(set(self.rows(self.folder / "a" / "mirror")), {"a/one.stl", "two.stl"})
        self.assertEqual(self.added("./", self.mirror, cwd=self.folder / "a")["files"], 5)

    def test_json(self):
        self.put("one.stl")
        told = self.added(self.folder, self.mirror)
        size = (self.mirror / "0001.shapepack").stat().st_size
        self.assertEqual(told, {"added": 1, "failed": 0, "packs": 1, "files": 1, "bytes": len(STL), "packed": size})

    def test_needs_no_configuration(self):
        self.put("one.stl")
        env = dict(self.environment(), MEDSHAPEFS_CONFIG=str(self.tmp / "none.json"))
        self.assertEqual(self.added(self.folder, self.mirror, env=env)["added"], 1)

    def test_nothing_to_export(self):
        self.assertEqual(self.added(self.folder, self.mirror)["packs"], 0)
        self.assertEqual(index(self.mirror)["packs"], [])

    def test_second_run_adds_what_is_new(self):
        for name in ("same", "changed", "goes"):
            self.put(name + ".stl")
        self.put("was-a-file")
        self.put("was-a-folder/x")
        self.export(self.folder, self.mirror)
        before = (self.mirror / "0001.shapepack").read_bytes()
        self.assertEqual(self.added(self.folder, self.mirror)["added"], 0)
        self.assertEqual((self.mirror / "0001.shapepack").read_bytes(), before)
        self.put("changed.stl", STL * 2)
        self.put("new.stl")
        for name in ("goes.stl", "was-a-file", "was-a-folder/x"):
            (self.folder / name).unlink()
        (self.folder / "was-a-folder").rmdir()
        self.put("was-a-file/y")
        self.put("was-a-folder")
        told = self.added(self.folder, self.mirror)
        self.assertEqual((told["added"], told["packs"]), (4, 2))
        self.assertEqual((self.mirror / "0001.shapepack").read_bytes(), before)
        self.assertEqual(self.added(self.folder, self.mirror)["added"], 0)
        self.assertIndexed(self.mirror)
        rows = self.rows(self.mirror)
        self.assertEqual(rows["changed.stl"]["bytes"], 2 * len(STL))
        self.assertLessEqual({"same.stl", "goes.stl", "new.stl", "was-a-file/y", "was-a-folder"}, set(rows))
        copies = self.copies(self.mirror)
        self.assertEqual([copies[p] for p in ("same.stl", "changed.stl", "new.stl")], [1, 2, 1])

    def test_a_pack_that_was_taken_away(self):
        self.put("one.stl")
        self.export(self.folder, self.mirror)
        self.put("one.stl", STL * 2)
        self.export(self.folder, self.mirror)
        self.assertEqual(packs(self.mirror), ["0001.shapepack", "0002.shapepack"])
        (self.mirror / "0001.shapepack").unlink()
        self.put("two.stl")
        told = self.added(self.folder, self.mirror)
        self.assertEqual((told["added"], told["packs"], told["files"]), (1, 2, 2))
        self.assertIndexed(self.mirror)

    def test_progress_on_a_terminal_only(self):
        self.put("one.stl", os.urandom(9000000))
        self.assertEqual(self.export(self.folder, self.mirror).stderr, "")
        ours, theirs = pty.openpty()
        process = subprocess.Popen(self.command(["export", "--packed", self.folder, self.tmp / "other"]), stderr=theirs,
                                   stdout=subprocess.DEVNULL, env=self.environment())
        os.close(theirs)
        seen = b""
        try:
            while part := os.read(ours, 65536):
                seen += part
        except OSError:  # the terminal is gone
            pass
        os.close(ours)
        self.assertEqual(process.wait(harness.PATIENCE), 0)
        self.assertRegex(seen, rb"\r\x1b\[K\d+ files, [\d.]+\w? packed in ")
        self.assertTrue(seen.endswith(b"\r\x1b[K"), seen[-20:])


class Refused(Case):
    def test_usage(self):
        plain = self.program("export", self.folder, self.mirror, check=False)
        self.assertEqual((plain.returncode, plain.stderr.count("\n")), (2, 1))
        self.assertIn("--packed", plain.stderr)
        self.assertIn("S3", self.refused(self.folder, "s3://bucket/x", status=2))
        self.assertIn("a size", self.refused("--pack-size", "many", self.folder, self.mirror, status=2))
        self.assertIn("128M", self.refused("--pack-size", "1M", self.folder, self.mirror, status=2))
        self.assertIn("128M", self.refused("--pack-size=5G", self.folder, self.mirror, status=2))
        self.assertIn("operand", self.refused(status=2))
        self.assertIn("operand", self.refused(self.folder, self.mirror, "more", status=2))
        self.assertFalse(self.mirror.exists())

    def test_options_before_the_command(self):
        self.put("one.stl")
        self.program("--pack-size", "1G", "--packed", "export", self.folder, self.mirror)
        self.assertEqual(packs(self.mirror), ["0001.shapepack"])

    def test_folders_that_do_not_do(self):
        self.assertIn("No such file", self.refused(self.tmp / "none", self.mirror, status=4))
        self.assertIn("not a folder", self.refused(self.put("one.stl"), self.mirror))
        self.assertIn("is exported", self.refused(self.folder, self.folder, status=2))
        self.assertFalse(self.mirror.exists())
        self.assertIn("cannot make the folder", self.refused(self.folder, self.folder / "one.stl" / "x"))
        self.assertEqual([p.name for p in self.folder.iterdir()], ["one.stl"])

    def test_other_index(self):
        self.mirror.mkdir()
        (self.mirror / "index.json").write_text('{"mine": 1}')
        self.assertIn("index.json: it is not of an export", self.refused(self.folder, self.mirror))
        self.assertEqual((self.mirror / "index.json").read_text(), '{"mine": 1}')

    def test_damaged_pack(self):
        self.put("one.stl")
        self.export(self.folder, self.mirror)
        pack = self.mirror / "0001.shapepack"
        data = bytearray(pack.read_bytes())
        data[-80] ^= 1
        pack.write_bytes(data)
        self.assertIn("0001.shapepack: ", self.refused(self.folder, self.mirror))

    def test_two_at_once(self):
        self.put("one.stl")
        self.export(self.folder, self.mirror)
        with open(self.mirror / ".export.lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertIn("another export is writing this folder", self.refused(self.folder, self.mirror))
        self.export(self.folder, self.mirror)


class Trouble(Case):
    @harness.needs_root
    def test_what_cannot_be_read(self):
        user = self.user()
        for path in ("good.stl", "bad.stl", "folder/lost.stl"):
            self.put(path)
        os.chmod(self.folder / "bad.stl", 0)
        os.chmod(self.folder / "folder", 0)
        mirror = self.tmp / ("home-" + user) / "mirror"
        done = self.export(self.folder, mirror, user=user, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("medshapefs: bad.stl: Permission denied\n", done.stderr)
        self.assertIn("medshapefs: %s/folder: Permission denied\n" % self.folder, done.stderr)
        self.assertIn("2 could not be had", done.stdout)
        self.assertEqual(set(self.rows(mirror)), {"good.stl"})
        os.chmod(self.folder / "bad.stl", 0o644)
        os.chmod(self.folder / "folder", 0o755)
        self.assertEqual(self.added(self.folder, mirror, user=user)["added"], 2)
        self.assertIndexed(mirror)

    @harness.needs_root
    def test_only_unreadable(self):
        user = self.user()
        os.chmod(self.put("bad.stl"), 0)
        mirror = self.tmp / ("home-" + user) / "mirror"
        self.assertEqual(self.export(self.folder, mirror, user=user, check=False).returncode, 3)
        self.assertEqual(packs(mirror), [])

    @harness.needs_root
    def test_not_writable(self):
        user = self.user()
        self.put("one.stl")
        self.assertIn("cannot make the folder: Permission denied", self.refused(self.folder, self.mirror, user=user))
        self.mirror.mkdir()
        self.assertIn("cannot be written: Permission denied", self.refused(self.folder, self.mirror, user=user))

    @harness.needs_root
    def test_disk_full(self):
        self.mirror.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", self.mirror], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.mirror], check=False)
        for i in range(12):
            self.put("%02d.bin" % i, os.urandom(3000000))
        error = self.refused(self.folder, self.mirror)
        self.assertIn("No space left on device (make room", error)
        first = self.rows(self.mirror)
        self.assertGreater(len(first), 0)
        self.program("unpack", "--verify", self.mirror / "0001.shapepack")
        self.assertIn("No space left on device", self.refused(self.folder, self.mirror))
        self.assertLessEqual(set(first), set(self.rows(self.mirror)))
        subprocess.run(["mount", "-o", "remount,size=64m", self.mirror], check=True)
        self.export(self.folder, self.mirror)
        self.assertEqual(tree(self.unpacked(self.mirror)), tree(self.folder))
        self.assertEqual(set(self.copies(self.mirror).values()), {1})
        self.assertIndexed(self.mirror)

    @harness.large
    def test_memory_and_pack_size(self):
        for i in range(4):
            with open(self.folder / ("%d.bin" % i), "wb") as out:
                for _ in range(10):
                    out.write(os.urandom(10000000))
        command = self.command(["export", "--packed", "--pack-size", "128M", self.folder, self.mirror])
        done = subprocess.run([sys.executable, "-c", PEAK, *command], env=self.environment(), stdout=subprocess.PIPE, check=True)
        self.assertLess(int(done.stdout), 110 * 1024)
        self.assertIndexed(self.mirror)
        sizes = [(self.mirror / name).stat().st_size for name in packs(self.mirror)]
        self.assertEqual(len(sizes), 4)
        self.assertLessEqual(max(sizes), 128 << 20)
        self.assertEqual(tree(self.unpacked(self.mirror)), tree(self.folder))


if __name__ == "__main__":
    unittest.main()
