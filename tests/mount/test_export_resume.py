"""An export that is killed, stopped or damaged, and the run after it."""
import os
import signal
import unittest

import harness
from mirrors import index, packs
from origin import size_of, until
from test_export_shapes import Case

FIRST = ["a%03d.stl" % i for i in range(20)]
MANY = ["b%03d.stl" % i for i in range(400)]  # more than wait in the writer before they are written
SIZE = 20000 * (1 + (os.cpu_count() or 1))  # of each of them: a writer with many threads holds more back
LAST = "z.stl"
PATIENT = {"timeout": "60s", "retry_for": "60s"}


class Resume(Case):
    limit = 120

    def place(self, name):
        return "datasets/unsorted/" + name

    def stalled(self, *first):
        """An export that has written some MB and waits for its last file; a run before it was stopped after `first`."""
        last = "y.stl" if first else LAST  # behind what is new, in the order of the catalogue
        self.collection([*(first or MANY), last], network=PATIENT)
        self.rule("/b", "size=%d" % SIZE)
        self.sizes = dict.fromkeys(MANY, SIZE)
        self.fault(last, "stall=1000")
        process = self.start_export("--config", self.path, self.mirror)
        pack = self.mirror / "0001.shapepack.partial"
        if first:
            self.assertTrue(until(lambda: all(self.origin.count("GET", n) for n in (*first, last))))
            self.kill(process, signal.SIGINT)
            self.put_list([*first, *MANY, LAST])
            self.program("refresh", "--config", self.path)
            self.fault(LAST, "stall=1000")
            process = self.start_export("--config", self.path, self.mirror)
            pack = self.mirror / "0001.shapepack"
        self.await_size(process, pack, 1000000 + sum(size_of(n) for n in first))
        return process

    def resume(self, names):
        self.fault(LAST, "")
        self.origin.post("/_release")
        self.export_all()
        self.assertMirrored(names)
        self.assertEqual(set(self.copies(self.mirror).values()), {1})
        self.assertEqual(self.count_added(), 0)

    def test_killed_in_a_new_pack(self):
        process = self.stalled()
        self.assertEqual(self.kill(process), -signal.SIGKILL)
        self.assertEqual(packs(self.mirror), [])
        self.resume([*MANY, LAST])

    def test_killed_in_an_append(self):
        process = self.stalled(*FIRST)
        self.assertEqual(self.kill(process), -signal.SIGKILL)
        self.assertEqual(index(self.mirror)["packs"], [])
        self.assertEqual(set(self.rows(self.mirror)), {self.place(n) for n in FIRST})
        self.program("unpack", "--verify", self.mirror / "0001.shapepack")
        self.resume([*FIRST, *MANY, LAST])

    def test_stopped(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(how):
                process = self.stalled()
                self.assertEqual(self.kill(process, how), 1)
                said = process.messages.read_text()
                self.assertRegex(said.splitlines()[-1], r"^medshapefs: export: stopped \(run it again to go on")
                kept = set(self.rows(self.mirror))
                self.assertGreater(len(kept), 10)
                self.assertNotIn(self.place(LAST), kept)
                self.assertEqual(index(self.mirror)["packs"], [])
                self.resume([*MANY, LAST])
                for path in self.mirror.glob("*.shapepack"):
                    path.unlink()

    def test_damage_is_found_at_the_end(self):
        process = self.stalled()
        self.kill(process, signal.SIGINT)
        pack = self.mirror / "0001.shapepack"
        with open(pack, "r+b") as file:
            file.seek(500000)
            byte = file.read(1)[0]
            file.seek(500000)
            file.write(bytes([byte ^ 4]))
        self.fault(LAST, "")
        self.origin.post("/_release")
        for _ in range(2):  # it is not forgotten
            done = self.export_all(check=False)
            self.assertEqual(done.returncode, 1)
            first, last = (line for line in done.stderr.splitlines() if "files, " not in line and "verifying" not in line)
            self.assertRegex(first, r"^medshapefs: 0001.shapepack: datasets/unsorted/b\d+.stl: damaged: its checksum")
            self.assertRegex(last, r"0001.shapepack: damaged \(remove that pack and run it again\)$")
        pack.unlink()
        self.export_all()
        self.assertMirrored([*MANY, LAST])


if __name__ == "__main__":
    unittest.main()
