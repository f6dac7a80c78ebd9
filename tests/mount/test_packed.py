"""The packed cache from outside: shapes are packed behind their readers, come back byte for byte, and cost little disk."""
import json
import math
import os

import harness
from origin import read, until

NAME = "100206_brain.stl"
SIDE = 120  # of a grid of 2 * SIDE * SIDE facets


def surface():
    """An ASCII STL of some 7 MB, two blocks, printed as VTK does."""
    def point(x, y):
        return x / SIDE, y / SIDE, math.sin(x / 9) * math.cos(y / 7) / 5

    out = ["solid ascii\n"]
    for x in range(SIDE):
        for y in range(SIDE):
            a, b, c, d = point(x, y), point(x + 1, y), point(x + 1, y + 1), point(x, y + 1)
            for facet in ((a, b, c), (a, c, d)):
                out.append(" facet normal 0 0 1\n  outer loop\n")
                out.extend("   vertex %.17g %.17g %.17g\n" % p for p in facet)
                out.append("  endloop\n endfacet\n")
    return "".join(out + ["endsolid\n"]).encode()


class Packed(harness.Case):
    concurrent = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.text = surface()

    def setUp(self):
        super().setUp()
        root = self.tmp / "root"
        root.mkdir()
        (root / NAME).write_bytes(self.text)
        self.nginx_server = self.nginx(root)
        (root / "list.txt").write_text(self.nginx_server.url("/" + NAME) + "\n")

    def mounted(self, packed=True, options=""):
        source = harness.manifest(self.nginx_server.url("/list.txt"))
        return self.mount({"sources": [source], "cache": {"packed": packed}}, options)

    def path(self, mount):
        return next(mount.path.glob("datasets/*/" + NAME))

    def cache(self, mount):
        return mount.json()["cache"]

    def is_packed(self, mount):
        return self.cache(mount)["packed_text"] == len(self.text)

    def content(self):
        """The file that holds the shape."""
        files = [p for p in (self.tmp / "cache" / "content" / "data").rglob("*") if p.is_file()]
        self.assertEqual(len(files), 1)
        return files[0]

    def fill(self):
        """Reads it through a mount that packs, and ends that once it is packed and the disk has its room back."""
        mount = self.mounted()
        self.assertEqual(read(self.path(mount)), self.text)
        self.assertTrue(until(lambda: self.is_packed(mount)), self.cache(mount))
        self.assertTrue(until(lambda: self.content().stat().st_blocks * 512 < len(self.text) / 2))
        mount.unmount()

    def test_packed_and_back(self):
        self.fill()
        self.assertLess(self.content().stat().st_blocks * 512, len(self.text) / 3)
        self.nginx_server.reset()
        mount = self.mounted(options="xattr")
        path = self.path(mount)
        self.assertEqual(path.stat().st_size, len(self.text))
        with open(path, "rb") as file:
            for first in (len(self.text) - 100, 0, 4194304 - 50, 5000000):
                self.assertEqual(os.pread(file.fileno(), 100, first), self.text[first:first + 100])
        self.assertEqual(read(path), self.text)
        self.assertEqual(os.getxattr(path, "user.medshapefs.cached_bytes"), b"%d" % len(self.text))
        self.assertEqual(self.nginx_server.count("GET", NAME), 0)
        cache = self.cache(mount)
        self.assertEqual(cache["text"], len(self.text))
        self.assertEqual(cache["bytes"], cache["packed_bytes"])
        self.assertGreater(mount.json()["reads"]["unpacked"], 0)
        self.assertRegex(self.program("status", mount.path).stdout, r"packed +7\.\dM of shapes in ")

    def test_cache_info(self):
        self.fill()
        config = self.config({"sources": [harness.manifest(self.nginx_server.url("/list.txt"))]})
        info = json.loads(self.program("cache", "info", "--json", "--config", config).stdout)
        self.assertEqual(info["bytes"], len(self.text))
        self.assertLess(info["disk"], len(self.text) / 3)
        self.assertEqual([d["bytes"] for d in info["datasets"]], [len(self.text)])
        text = self.program("cache", "info", "--config", config).stdout
        self.assertRegex(text, r"(?m)^total +7\.\dM +\d.* \d+\.\d$")
        self.assertEqual(self.program("cache", "gc", check=False).returncode, 2)

    def test_damaged_block_is_fetched_again(self):
        self.fill()
        content = self.content()
        first = (len(self.text) + 4095) // 4096 * 4096
        with open(content, "r+b") as file:
            file.seek(first + 1000)
            byte = file.read(1)[0]
            file.seek(first + 1000)
            file.write(bytes([byte ^ 16]))
        self.nginx_server.reset()
        mount = self.mounted()
        self.assertEqual(read(self.path(mount)), self.text)
        self.assertEqual(self.cache(mount)["damaged"], 1)
        self.assertGreater(self.nginx_server.count("GET", NAME), 0)
        self.assertTrue(until(lambda: self.is_packed(mount)))

    def test_packing_turned_off(self):
        self.fill()
        mount = self.mounted(packed=False, options="offline")
        self.assertEqual(read(self.path(mount)), self.text)
        mount.unmount()
        for path in (self.tmp / "cache").rglob("index.mdb*"):
            path.unlink()
        mount = self.mounted(packed=False)
        self.assertEqual(read(self.path(mount)), self.text)
        self.assertEqual(self.cache(mount)["packed_text"], 0)
        self.assertEqual(self.cache(mount)["bytes"], len(self.text))
        mount.unmount()
        mount = self.mounted()  # what was kept raw is packed once it was read whole
        self.assertEqual(read(self.path(mount)), self.text)
        self.assertTrue(until(lambda: self.is_packed(mount)))
        self.assertEqual(read(self.path(mount)), self.text)
