"""An ordinary user through fusermount3; how a daemon ends, and what keeps it from beginning."""
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

import harness

WITHIN = 2 * int(os.environ.get("MSFS_SLOWDOWN", "1"))  # seconds for a signal to unmount


class Origin(harness.Case):
    """A list with good files and one that stalls after its first bytes."""

    def setUp(self):
        super().setUp()
        self.origin = self.faultd()
        self.origin.post("/_put?path=/list.txt", "".join(self.origin.url(p) + "\n" for p in ("/face_1.stl", "/face_2.stl", "/!stall=1000/face_3.stl",
                                                                                             "/!stallhead/face_4.stl")))
        self.settings = {"sources": [harness.manifest(self.origin.url("/list.txt"))], "network": {"timeout": "60s", "retry_for": "120s"}}

    def file(self, mount, n=1):
        return mount.path / "datasets" / "FacialModels" / ("face_%d.stl" % n)

    def until(self, condition, what):
        end = time.monotonic() + harness.PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.01)

    def reader(self, mount, n):
        """`cat` of a file that stalls, once its request has come to the server."""
        before = self.origin.count()
        cat = subprocess.Popen(["cat", self.file(mount, n)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(cat.stderr.close)
        self.addCleanup(cat.wait)
        self.addCleanup(cat.kill)
        self.until(lambda: self.origin.count() > before, "no request")
        return cat


@harness.needs_root
class OrdinaryUser(Origin):
    def setUp(self):
        super().setUp()
        self.name = self.user()
        self.config_path = self.config({**self.settings, "cache": {"dir": str(self.tmp / ("home-" + self.name) / "cache" / "msfs")}})

    def in_kernel(self, path):
        """The user's mounts at that point."""
        return [m for m in harness.mounts_below(self.tmp) if m == str(path)]

    def read(self, mount, n=1):
        done = self.as_user(self.name, "sha256sum", self.file(mount, n))
        self.assertEqual(done.stderr, "")
        return done.stdout.split()[0]

    def test_mount_read_unmount(self):
        mount = self.mount(self.config_path, user=self.name)
        self.assertEqual(os.stat("/proc/%d" % mount.pid).st_uid, self.uid())
        said = self.as_user(self.name, "stat", "-c", "%U %a", self.file(mount), mount.path).stdout.split("\n")[:-1]
        self.assertEqual(said, [self.name + " 444", self.name + " 555"])
        line = next(x for x in open("/proc/self/mounts", encoding="utf-8") if x.split()[1] == str(mount.path))
        self.assertIn("user_id=%d," % self.uid(), line)
        self.read(mount)
        self.assertEqual(self.as_user(self.name, "find", mount.path, "-name", "face_?.stl").stdout.count("\n"), 8)
        status = self.program("status", mount.path, user=self.name).stdout
        self.assertIn("answers (pid %d" % mount.pid, status)
        mount.unmount()
        self.assertEqual(self.in_kernel(mount.path), [])

    def uid(self):
        return int(subprocess.run(["id", "-u", self.name], check=True, capture_output=True).stdout)

    def test_ctrl_c(self):
        mount = self.mount(self.config_path, user=self.name, foreground=True)
        self.read(mount)
        begun = time.monotonic()
        self.assertEqual(mount.kill(signal.SIGINT), 0)
        self.assertLess(time.monotonic() - begun, WITHIN)
        self.assertEqual(self.in_kernel(mount.path), [])

    def test_kill_and_mount_again(self):
        mount = self.mount(self.config_path, user=self.name)
        first = self.read(mount)
        mount.kill()
        self.assertEqual(len(self.in_kernel(mount.path)), 1, "kill -9 leaves the mount point")
        self.assertIn("not connected", self.as_user(self.name, "ls", mount.path).stderr)
        again = self.mount(self.config_path, user=self.name, path=mount.path)
        self.assertEqual(len(self.in_kernel(mount.path)), 1, "the dead mount is cleared, not covered")
        self.assertEqual(self.read(again), first)
        again.unmount()
        self.assertEqual(self.in_kernel(mount.path), [])

    def test_kill_and_unmount(self):
        mount = self.mount(self.config_path, user=self.name)
        mount.kill()
        self.program("unmount", mount.path, user=self.name)
        self.assertEqual(self.in_kernel(mount.path), [])

    def test_unmount_while_busy(self):
        mount = self.mount(self.config_path, user=self.name)
        holder = subprocess.Popen(["runuser", "-u", self.name, "--", "sh", "-c", "cd '%s' && echo in && read x" % mount.path],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(holder.communicate)
        self.assertEqual(holder.stdout.readline(), b"in\n")
        self.program("unmount", mount.path, user=self.name)
        self.assertEqual(self.in_kernel(mount.path), [])
        holder.communicate()
        self.assertEqual(mount.ended(), 0)

    def test_another_users_mount_is_not_unmounted(self):
        mount = self.mount(self.settings)
        said = self.program("unmount", mount.path, user=self.name, check=False)
        self.assertNotEqual(said.returncode, 0)
        self.assertRegex(said.stderr, r"\Amedshapefs: .+\n\Z")
        self.assertTrue(mount.mounted())

    def test_allow_other_needs_the_administrator(self):
        conf = pathlib.Path("/etc/fuse.conf")
        if conf.exists() and any(x.strip() == "user_allow_other" for x in conf.read_text().splitlines()):
            self.skipTest("user_allow_other is set on this machine")
        said = self.program("mount", "-o", "config=%s,allow_other" % self.config_path, self.mountpoint(self.name), user=self.name, check=False)
        self.assertEqual(said.returncode, 1)
        self.assertIn("user_allow_other", said.stderr)

    def test_a_folder_of_somebody_else(self):
        said = self.program("mount", "-o", "config=%s" % self.config_path, self.mountpoint(), user=self.name, check=False)
        self.assertEqual(said.returncode, 1)
        self.assertRegex(said.stderr, r"(?m)^medshapefs: .*(yours|cannot be mounted)")


class Refused(Origin):
    def refused(self, pattern, *args, before=()):
        done = subprocess.run([*before, *self.command(args)], cwd=self.tmp, env=self.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=harness.PATIENCE, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, pattern)
        self.assertEqual(len([x for x in done.stderr.splitlines() if x.startswith("medshapefs: ")]), 1, done.stderr)
        return done.stderr

    def test_two_daemons_on_one_cache(self):
        path = self.config(self.settings)
        mount = self.mount(path)
        for flags in ([], ["-f"]):
            self.refused(r"pid %d\b.*%s\b" % (mount.pid, mount.path), "mount", *flags, "-o", "config=%s" % path, self.mountpoint())
        self.file(mount).read_bytes()
        mount.kill()
        self.mount(path)  # its lock went with it

    def test_two_daemons_on_two_caches(self):
        first, second = self.mount(self.config(self.settings)), self.mount(self.config({**self.settings, "cache": {"dir": str(self.tmp / "c2")}}))
        self.assertEqual(self.file(first).read_bytes(), self.file(second).read_bytes())

    def test_cache_on_a_network_file_system(self):
        folder = self.foreign_fuse()
        path = self.config({**self.settings, "cache": {"dir": str(folder)}})
        said = self.refused("network file system.*fuse", "mount", "-o", "config=%s" % path, self.mountpoint())
        self.assertRegex(said, r"\(medshapefs \w+ -o cache=/\S+")

    def foreign_fuse(self):
        """A mount of FUSE that is not ours: the benchmark's floor where it is built, else rclone."""
        floor = harness.BIN.parent / "tests" / "bench" / "floorfs"
        point, data = self.mountpoint(), self.tmp / "data"
        data.mkdir()
        (data / "file").write_text("x")
        if floor.exists():
            command = [str(floor), str(data), str(point)]
        elif shutil.which("rclone"):
            command = ["rclone", "mount", "--config", "/dev/null", str(data), str(point)]
        else:
            raise unittest.SkipTest("NOT TESTED: neither %s nor rclone is there to make a foreign FUSE mount" % floor)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        self.until(lambda: str(point) in harness.mounts_below(self.tmp), "no foreign mount")
        return point

    @harness.needs_root
    def test_without_dev_fuse(self):
        path = self.config(self.settings)
        self.program("refresh", "--config", path)
        script = ('mount -t tmpfs none "$1" && for d in null zero urandom; do touch "$1/$d" && mount --bind /dev/$d "$1/$d"; done && '
                  'mount --move "$1" /dev && shift && exec "$@"')
        hide = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", str(self.mountpoint())]
        for flags in ([], ["-f"]):
            self.refused("/dev/fuse", "mount", *flags, "-o", "config=%s" % path, self.mountpoint(), before=hide)

    def test_failures_of_the_daemon_are_told_on_the_terminal(self):
        path = self.config({**self.settings, "cache": {"dir": "/proc/none/cache"}})
        self.refused("/proc/none", "mount", "-o", "config=%s" % path, self.mountpoint())
        path = self.config(self.settings)
        self.program("refresh", "--config", path)
        catalog = next((self.tmp / "cache").rglob("catalog.mdb"))
        os.truncate(catalog, 100)
        mnt = self.mountpoint()
        self.program("mount", "-o", "config=%s" % path, mnt, check=False)
        self.assertTrue(os.listdir(mnt) or harness.mounts_below(self.tmp) == [])


class Ending(Origin):
    concurrent = True

    def test_signals(self):
        for how, foreground in ((signal.SIGTERM, False), (signal.SIGINT, False), (signal.SIGTERM, True), (signal.SIGINT, True),
                                (signal.SIGHUP, True)):
            with self.subTest(how=how.name, foreground=foreground):
                mount = self.mount(self.settings, foreground=foreground)
                self.file(mount).read_bytes()
                self.timely_end(mount, how)

    def timely_end(self, mount, how):
        begun = time.monotonic()
        self.assertEqual(mount.kill(how), 0)
        self.assertLess(time.monotonic() - begun, WITHIN)
        self.assertFalse(mount.mounted())

    def test_hangup_leaves_a_daemon_alone(self):
        mount = self.mount(self.settings)
        os.kill(mount.pid, signal.SIGHUP)
        self.assertTrue(self.file(mount).read_bytes())
        self.assertEqual(os.getsid(mount.pid), mount.pid)

    def test_signals_while_readers_wait(self):
        for how in (signal.SIGTERM, signal.SIGINT):
            for foreground in (False, True):
                with self.subTest(how=how.name, foreground=foreground):
                    mount = self.mount(self.settings, foreground=foreground)
                    readers = [self.reader(mount, 3), self.reader(mount, 4)]
                    self.timely_end(mount, how)
                    for cat in readers:
                        self.assertNotEqual(cat.wait(harness.PATIENCE), 0, "its read failed")

    def test_unmount_while_readers_wait(self):
        mount = self.mount(self.settings)
        cat = self.reader(mount, 3)
        mount.case.program("unmount", mount.path)
        self.assertFalse(mount.mounted(), "lazily")
        cat.kill()
        cat.wait()
        self.assertEqual(mount.ended(), 0)

    def test_unmount_while_busy(self):
        mount = self.mount(self.settings)
        with open(self.file(mount), "rb", buffering=0) as f:
            self.assertEqual(len(f.read(10)), 10)
            self.program("unmount", mount.path)
            self.assertFalse(mount.mounted())
            self.assertEqual(len(f.read(10)), 10, "who is in it goes on")
        self.assertEqual(mount.ended(), 0)

    def test_signal_while_busy(self):
        mount = self.mount(self.settings)
        fd = os.open(self.file(mount), os.O_RDONLY)
        try:
            os.read(fd, 10)
            self.timely_end(mount, signal.SIGTERM)
        finally:
            with self.assertRaisesRegex(OSError, "not connected"):
                os.close(fd)  # which asks a daemon that is gone

    def test_a_waiting_reader_can_be_killed(self):
        mount = self.mount(self.settings)
        for n in (3, 4):
            cat = self.reader(mount, n)
            begun = time.monotonic()
            cat.kill()
            self.assertEqual(cat.wait(harness.PATIENCE), -signal.SIGKILL)
            self.assertLess(time.monotonic() - begun, WITHIN)
        self.assertTrue(self.file(mount).read_bytes(), "the mount goes on")

    def test_signal_while_the_first_refresh_waits(self):
        self.origin.post("/_rule", prefix="/list.txt", do="stallhead")
        messages = open(self.tmp / "out", "wb")
        self.addCleanup(messages.close)
        point = self.mountpoint()
        run = subprocess.Popen(self.command(["mount", "-f", "-o", "config=%s" % self.config(self.settings), point]), cwd=self.tmp,
                               env=self.environment(), stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, start_new_session=True)
        self.until(lambda: self.origin.get("/_stat").find(b'"in_flight": 1') >= 0, "no request for the list")
        begun = time.monotonic()
        os.killpg(run.pid, signal.SIGINT)  # as a terminal sends Ctrl-C
        self.assertNotEqual(run.wait(harness.PATIENCE), 0)
        self.assertLess(time.monotonic() - begun, WITHIN)
        self.assertEqual(harness.mounts_below(self.tmp), [])
