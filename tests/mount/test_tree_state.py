"""Files of .medshapefs/, made when asked for; extended attributes; what a refresh writes down of what was learnt."""
import csv
import errno
import json
import os
import re
import threading
import time
import zlib

import harness
import shapes


class State(shapes.ListCase):
    def setUp(self):
        super().setUp()
        self.origin = self.faultd()

    def put(self, *paths):
        self.origin.post("/_put?path=/list.txt", "".join(self.origin.url(p) + "\n" for p in paths))
        return self.mount({"sources": [harness.manifest(self.origin.url("/list.txt"))], "network": {"retry_for": "1s"}})

    def later(self, mount, name, condition):
        """What a file of .medshapefs/ says as soon as it fits; it is a second old at most."""
        end = time.monotonic() + harness.PATIENCE
        while not condition(text := (mount.path / ".medshapefs" / name).read_text()):
            self.assertLess(time.monotonic(), end, text)
            time.sleep(0.05)
        return text

    def test_status(self):
        mount = self.put("/face_1.stl", "/face_2.stl")
        said = mount.json()
        self.assertEqual((said["mountpoint"], said["pid"]), (str(mount.path), mount.pid))
        self.assertEqual((said["catalog"]["shapes"], said["catalog"]["unknown_sizes"]), (2, 2))
        self.assertEqual(said["sources"], [{"name": "list", "type": "manifest", "url": self.origin.url("/list.txt")}])
        (mount.path / "datasets" / "FacialModels" / "face_1.stl").read_bytes()
        said = json.loads(self.later(mount, "status.json", lambda t: json.loads(t)["reads"]["count"] > 0))
        self.assertGreaterEqual(said["network"]["requests"], 1)

    def test_fresh_for_a_second(self):
        """Two looks within a second give one text; the third, later, another."""
        mount = self.put("/face_1.stl")
        path = mount.path / ".medshapefs" / "status.json"
        begun = time.monotonic()
        first, second = path.read_bytes(), path.read_bytes()
        if time.monotonic() - begun < 0.9:
            self.assertEqual(first, second)
        self.later(mount, "status.json", lambda t: json.loads(t)["uptime_s"] > json.loads(first)["uptime_s"])

    def test_metrics(self):
        mount = self.put("/face_1.stl", "/face_2.stl")
        text = self.later(mount, "metrics", lambda t: t != "").strip("\n") + "\n"
        values, lines = {}, text.split("\n")[:-1]
        for help_, type_, value in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
            name = value.split(" ")[0]
            self.assertRegex(name, r"\Amedshapefs_[a-z_]+\Z")
            self.assertRegex(help_, r"\A# HELP %s \S.*\.\Z" % name)
            self.assertRegex(type_, r"\A# TYPE %s %s\Z" % (name, "counter" if name.endswith("_total") else "gauge"))
            values[name] = int(value.split(" ")[1])
        self.assertEqual(values["medshapefs_catalog_shapes"], 2)

    def test_errors(self):
        mount = self.put("/face_1.stl", "/!status=403/face_2.stl", "/!status=404/face_3.stl", "/!html/face_4.stl")
        folder = mount.path / "datasets" / "FacialModels"
        for name, number in (("face_2.stl", errno.EACCES), ("face_3.stl", errno.ENOENT), ("face_4.stl", errno.EIO)):
            with self.assertRaises(OSError) as caught:
                (folder / name).read_bytes()
            self.assertEqual(caught.exception.errno, number, name)
        rows = {r["path"]: r for r in json.loads(self.later(mount, "errors.json", lambda t: len(json.loads(t)["errors"]) >= 3))["errors"]}
        self.assertEqual(sorted(rows), ["datasets/FacialModels/face_%d.stl" % i for i in (2, 3, 4)])
        for path, status in (("face_2", 403), ("face_3", 404)):
            row = rows["datasets/FacialModels/%s.stl" % path]
            self.assertEqual(row["status"], status)
            self.assertTrue(row["url"].endswith("/%s.stl" % path))
            self.assertRegex(row["time"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
            self.assertTrue(row["reason"])

    def test_each_reader_gets_a_whole_text(self):
        """Many readers at once, over several remakes, in one go and in small steps; texts change their length meanwhile."""
        mount = self.put(*("/!status=404/shape_%d.stl" % i for i in range(60)))
        stop, bad = threading.Event(), []

        def read(name, step):
            while not stop.is_set():
                try:
                    with open(mount.path / ".medshapefs" / name, "rb", buffering=0) as f:
                        size, data = os.fstat(f.fileno()).st_size, b"".join(iter(lambda: f.read(step), b""))
                    if len(data) < size:
                        bad.append((name, step, size, len(data)))
                    json.loads(data) if name != "metrics" else re.fullmatch(rb"(?:[#m].*\n)+\n*", data).end()
                except (OSError, ValueError, AttributeError) as e:
                    bad.append((name, step, repr(e)))
                    return

        threads = [threading.Thread(target=read, args=(n, s)) for n in ("status.json", "metrics", "errors.json") for s in (1 << 20, 4096)]
        for t in threads:
            t.start()
        end = time.monotonic() + 2.5
        for i in range(60):
            try:
                (mount.path / "datasets" / "unsorted" / ("shape_%d.stl" % i)).read_bytes()
            except OSError:
                time.sleep(max(0, (end - time.monotonic()) / (60 - i)))
        stop.set()
        for t in threads:
            t.join()
        self.assertEqual(bad, [])

    def test_secrets_are_not_told(self):
        mount = self.put("/face_1.stl")
        self.assertNotIn("user", mount.json()["sources"][0])


class Xattr(shapes.ListCase):
    NAME = "012345_costa1left.stl"

    def test_with(self):
        server, mount = self.mounted([self.NAME, "something.json"], options="xattr")
        path = mount.path / "datasets" / "autoPET" / self.NAME
        have = {n: os.getxattr(path, n).decode() for n in os.listxattr(path)}
        url = server.url("/s/HeShw1G4da15OOZ/download?path=%2F&files=" + self.NAME)
        want = {"user.mime_type": "model/stl", "user.xdg.origin.url": url, "user.medshapefs.dataset": "autoPET",
                "user.medshapefs.licence": "CC-BY-4.0", "user.medshapefs.anatomy": "rib_1", "user.medshapefs.subject": "012345",
                "user.medshapefs.side": "left", "user.medshapefs.name": self.NAME}
        self.assertEqual({n: v for n, v in have.items() if n in want}, want)
        self.assertEqual((have["user.medshapefs.cached_bytes"], have["user.medshapefs.health"]), ("0", "unknown"))
        size = len(path.read_bytes())
        self.assertEqual(os.getxattr(path, "user.medshapefs.cached_bytes"), b"%d" % size)
        have = {n: os.getxattr(path, n).decode() for n in os.listxattr(path)}
        self.assertIn(have["user.medshapefs.etag"], harness.NO_PROXY.open(self.dav(server)).headers["ETag"])
        self.assertEqual(os.getxattr(mount.path / "datasets" / "unsorted" / "something.json", "user.mime_type"), b"application/json")
        other = mount.path / "anatomy" / "rib_1" / self.NAME
        self.assertEqual({n: os.getxattr(other, n).decode() for n in os.listxattr(other)}, have)
        self.assertEqual(server.count("PROPFIND"), 0, "nothing is asked for them")
        self.refused(path, "user.none", errno.ENODATA)
        self.refused(path, "security.selinux", errno.ENODATA)
        for plain in (mount.path, mount.path / "README.txt", mount.path / "datasets" / "AVT", mount.path / "search" / "rib"):
            self.assertEqual(os.listxattr(plain), [])

    def dav(self, server):
        return harness.urllib.request.Request(server.url("/remote.php/dav/public-files/HeShw1G4da15OOZ/" + self.NAME), method="HEAD")

    def refused(self, path, name, number):
        with self.assertRaises(OSError) as caught:
            os.getxattr(path, name)
        self.assertEqual(caught.exception.errno, number)

    def test_without(self):
        _, mount = self.mounted([self.NAME])
        path = mount.path / "datasets" / "autoPET" / self.NAME
        self.refused(path, "user.mime_type", errno.ENOTSUP)
        try:
            self.assertEqual(os.listxattr(path), [])
        except OSError as e:
            self.assertEqual(e.errno, errno.ENOTSUP)


class Learnt(shapes.ListCase):
    def test_sizes_in_the_index_from_the_next_refresh_on(self):
        server = self.share(["face_1.stl", "face_2.stl"], "--set", "dav=404")
        path = self.config(self.source(server))
        mount = self.mount(path)
        before = (mount.path / "index.csv").read_bytes()
        size = os.stat(mount.path / "datasets" / "FacialModels" / "face_1.stl").st_size
        self.assertEqual(size, 84 + zlib.crc32(b"face_1.stl") % 4096)
        self.assertEqual((mount.path / "index.csv").read_bytes(), before)
        mount.unmount()
        self.program("refresh", "--config", path)
        mount = self.mount(path)
        with open(mount.path / "index.csv", newline="", encoding="utf-8") as f:
            rows = {os.path.basename(r["path"]): r["bytes"] for r in csv.DictReader(f)}
        self.assertEqual(rows, {"face_1.stl": str(size), "face_2.stl": ""})
        known = json.loads((mount.path / "datasets" / "FacialModels" / "dataset.json").read_text())
        self.assertEqual((known["bytes"], known["files_of_unknown_size"]), (size, 1))
