"""Every fault of the origin through a mount: once, it heals; lasting, the reader gets the errno of the contract."""
import errno
import time

from origin import LARGE, NETWORK, RETRY_FOR, Case, expected, read, side_by_side, until

# What a server may do without being wrong.
HARMLESS = ["norange", "chunked", "close", "noetag", "nodate", "noetag,nodate", "weak", "attachment", "gzipask", "early",
            "delay=200", "trickle=30000:10", "norange,chunked", "norange,close", "norange,noetag", "total=*", "length=+0"]
# What is wrong, and worth another try.
PASSING = ["cut=0", "cut=70000", "rst=0", "rst=70000", "stall=0", "stall=70000", "stallhead", "status=500", "status=502",
           "status=503", "status=504", "status=507", "status=429", "status=408", "status=423", "status=503,retry=1", "html", "gzip",
           "garbage"]
PASSING_RANGE = ["shift=3", "crange=bytes 5-2/1", "crange=nonsense", "length=+7", "length=-7"]
# (fault, errno, HTTP status or None, in the reason, size)
LASTING = [("status=404", errno.ENOENT, 404, ""), ("status=410", errno.ENOENT, 410, ""), ("status=403", errno.EACCES, 403, ""),
           ("status=451", errno.EACCES, 451, ""), ("status=500", errno.EIO, 500, ""), ("status=503", errno.EIO, 503, ""),
           ("status=418", errno.EIO, 418, ""),
           ("stallhead", errno.ETIMEDOUT, None, ""), ("cut=5000", errno.EIO, 200, ""), ("rst=5000", errno.EIO, None, ""),
           ("html=Please log in", errno.EIO, 200, "Please log in"), ("gzip", errno.EIO, 200, ""), ("garbage", errno.EIO, None, ""),
           ("loop", errno.EIO, None, "redirect"), ("to=file:///etc/passwd", errno.EIO, None, "redirect"),
           ("to=ftp%3A//127.0.0.1/x.stl", errno.EIO, None, "redirect"), ("to=gopher%3A//h/", errno.EIO, None, "redirect")]
LASTING_RANGE = [("shift=3", errno.EIO, 206, ""), ("crange=bytes 5-2/1", errno.EIO, 206, "")]


def named(faults, prefix):
    return {"%s%d.stl" % (prefix, i): fault for i, fault in enumerate(faults)}


class Faults(Case):
    concurrent = True

    def check_healed(self, mount, names, asked_again):
        got = side_by_side(lambda name: read(self.file(mount, name)), list(names))
        for name, data in zip(names, got):
            with self.subTest(fault=names[name], size=self.size(name)):
                self.assertRight(mount, name, data)
                self.assertGreaterEqual(self.origin.count("GET", "/" + name), 2 if asked_again else 1)
        self.assertEqual(mount.json("errors.json")["errors"], [])

    def test_harmless(self):
        small, large = named(HARMLESS, "s"), named(HARMLESS, "l")
        names = {**small, **large}
        mount = self.mount_names(names, dict.fromkeys(large, LARGE))
        for name, fault in names.items():
            self.fault(name, fault)
        self.check_healed(mount, names, False)

    def test_once(self):
        small, large = named(PASSING, "s"), named(PASSING + PASSING_RANGE, "l")
        names = {**small, **large}
        patient = self.settings(network={**NETWORK, "retry_for": "30s"})
        mount = self.mount_names(names, dict.fromkeys(large, LARGE), settings=patient)
        for name, fault in names.items():
            self.fault(name, fault + ",times=1")
        self.check_healed(mount, names, True)

    def check_lasting(self, mount, cases):
        names = list(cases)
        got = side_by_side(lambda name: read(self.file(mount, name)), names)
        rows = self.errors(mount)
        for name, data in zip(names, got):
            fault, wanted, status, reason = cases[name]
            with self.subTest(fault=fault):
                self.assertEqual("bytes" if isinstance(data, bytes) else errno.errorcode[data], errno.errorcode[wanted])
                row = rows["datasets/unsorted/" + name]
                self.assertEqual(row["url"], self.origin.url("/" + name))
                self.assertRegex(row["time"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
                self.assertIn(reason, row["reason"])
                self.assertNotEqual(row["reason"], "")
                if status is not None:
                    self.assertEqual(row["status"], status)

    def test_lasting(self):
        cases = {"s%d.stl" % i: case for i, case in enumerate(LASTING)}
        ranges = {"l%d.stl" % i: case for i, case in enumerate(LASTING_RANGE)}
        cases.update(ranges)
        mount = self.mount_names(cases, dict.fromkeys(ranges, LARGE))
        for name, (fault, *_) in cases.items():
            self.fault(name, fault)
        self.check_lasting(mount, cases)
        page = self.program("status", mount.path).stdout
        self.assertRegex(page, r"\n  error .*datasets/unsorted/\w+\.stl: .+\n")
        for name in cases:
            self.fault(name, "")
        for name, data in zip(cases, side_by_side(lambda n: read(self.file(mount, n)), list(cases))):
            with self.subTest(forgotten=cases[name][0]):
                self.assertRight(mount, name, data)

    def test_a_reader_waits_at_most_retry_for(self):
        mount = self.mount_names(["a.stl"])
        self.fault("a.stl", "stallhead")
        begun = time.monotonic()
        self.assertEqual(read(self.file(mount, "a.stl")), errno.ETIMEDOUT)
        self.assertLess(time.monotonic() - begun, RETRY_FOR + 1)

    def test_origin_down(self):
        mount = self.mount_names(["a.stl", "b.stl"])
        self.assertRight(mount, "b.stl")
        port = self.origin.port
        self.origin.stop()
        self.assertEqual(read(self.file(mount, "a.stl")), errno.ETIMEDOUT)
        self.assertRight(mount, "b.stl")
        self.assertIn("datasets/unsorted/a.stl", self.errors(mount))
        self.origin = self.faultd("--port", port)
        self.assertRight(mount, "a.stl")

    def test_401_stops_the_source(self):
        mount = self.mount_names(["a.stl", "b.stl", "c.stl"])
        self.assertRight(mount, "c.stl")
        self.fault("a.stl", "status=401")
        self.assertEqual(read(self.file(mount, "a.stl")), errno.EACCES)
        self.fault("a.stl", "")
        self.assertEqual(read(self.file(mount, "b.stl")), errno.EACCES)
        self.assertEqual(read(self.file(mount, "a.stl")), errno.EACCES)
        self.assertRight(mount, "c.stl")
        self.assertEqual(self.origin.count("GET", "/b.stl"), 0)
        rows = self.errors(mount)
        self.assertEqual(rows["datasets/unsorted/a.stl"]["error"], "Permission denied")
        self.assertRegex(rows["datasets/unsorted/b.stl"]["reason"], "401")
        mount.unmount()
        self.assertRight(self.mount(self.path), "b.stl")

    def test_403_is_about_one_file(self):
        mount = self.mount_names(["a.stl", "b.stl"])
        self.fault("a.stl", "status=403")
        self.assertEqual(read(self.file(mount, "a.stl")), errno.EACCES)
        self.assertRight(mount, "b.stl")
        self.assertTrue(self.file(mount, "a.stl").is_file())

    def test_refresh_starts_a_stopped_source(self):
        mount = self.mount_names(["a.stl", "b.stl"])
        self.fault("a.stl", "status=401")
        self.assertEqual(read(self.file(mount, "a.stl")), errno.EACCES)
        self.fault("a.stl", "")
        self.put_list(["a.stl", "b.stl", "new.stl"])
        self.program("refresh", "-o", "config=%s" % self.path)
        self.assertTrue(until(lambda: self.file(mount, "new.stl").exists()))
        self.assertRight(mount, "b.stl")

    def test_offline(self):
        mount = self.mount_names(["a.stl", "b.stl"])
        self.assertRight(mount, "a.stl")
        mount.unmount()
        mount = self.mount(self.path, options="offline")
        self.origin.reset()
        self.assertRight(mount, "a.stl")
        self.assertEqual(read(self.file(mount, "b.stl")), errno.ENETUNREACH)
        self.assertEqual(self.origin.count(), 0)
        self.assertIn("datasets/unsorted/b.stl", self.errors(mount))
        self.assertTrue(mount.json()["offline"])

    def test_redirects(self):
        other = self.faultd()
        mount = self.mount_names(["a.stl", "b.stl"])
        self.fault("a.stl", "to=%s" % other.url("/a.stl").replace(":", "%3A"))
        self.fault("b.stl", "code=307,togood,times=1")
        self.assertRight(mount, "a.stl")
        self.assertRight(mount, "b.stl")
        self.assertEqual(other.count("GET", "/a.stl"), 1)

    def test_a_part_that_came_is_used(self):
        """A large file behind a server that breaks off after 1 MiB each time: what is whole already is not asked for again."""
        mount = self.mount_names(["l.stl"], {"l.stl": LARGE})
        self.fault("l.stl", "cut=1000000")
        self.assertRight(mount, "l.stl")
        asked = sum(min(1000000, int(r["range"].split("-")[1]) - int(r["range"].split("-")[0][6:]) + 1)
                    for r in self.origin.requests("GET", "/l.stl") if r["range"])
        self.assertLess(asked, 1.5 * LARGE)
        self.assertEqual(expected("l.stl", 5, 9), read(self.file(mount, "l.stl"))[5:9])
