"""A file that changes at the origin: who has it open never gets new bytes mixed with old, who opens it after gets the new ones."""
import errno
import os

import harness
from origin import LARGE, Case, expected, read, side_by_side, until

NAME = "thing.stl"
GONE = {errno.ESTALE, errno.EIO}


def close(fd):
    """The kernel answers EIO to close() of a file that changed under it."""
    try:
        os.close(fd)
    except OSError as e:
        if e.errno != errno.EIO:
            raise


class Change(Case):
    concurrent = True

    def setUp(self):
        super().setUp()
        self.fds = []

    def version(self, number, name=NAME):
        self.origin.post("/_version", name=name, v=number)

    def pread(self, fd, length, offset):
        """Bytes, or the errno."""
        try:
            return os.pread(fd, length, offset)
        except OSError as e:
            return e.errno

    def drop(self, fd):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def opened(self, path):
        fd = os.open(path, os.O_RDONLY)
        self.fds.append(fd)
        self.addCleanup(self.close_all)
        return fd

    def close_all(self):
        while self.fds:
            close(self.fds.pop())

    def begin(self, size, extra=""):
        """The file, mounted and open, its first 4 KiB read (of a large one: a part of the rest is not in the cache)."""
        self.extra = extra
        mount = self.mount_names([NAME], {NAME: size})
        self.fault(NAME, extra)
        path = self.file(mount, NAME)
        fd = self.opened(path)
        self.assertEqual(self.pread(fd, 4096, 0), expected(NAME, 0, 4096))
        return mount, path, fd

    def change(self, size):
        self.version(1)
        self.sizes[NAME] = size
        self.fault(NAME, self.extra)

    def never_mixed(self, fd, old_size):
        """Whatever the old descriptor gives is old."""
        self.drop(fd)
        for offset in range(0, old_size, 65536):
            got = self.pread(fd, 65536, offset)
            if isinstance(got, int):
                self.assertIn(got, GONE)
            else:
                self.assertTrue(got == expected(NAME, offset, min(old_size, offset + 65536)), "new bytes at %d" % offset)

    def check_new(self, path, inode, size):
        self.assertTrue(until(lambda: os.stat(path).st_size == size, 10))
        fd = self.opened(path)  # not before: an inode that the kernel was told to forget just then answers EIO
        st = os.fstat(fd) if os.fstat(fd).st_size == size else os.stat(path)
        self.assertEqual((st.st_ino, st.st_size), (inode, size))
        self.assertTrue(path.read_bytes() == expected(NAME, 0, size, version=1), "not the new bytes")

    def found_by_reading(self, new_size, extra=""):
        mount, path, fd = self.begin(3 * LARGE, extra)
        inode = os.fstat(fd).st_ino
        self.change(new_size)
        self.assertIn(self.pread(fd, 4096, 2 * LARGE), GONE)
        self.never_mixed(fd, 3 * LARGE)
        self.check_new(path, inode, new_size)
        self.never_mixed(fd, 3 * LARGE)
        rows = self.errors(mount)
        self.assertEqual(rows["datasets/unsorted/" + NAME]["error"], os.strerror(errno.ESTALE))
        self.assertIn("changed", rows["datasets/unsorted/" + NAME]["reason"])
        return mount

    def test_found_by_reading(self):
        self.found_by_reading(3 * LARGE)

    def test_found_by_reading_longer(self):
        self.found_by_reading(3 * LARGE + 1000)

    def test_found_by_reading_shorter(self):
        self.found_by_reading(LARGE)

    def test_changed_length_without_etag(self):
        self.found_by_reading(2 * LARGE, "noetag,nodate")

    def test_changed_length_without_ranges(self):
        """A small file is asked for whole: the new length stands in Content-Length."""
        mount = self.mount_names([NAME], {NAME: 150000})
        self.extra = "norange"
        path = self.file(mount, NAME)
        fd = self.opened(path)
        inode = os.fstat(fd).st_ino
        self.change(160000)
        self.assertIn(self.pread(fd, 4096, 0), GONE)
        self.never_mixed(fd, 150000)
        self.check_new(path, inode, 160000)

    def test_change_survives_a_remount(self):
        mount = self.found_by_reading(LARGE)
        inode = os.stat(self.file(mount, NAME)).st_ino
        self.close_all()
        mount.unmount()
        self.check_new(self.file(self.mount(self.path), NAME), inode, LARGE)

    def test_while_many_read(self):
        """Each whole read gives one version or an error."""
        mount, path, _ = self.begin(3 * LARGE)
        self.fault(NAME, "trickle=65536:2")

        def one(i):
            if i == 3:
                until(lambda: self.origin.count("GET") > 2, 5)
                self.change(3 * LARGE)
            return read(path)

        old, new = expected(NAME, 0, 3 * LARGE), expected(NAME, 0, 3 * LARGE, version=1)
        for data in side_by_side(one, range(6)):
            self.assertTrue(data in (errno.ESTALE, errno.EIO) or data in (old, new), "mixed bytes")
        self.check_new(path, os.stat(path).st_ino, 3 * LARGE)


class ChangeByRefresh(harness.Case):
    """The share's listing tells the change."""
    concurrent = True
    NAME = "shape_0000001.stl"

    def setUp(self):
        super().setUp()
        self.share = self.davd("--make", "3", "--size", "300000")
        self.settings = self.config({"sources": [harness.manifest(self.share.url("/list.txt"))]})
        self.mnt = self.mount(self.settings)
        self.path = self.mnt.path / "datasets" / "unsorted" / self.NAME

    def refresh(self):
        return self.program("refresh", "-o", "config=%s" % self.settings)

    def test_found_by_a_refresh(self):
        for size in (None, 250000):
            with self.subTest(size=size):
                old = self.path.read_bytes()
                before = os.stat(self.path)
                fd = os.open(self.path, os.O_RDONLY)
                self.share.post("/_change", name=self.NAME, **({"size": size} if size else {}))
                self.refresh()
                self.assertTrue(until(lambda: os.stat(self.path).st_mtime != before.st_mtime))
                after = os.stat(self.path)
                self.assertEqual((after.st_ino, after.st_size), (before.st_ino, size or before.st_size))
                new = self.path.read_bytes()
                self.assertEqual(len(new), after.st_size)
                self.assertNotEqual(new[:1000], old[:1000])
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                try:
                    self.assertEqual(os.pread(fd, 4096, 8192), old[8192:8192 + 4096])
                except OSError as e:
                    self.assertIn(e.errno, GONE)
                finally:
                    close(fd)

    def test_unchanged_files_keep_their_pages_and_cache(self):
        self.path.read_bytes()
        other = self.path.parent / "shape_0000002.stl"
        before = os.stat(other).st_mtime
        self.share.post("/_change", name=other.name)
        self.refresh()
        self.assertTrue(until(lambda: os.stat(other).st_mtime != before))
        gets = self.share.count("GET", self.NAME)
        self.path.read_bytes()
        self.assertEqual(self.share.count("GET", self.NAME), gets)

    def test_a_change_without_a_new_etag(self):
        """Where only the length tells it."""
        before = os.stat(self.path)
        self.path.read_bytes()
        self.share.post("/_change", name=self.NAME, size=before.st_size + 10, keep_etag=1)
        self.refresh()
        self.assertTrue(until(lambda: os.stat(self.path).st_size == before.st_size + 10))
        self.assertEqual(len(self.path.read_bytes()), before.st_size + 10)
        self.assertEqual(os.stat(self.path).st_ino, before.st_ino)
