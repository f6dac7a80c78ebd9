"""A mount from its beginning to its end: background, foreground, signals, kill -9, an ordinary user."""
import os
import signal

import harness


class Lifecycle(harness.Case):
    concurrent = True

    def setUp(self):
        super().setUp()
        self.share = self.davd("--make", "12", "--size", "300000")
        self.settings = {"sources": [harness.manifest(self.share.url("/list.txt"))]}

    def shapes(self, mount):
        return sorted((mount.path / "datasets" / "unsorted").glob("*.stl"))

    def test_mount_read_unmount(self):
        mount = self.mount(self.settings)
        shapes = self.shapes(mount)
        self.assertEqual([p.name for p in shapes], ["shape_%07d.stl" % i for i in range(12)])
        self.assertEqual(len(shapes[0].read_bytes()), shapes[0].stat().st_size)
        mount.unmount()
        self.assertFalse(mount.mounted())
        self.assertEqual(os.listdir(mount.path), [])

    def test_signals_unmount(self):
        for how, foreground in ((signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGHUP, True)):
            with self.subTest(how=how.name):
                mount = self.mount(self.settings, foreground=foreground)
                self.assertTrue(self.shapes(mount))
                self.assertEqual(mount.kill(how), 0)
                self.assertFalse(mount.mounted())

    def test_a_dead_mount_point_is_cleared_and_the_cache_is_kept(self):
        path = self.config(self.settings)
        mount = self.mount(path)
        first = self.shapes(mount)[0].read_bytes()
        self.assertEqual(mount.kill(), -signal.SIGKILL)
        with self.assertRaises(OSError):
            os.listdir(mount.path)
        self.share.reset()
        again = self.mount(path, path=mount.path)
        self.assertEqual(self.shapes(again)[0].read_bytes(), first)
        again.unmount()

    def test_a_second_daemon_is_refused(self):
        path = self.config(self.settings)
        mount = self.mount(path)
        second = self.program("mount", "-o", "config=%s" % path, self.mountpoint(), check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn(str(mount.path), second.stderr)
        self.assertIn(str(mount.pid), second.stderr)

    def test_failures_are_told_on_the_terminal(self):
        gone = {"sources": [harness.manifest(self.share.url("/gone.txt"))]}
        refused = self.program("mount", "-o", "config=%s" % self.config(gone), self.mountpoint(), check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertRegex(refused.stderr, "(?m)^medshapefs: .*404")
        refused = self.program("mount", "-o", "config=%s,frob" % self.config(gone), self.mountpoint(), check=False)
        self.assertRegex(refused.stderr, "^medshapefs: frob: no such mount option")


@harness.needs_root
class OrdinaryUser(harness.Case):
    def setUp(self):
        super().setUp()
        self.share = self.davd("--make", "3", "--size", "300000")
        self.name = self.user()
        cache = self.tmp / ("home-" + self.name) / "cache"
        self.path = self.config({"sources": [harness.manifest(self.share.url("/list.txt"))], "cache": {"dir": str(cache)}})

    def read(self, mount):
        done = self.as_user(self.name, "sh", "-c", "cat '%s'/datasets/unsorted/*.stl | wc -c" % mount.path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        want = sum(int(r["sent"]) for r in self.share.requests("GET", "shape_"))
        return int(done.stdout), want

    def test_background(self):
        mount = self.mount(self.path, user=self.name)
        got, sent = self.read(mount)
        self.assertEqual(got, sent)
        with self.assertRaises(PermissionError):
            os.listdir(mount.path)  # root is kept out without allow_other
        mount.unmount()
        self.assertFalse(mount.mounted())

    def test_ctrl_c_kill_and_mount_again(self):
        mount = self.mount(self.path, user=self.name, foreground=True)
        self.read(mount)
        self.assertEqual(mount.kill(signal.SIGINT), 0)
        self.assertFalse(mount.mounted())
        mount = self.mount(self.path, user=self.name, path=mount.path)
        mount.kill()
        again = self.mount(self.path, user=self.name, path=mount.path)
        self.share.reset()
        got, sent = self.read(again)
        self.assertGreater(got, 0)
        self.assertEqual(sent, 0, "what was read before is in the cache")
        again.unmount()
