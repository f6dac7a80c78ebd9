"""What is compared: medshapefs and its peers, each mounted and taken away again."""
import contextlib
import json
import os
import select
import shutil
import subprocess
import time

import cells

MOUNT_LIMIT = 30


def unmount(path):
    for argv in (["umount", path], ["fusermount3", "-u", path], ["umount", "-l", path], ["fusermount3", "-uz", path]):
        if not cells.mounted(path):
            return
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10)


class Mount:
    """A mount that stands; close() takes it away, and `folders` with it."""

    def __init__(self, work, path, pid, child=None, folders=()):
        self.work, self.path, self.pid, self.child, self.folders = work, path, pid, child, folders

    def cpu(self):
        return cells.cpu_seconds(self.pid)

    def anon(self):
        return cells.rss_anon(self.pid)

    def close(self):
        unmount(self.path)
        if self.child is not None:
            cells.end(self.child)
        else:
            self.wait()
        for folder in (self.path, *self.folders):
            self.work.drop(folder)

    def wait(self):
        """Until a daemon that is no child of ours has ended."""
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(self.pid)
            if not select.select([fd], [], [], 10)[0]:
                os.kill(self.pid, 9)
                select.select([fd], [], [], 10)
            os.close(fd)


class System:
    """One file system that can be mounted: what every one has."""

    def __init__(self, work):
        self.work = work

    @contextlib.contextmanager
    def session(self, *args):
        """Mounts for the length of a with-block."""
        m = self.mount(*args)
        try:
            yield m
        finally:
            m.close()

    def front(self, argv, path, folders=()):
        """Starts a daemon that stays in front, and waits for its mount."""
        child = subprocess.Popen(argv, start_new_session=True, env=dict(cells.environment(), HOME=self.work.root),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        m = Mount(self.work, path, child.pid, child, folders)
        deadline = time.monotonic() + MOUNT_LIMIT
        try:
            while not cells.mounted(path):
                if child.poll() is not None or time.monotonic() > deadline:
                    raise cells.Failed("%s does not mount" % self.name)
                time.sleep(0.001)
        except BaseException:
            m.close()
            raise
        return m


class Medshapefs(System):
    name = "medshapefs"

    def __init__(self, work, program):
        super().__init__(work)
        self.program = program

    def options(self, source, cache):
        return "source=%s,cache=%s" % (source.replace(",", "\\,"), cache)

    def refresh(self, source, cache, limit, watch=None):
        return cells.command([self.program, "refresh", "-o", self.options(source, cache)], limit, watch)

    def argv(self, source, cache, path):
        return [self.program, "mount", "-o", self.options(source, cache), path]

    def mount(self, source, cache=None):
        """With a cache folder of its own where none is given, its catalogue made before."""
        path, own = self.work.fresh("mnt"), cache is None
        if own:
            cache = self.work.fresh("cache")
            self.refresh(source, cache, 120)
        try:
            cells.command(self.argv(source, cache, path), MOUNT_LIMIT)
            return self.attach(path, [cache] if own else [])
        except BaseException:
            unmount(path)
            raise

    def attach(self, path, folders=()):
        """The Mount of a daemon that was started otherwise."""
        with open(os.path.join(path, ".medshapefs", "status.json")) as f:
            return Mount(self.work, path, json.load(f)["pid"], None, folders)


class RawCache(Medshapefs):
    """The same program with a cache that keeps the text as it is."""
    name = "raw cache"

    def __init__(self, work, program):
        super().__init__(work, program)
        self.config = work.path("raw.json")
        with open(self.config, "w") as f:
            json.dump({"cache": {"packed": False}}, f)

    def options(self, source, cache):
        return "config=%s,%s" % (self.config, super().options(source, cache))


class Floor(System):
    name = "floorfs"

    def __init__(self, work, program):
        super().__init__(work)
        self.program = program

    def mount(self, folder):
        path = self.work.fresh("mnt")
        m = self.front([self.program, folder, path], path)
        with contextlib.suppress(OSError), open("/sys/class/bdi/%s/read_ahead_kb" % cells.device_of(path), "w") as f:
            f.write("1024")  # as medshapefs does where it may
        return m


class Httpdirfs(System):
    name = "httpdirfs"

    def argv(self, url, cache, path):
        return [self.name, "-f", "--cache", "--cache-location", cache, "--no-range-check", url, path]

    def mount(self, url):
        path, cache = self.work.fresh("mnt"), self.work.fresh("cache")
        return self.front(self.argv(url, cache, path), path, [cache])


class Rclone(Httpdirfs):
    name = "rclone"

    def argv(self, url, cache, path):
        return [self.name, "mount", ":http:", path, "--http-url", url, "--config", "/dev/null", "--vfs-cache-mode", "full",
                "--cache-dir", cache, "--dir-cache-time", "24h", "--read-only"]


def peers(work):
    """Those of the peers that are installed, by name."""
    return {kind.name: kind(work) for kind in (Httpdirfs, Rclone) if shutil.which(kind.name)}
