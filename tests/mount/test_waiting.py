"""Readers that wait for an origin that is silent: nobody else waits with them, and each of them can be killed."""
import os
import signal
import subprocess
import sys
import time

import harness
from origin import SLOW, Case, expected, until

READERS = 200
STEP = 256 << 10
# Threads that read a page each, told by the lines of the standard input; a line when all are at it.
READER = """
import os, sys, threading
path, step, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fd = os.open(path, os.O_RDONLY)
gate = threading.Barrier(count + 1)
def one(i):
    gate.wait()
    try:
        os.pread(fd, 4096, i * step)
    except OSError:
        pass
for i in range(count):
    threading.Thread(target=one, args=(i,), daemon=True).start()
gate.wait()
print("reading", flush=True)
for t in threading.enumerate():
    if t is not threading.current_thread():
        t.join()
"""


class Waiting(Case):
    concurrent = True

    def setUp(self):
        super().setUp()
        names = ["stalled.stl", "cached.stl"] + ["more%02d.stl" % i for i in range(20)]
        long = self.settings(network={"timeout": "30s", "retry_for": "60s"})
        self.mnt = self.mount_names(names, {"stalled.stl": READERS * STEP + 4096}, settings=long)
        self.assertRight(self.mnt, "cached.stl")
        self.fault("stalled.stl", "stall=0")
        self.addCleanup(self.origin.reset)

    def readers(self, step, count=READERS):
        process = subprocess.Popen([sys.executable, "-c", READER, str(self.file(self.mnt, "stalled.stl")), str(step), str(count)],
                                   stdout=subprocess.PIPE, env=self.environment())
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), b"reading\n")
        self.assertTrue(until(lambda: self.origin.get("/_stat") and self.running() > 0))
        return process

    def running(self):
        return self.mnt.json()["network"]["running"]

    def within_a_second(self, what, *args, **more):
        begun = time.monotonic()
        out = what(*args, **more)
        self.assertLess(time.monotonic() - begun, SLOW)
        return out

    def check_nobody_else_waits(self):
        folder = self.mnt.path / "datasets" / "unsorted"
        listing = self.within_a_second(subprocess.run, ["ls", "-l", folder], capture_output=True, text=True, check=True, timeout=30)
        self.assertEqual(len(listing.stdout.splitlines()), 22 + 5)  # and the generated files, the total
        self.assertTrue(self.within_a_second(os.stat, folder / "stalled.stl"))
        self.assertRaises(FileNotFoundError, self.within_a_second, os.stat, folder / "none.stl")
        data = self.within_a_second((folder / "cached.stl").read_bytes)
        self.assertRight(self.mnt, "cached.stl", data)

    def end_by_unmount(self, process):
        self.within_a_second(self.program, "unmount", self.mnt.path)
        self.assertFalse(self.mnt.mounted())
        process.kill()
        process.wait(10 * SLOW)
        self.assertEqual(self.mnt.ended(10 * SLOW), 0)

    def test_readers_of_many_places(self):
        process = self.readers(STEP)
        self.check_nobody_else_waits()
        self.end_by_unmount(process)

    def test_readers_of_one_place(self):
        process = self.readers(0)
        self.check_nobody_else_waits()
        self.end_by_unmount(process)

    def test_a_reader_can_be_killed(self):
        for step in (STEP, 0):
            process = self.readers(step)
            process.kill()
            self.within_a_second(process.wait, 30)
        self.check_nobody_else_waits()
        self.fault("stalled.stl", "")
        self.origin.post("/_release")
        with open(self.file(self.mnt, "stalled.stl"), "rb") as f:
            self.assertEqual(f.read(1 << 20), expected("stalled.stl", 0, 1 << 20))

    def test_a_stat_that_waits_can_be_killed(self):
        self.put_list(["unknown.stl", "cached.stl"])
        self.rule("/unknown.stl", "stallhead")
        self.program("refresh", "--force", "-o", "config=%s" % self.path)
        path = self.file(self.mnt, "unknown.stl")
        self.assertTrue(until(lambda: "unknown.stl" in os.listdir(path.parent)))
        process = subprocess.Popen(["stat", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        self.assertTrue(until(lambda: self.origin.count(None, "/unknown.stl") > 0))
        self.assertRight(self.mnt, "cached.stl")
        process.kill()
        self.within_a_second(process.wait, 30)
        self.assertEqual(process.returncode, -signal.SIGKILL)

    def test_sigterm_while_they_wait(self):
        process = self.readers(STEP)
        begun = time.monotonic()
        self.assertEqual(self.mnt.kill(signal.SIGTERM), 0)
        self.assertLess(time.monotonic() - begun, 2 * SLOW)
        self.assertFalse(self.mnt.mounted())
        process.wait(10 * SLOW)

    def test_one_flight_for_all(self):
        """All get the bytes of the one request that was let go on."""
        process = self.readers(0)
        self.fault("stalled.stl", "")
        self.origin.post("/_release")
        self.assertEqual(process.wait(harness.PATIENCE), 0)
        self.assertLessEqual(self.origin.count("GET", "/stalled.stl"), 4)
