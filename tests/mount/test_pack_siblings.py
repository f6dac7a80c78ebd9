"""Small shapes of one folder of a pack: one request brings those that lie beside each other, and who jumps about pays little."""
import os
import random
import subprocess
import threading

import harness
import packs

WINDOW = 64 << 10  # what is taken along with one of them at first
SIZE = 4000        # such bytes do not get smaller
SLACK = 512        # a packed block's head


class Siblings(packs.PackCase):
    concurrent = True
    limit = 120

    def pack_of(self, folders):
        """Packs folders of incompressible shapes: name -> how many."""
        self.shapes = {}
        for folder, count in folders.items():
            for i in range(count):
                self.shapes["%s/s%04d_liver.nii.g_1.stl" % (folder, i)] = random.Random("%s %d" % (folder, i)).randbytes(SIZE)
        packs.make(self.src, self.shapes)
        self.ok("pack", "-o", self.file, ".", cwd=self.src)

    def mounted(self, folders):
        """A mount of such a pack on nginx; the files of each folder in the order of the listing."""
        self.pack_of(folders)
        self.server = self.nginx(self.tmp)
        mount = self.mount(options="source=%s,cache=%s" % (self.server.url("/x.shapepack"), self.fresh("cache")))
        listed = {folder: [] for folder in folders}
        for at, dirs, files in os.walk(mount.path / "datasets"):
            dirs.sort()
            if os.path.basename(at) in listed:
                listed[os.path.basename(at)] += [os.path.join(at, f) for f in files if f.endswith(".stl")]
        self.assertEqual({f: len(n) for f, n in listed.items()}, folders)
        self.server.reset()
        return mount, listed

    def assertRight(self, path):
        with open(path, "rb") as f:
            data = f.read()
        name = os.path.join(os.path.basename(os.path.dirname(path)), os.path.basename(path))
        self.assertTrue(data == self.shapes[name], "%s: other bytes (%d of them)" % (path, len(data)))

    def cost(self):
        """Requests and bytes so far."""
        rows = self.server.requests("GET", "x.shapepack")
        return len(rows), sum(r["sent"] for r in rows)

    def test_in_order(self):
        mount, listed = self.mounted({"a": 500, "b": 100})
        for path in listed["a"]:
            self.assertRight(path)
        requests, sent = self.cost()
        self.assertLessEqual(requests, 12)
        self.assertLessEqual(sent, 1.1 * 500 * SIZE)
        lines = (mount.path / ".medshapefs" / "metrics").read_text().splitlines()
        said = dict(line.split() for line in lines if line.startswith("medshapefs_"))
        self.assertEqual(int(said["medshapefs_sibling_requests_total"]), requests)
        self.assertEqual(said["medshapefs_sibling_bytes_total"], said["medshapefs_sibling_used_bytes_total"])

    def by_tool(self, *command):
        """What walks a folder by itself takes the files in the order in which they lie in the pack."""
        _, listed = self.mounted({"a": 300})
        subprocess.run(command, cwd=os.path.dirname(listed["a"][0]), stdout=subprocess.PIPE, timeout=harness.PATIENCE, check=True)
        requests, sent = self.cost()
        self.assertLessEqual(requests, 12)
        self.assertIn(sent // SIZE, range(300, 330))

    def test_find(self):
        self.by_tool("find", ".", "-name", "*.stl", "-exec", "cat", "{}", ";")

    def test_tar(self):
        self.by_tool("tar", "-cf", "-", ".")

    def test_grep(self):
        self.by_tool("grep", "-r", "-c", "", ".")

    def test_shuffled(self):
        _, listed = self.mounted({"a": 500})
        paths = listed["a"]
        random.Random(5).shuffle(paths)
        for path in paths:
            self.assertRight(path)
        self.assertLessEqual(self.cost()[0], 60)

    def test_a_few_of_many(self):
        _, listed = self.mounted({"a": 5000})
        for path in random.Random(6).sample(listed["a"], 5):
            self.assertRight(path)
        requests, sent = self.cost()
        self.assertLessEqual(requests, 5)
        self.assertLessEqual(sent, 5 * (WINDOW + SIZE + SLACK))

    def test_two_readers(self):
        """Each in a folder of its own, both at once."""
        _, listed = self.mounted({"a": 300, "b": 300})
        wrong = []

        def read(paths):
            try:
                for path in paths:
                    self.assertRight(path)
            except (AssertionError, OSError) as e:
                wrong.append(e)
        threads = [threading.Thread(target=read, args=(paths,)) for paths in listed.values()]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])
        self.assertLessEqual(self.cost()[0], 24)

    def damaged(self, name):
        """The pack with a byte of a shape changed."""
        whole = bytearray(self.file.read_bytes())
        whole[whole.index(self.shapes[name][:64]) + 100] ^= 1
        return bytes(whole)

    def test_damaged_neighbour(self):
        mount, listed = self.mounted({"a": 40})
        bad = "a/" + os.path.basename(listed["a"][7])
        good = self.file.read_bytes()
        with open(self.file, "r+b") as f:
            f.write(self.damaged(bad))
        for path in listed["a"][:7] + listed["a"][8:12]:
            self.assertRight(path)
        self.assertEqual(mount.json("errors.json")["errors"], [])
        with self.assertRaises(OSError):
            self.assertRight(listed["a"][7])
        with open(self.file, "r+b") as f:
            f.write(good)
        self.assertRight(listed["a"][7])

    def test_the_pack_is_cut(self):
        """Another pack lies there now, that ends in the middle: what is right is read, the rest is an error, nothing is wrong."""
        _, listed = self.mounted({"a": 200})
        whole = self.file.read_bytes()
        half = whole.index(self.shapes["a/" + os.path.basename(listed["a"][100])][:64]) + 10
        os.truncate(self.file, half)
        for path in listed["a"][:100]:
            self.assertRight(path)
        for path in listed["a"][100:110]:
            with self.assertRaises(OSError):
                self.assertRight(path)
        self.assertRight(listed["a"][99])
