"""medshapefs pack: names, order, what is left out, what is refused, and what it takes."""
import json
import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import harness
import packs


class Pack(packs.PackCase):
    def paths(self, file=None):
        return [row["path"] for row in json.loads(self.ok("unpack", "-l", "--json", file or self.file))]

    def test_names_are_kept_as_tar_keeps_them(self):
        packs.make(self.src, {"a/b.stl": packs.cube(), "c": b"c"})
        for given, path in (("a/b.stl", "a/b.stl"), ("./a", "a/b.stl"), (".//a/./", "a/b.stl"), (self.src / "c", str(self.src / "c")[1:])):
            self.ok("pack", "-f", "-o", self.file, given, cwd=self.src)
            self.assertEqual(self.paths(), [path], given)
        self.ok("pack", "-f", "-o", self.file, ".", cwd=self.src)
        self.assertEqual(self.paths(), ["a/b.stl", "c"])

    def test_paths_that_are_refused(self):
        packs.make(self.src, {"a/b": b"b"})
        self.refused(2, r"a/\.\./a: .*'\.\.'", "pack", "-o", self.file, "a/../a", cwd=self.src)
        self.refused(2, r"\.\.: .*'\.\.'", "pack", "-o", self.file, "..", cwd=self.src)
        self.refused(4, "none: No such file", "pack", "-o", self.file, "a", "none", cwd=self.src)
        self.refused(4, "none: No such file", "pack", "none", cwd=self.src)
        for twice in (("a", "a"), ("a", "./a/b"), (".", "a"), ("a/b", "a/b")):
            self.refused(2, "twice", "pack", "-o", self.file, *twice, cwd=self.src)
        self.refused(2, "-o", "pack", "/")
        self.refused(2, "operand is missing", "pack", "-o", self.file)
        self.assertEqual(sorted(os.listdir(self.tmp)), ["src"])

    def test_default_name(self):
        packs.make(self.src, {"sub/a": b"a"})
        self.ok("pack", "sub/", cwd=self.src)
        self.ok("pack", ".", cwd=self.src / "sub")
        self.ok("pack", self.src / "sub" / "a", cwd=self.tmp)
        self.assertTrue((self.src / "sub.shapepack").is_file())
        self.assertTrue((self.src / "sub" / "sub.shapepack").is_file())
        self.assertTrue((self.tmp / "a.shapepack").is_file())

    def test_nothing_is_overwritten_without_f(self):
        packs.make(self.src, {"a": b"a"})
        self.file.write_bytes(b"mine")
        self.refused(1, r"x\.shapepack: .*-f", "pack", "-o", self.file, "a", cwd=self.src)
        self.assertEqual(self.file.read_bytes(), b"mine")
        self.ok("pack", "-o", self.file, "-f", "a", cwd=self.src)
        self.assertEqual(self.paths(), ["a"])
        self.assertEqual(os.listdir(self.tmp), sorted(os.listdir(self.tmp), key=["src", "x.shapepack"].index))

    def test_what_is_no_file_is_left_out(self):
        packs.make(self.src, {"d/a": b"a", "only-links/x": b""})
        os.symlink("a", self.src / "d" / "link")
        os.symlink("/", self.src / "d" / "root")
        os.mkfifo(self.src / "d" / "fifo")
        os.remove(self.src / "only-links" / "x")
        os.symlink("none", self.src / "only-links" / "x")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(self.src / "d" / "sock"))
        left = ["d/link", "d/root", "d/fifo", "d/sock", "only-links/x"]
        said = self.told(0, ["%s: not a regular file: left out" % name for name in left], "pack", "-o", self.file, "d", "only-links", cwd=self.src)
        self.assertIn("5 left out", said)
        self.assertEqual(self.paths(), ["d/a", "only-links"])
        self.told(1, ["link: not a regular", "nothing to pack"], "pack", "-f", "-o", self.file, self.src / "d" / "link")
        self.assertEqual(self.paths(), ["d/a", "only-links"])

    def test_not_into_itself(self):
        packs.make(self.src, {"a": b"a"})
        self.ok("pack", "-o", "self.shapepack", ".", cwd=self.src)
        self.assertEqual(self.paths(self.src / "self.shapepack"), ["a"])
        self.told(0, [r"self\.shapepack: .*left out"], "pack", "-f", "-o", "self.shapepack", ".", cwd=self.src)
        self.assertEqual(self.paths(self.src / "self.shapepack"), ["a"])
        self.assertEqual(sorted(os.listdir(self.src)), ["a", "self.shapepack"])

    def test_small_files_of_a_folder_lie_together(self):
        files = {name: os.urandom(5 << 20 if name == "a/2" else 99) for name in ("a/1", "a/2", "a/3/x", "a/4", "5")}
        packs.make(self.src, files)
        self.ok("pack", "-o", self.file, ".", cwd=self.src)
        whole = self.file.read_bytes()
        order = sorted(files, key=lambda name: whole.index(files[name][:64]))
        self.assertEqual(order, ["5", "a/1", "a/4", "a/2", "a/3/x"])

    def test_a_file_that_changes_or_vanishes(self):
        packs.make(self.src, {"a": b"a", "z/grows": os.urandom(32 << 20)})
        # A file of /proc has no length, and more bytes than that when it is read.
        done = self.told(3, ["proc/version: changed while it was read"], "pack", "-o", self.file, "a", "/proc/version", cwd=self.src)
        self.assertIn("1 could not be read", done)
        self.assertEqual(self.paths(), ["a"])
        begun, end = threading.Event(), threading.Event()

        def grow():
            with open(self.src / "z" / "grows", "ab") as out:
                while not end.is_set():
                    out.write(b"more")
                    out.flush()
                    begun.set()
        thread = threading.Thread(target=grow)
        thread.start()
        begun.wait()
        try:
            self.told(3, ["z/grows: changed while it was read"], "pack", "-f", "-o", self.file, ".", cwd=self.src)
        finally:
            end.set()
            thread.join()
        self.assertEqual(self.paths(), ["a", "z"])

    @harness.needs_root
    def test_what_cannot_be_read(self):
        user = self.user()
        packs.make(self.src, {"a": b"a", "b": b"b", "c/d": b"d"})
        os.chmod(self.src / "b", 0)
        os.chmod(self.src / "c", 0)
        os.chmod(self.tmp, 0o777)
        self.told(3, ["b: Permission denied", "c: Permission denied"], "pack", "-o", self.file, ".", cwd=self.src, user=user)
        self.assertEqual(self.paths(), ["a"])

    def test_deep_folders(self):
        path = "/".join(["d"] * 300) + "/file"
        packs.make(self.src, {path: b"deep"})
        few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096))
        self.ok("pack", "-o", self.file, ".", cwd=self.src, preexec_fn=few)
        self.assertEqual(self.paths(), [path])
        self.ok("unpack", self.file, "-C", self.out, preexec_fn=few)
        self.assertEqual(packs.tree(self.out), packs.tree(self.src))

    def test_json(self):
        packs.make(self.src, {"a": packs.cube(), "e/": b""})
        said = json.loads(self.ok("pack", "--json", "--small", "-o", self.file, ".", cwd=self.src))
        size = self.file.stat().st_size
        self.assertEqual(said, {"pack": str(self.file), "files": 1, "folders": 1, "bytes": len(packs.cube()), "packed": size,
                                "ratio": round(len(packs.cube()) / size, 3), "skipped": 0, "failed": 0})

    def test_text(self):
        packs.make(self.src, {"a": b"0" * 100000, "e/": b""})
        said = self.ok("pack", "-o", self.file, ".", cwd=self.src)
        self.assertRegex(said, r"\A.*x\.shapepack: 1 file, 100000 bytes, packed in %d \([\d.]+ times smaller\); 1 empty folder\n\Z"
                         % self.file.stat().st_size)

    def test_progress_on_a_terminal(self):
        packs.make(self.src, {"a": packs.cube()})
        ours, theirs = pty.openpty()
        run = subprocess.Popen(self.command(["pack", "-o", self.file, self.src]), env=self.environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=theirs)
        self.assertEqual(run.wait(harness.PATIENCE), 0)
        os.close(theirs)
        text = os.read(ours, 65536).decode()
        os.close(ours)
        self.assertRegex(text, r"\A(\r\x1b\[K[^\n\r]* packed in [^\n\r]*)+\r\x1b\[K\Z")

    def interrupt(self, how):
        """Signals a pack that is being written; its exit status and what it said."""
        run = subprocess.Popen(self.command(["pack", "--small", "-o", self.file, self.src]), env=self.environment(),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        partial = str(self.file) + ".partial"
        while run.poll() is None and not (os.path.exists(partial) and os.path.getsize(partial) > 100):
            time.sleep(0.001)
        run.send_signal(how)
        said = run.communicate(timeout=harness.PATIENCE)[1]
        return run.returncode, self.said(said)

    def test_interrupted_and_killed(self):
        packs.write_large(self.src / "large.stl", 60 << 20)
        status, said = self.interrupt(signal.SIGINT)
        self.assertEqual(status, 1)
        self.assertRegex(said[0], r"\Amedshapefs: .*x\.shapepack: interrupted")
        self.assertEqual(len(said), 1)
        self.assertEqual(os.listdir(self.tmp), ["src"])
        self.assertEqual(self.interrupt(signal.SIGKILL), (-signal.SIGKILL, []))
        self.assertFalse(self.file.exists())
        self.ok("pack", "-o", self.file, self.src)
        self.assertEqual(sorted(os.listdir(self.tmp)), ["src", "x.shapepack"])
        self.ok("unpack", "--verify", self.file)

    def test_where_the_pack_cannot_be(self):
        packs.make(self.src, {"a": b"a"})
        self.refused(4, r"none/x\S*: No such file", "pack", "-o", self.tmp / "none" / "x", self.src)
        self.refused(1, "is it there|already|directory", "pack", "-o", self.src, self.src / "a")


class FromMount(packs.PackCase):
    def test_url_and_dataset_come_along(self):
        server = self.davd("--make", "5")
        for options, known in (("xattr", True), ("", False)):
            mount = self.mount({"sources": [harness.manifest(server.url("/list.txt"))]}, options=options)
            self.ok("pack", "-f", "-o", self.file, "datasets", cwd=mount.path)
            rows = json.loads(self.ok("unpack", "-l", "--json", self.file))
            shapes = [row for row in rows if row["path"].endswith(".stl")]
            self.assertEqual(len(shapes), 5)
            for row in shapes:
                self.assertEqual(row["dataset"], row["path"].split("/")[1] if known else None)
                self.assertEqual((row["url"] or "").startswith(server.url("/")), known, row)
            self.ok("unpack", "-f", self.file, "-C", self.out)
            self.assertEqual({k: v[0] for k, v in packs.tree(self.out / "datasets").items()},
                             {k: v[0] for k, v in packs.tree(mount.path / "datasets").items()})
            mount.unmount()


@harness.large
class Large(packs.PackCase):
    limit = 120

    def peak(self, *args):
        """Runs it; the most memory that it held. A small process starts it: what this one holds would count, too."""
        small = "import os, sys; pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:]); end = os.wait4(pid, 0); " \
                "print(end[2].ru_maxrss * 1024); sys.exit(end[1] != 0)"
        done = subprocess.run([sys.executable, "-S", "-c", small, *self.command(args)], env=self.environment(), cwd=self.tmp, check=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return int(done.stdout.splitlines()[-1])

    def test_memory(self):
        size = 600 << 20
        packs.write_large(self.src / "large.stl", size)
        # A thread that packs takes some 36 MiB.
        self.assertLess(self.peak("pack", "-o", self.file, self.src), (32 + 36 * min(os.cpu_count(), 16)) << 20)
        self.assertLess(self.peak("unpack", self.file, "-C", self.out), 100 << 20)
        self.assertLess(self.peak("unpack", "--verify", self.file), 100 << 20)
        made = next(self.out.rglob("large.stl"))
        subprocess.run(["cmp", self.src / "large.stl", made], check=True)
