"""Cells of the benchmark: one measured thing each, in a process of its own, with a limit of time."""
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

BUFFER = 128 << 10
TICKS = os.sysconf("SC_CLK_TCK")


class Late(Exception):
    """A cell ran over its limit and was killed."""


class Failed(Exception):
    """A cell could not be measured; the text says why."""


def environment():
    """The caller's, without what would lead requests away from the loopback or change what tools print."""
    env = {k: v for k, v in os.environ.items()
           if not k.lower().endswith("_proxy") and not k.startswith(("MEDSHAPEFS_", "RCLONE_", "XDG_"))}
    return dict(env, LC_ALL="C")


def kill_group(pid):
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def rss_anon(pid):
    """Bytes of anonymous memory that a process holds now; 0 where it has ended."""
    with contextlib.suppress(OSError):
        with open("/proc/%d/status" % pid) as f:
            for line in f:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid):
    """User and system time of a process that runs."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Usage:
    """What a command took: seconds of wall and CPU (its children's too) and the most anonymous memory that was seen."""

    def __init__(self):
        self.wall = self.cpu = 0.0
        self.anon = 0


def command(argv, limit, watch=None, **more):
    """Runs a command to its end, and samples RssAnon every 5 ms, of process `watch` or (0) its own. Raises Late or Failed."""
    more.setdefault("stdout", subprocess.DEVNULL)
    more.setdefault("env", environment())
    usage, begin = Usage(), time.perf_counter()
    with tempfile.TemporaryFile() as said:
        p = subprocess.Popen(argv, stderr=said, start_new_session=True, **more)
        fd = os.pidfd_open(p.pid)
        try:
            while not select.select([fd], [], [], 0.005 if watch is not None else limit)[0]:
                if time.perf_counter() - begin >= limit:
                    raise Late()
                usage.anon = max(usage.anon, rss_anon(watch or p.pid))
            usage.wall = time.perf_counter() - begin
        finally:
            os.close(fd)
            kill_group(p.pid)
            _, status, used = os.wait4(p.pid, 0)
            p.returncode = os.waitstatus_to_exitcode(status)
        usage.cpu = used.ru_utime + used.ru_stime
        if p.returncode != 0:
            said.seek(0)
            raise Failed("%s: %s" % (os.path.basename(argv[0]), said.read(400).decode(errors="replace").strip() or p.returncode))
    return usage


def forked(work, limit):
    """What work() returns (JSON can hold it), run in a child. Raises Late or Failed."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.write(w, json.dumps(work()).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(w)
    try:
        if not select.select([r], [], [], limit)[0]:
            raise Late()
        text = os.read(r, 65536)
    finally:
        os.close(r)
        kill_group(pid)
        os.waitpid(pid, 0)
    if not text:
        raise Failed("the reader failed")
    return json.loads(text)


def timed(work):
    """Seconds that work() takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def read_all(path):
    """Reads a file from its start to its end; returns its length."""
    buffer, total = bytearray(BUFFER), 0
    fd = os.open(path, os.O_RDONLY)
    while n := os.readv(fd, [buffer]):
        total += n
    os.close(fd)
    return total


def read_whole(path, size):
    """read_all(), and the length must be as expected."""
    got = read_all(path)
    if got != size:
        raise Failed("%s: %d bytes of %d" % (path, got, size))


def mounts_below(root):
    """Mount points below a folder, the last one first."""
    with open("/proc/self/mountinfo") as f:
        return [line.split()[4] for line in f if line.split()[4].startswith(root + "/")][::-1]


def mounted(path):
    """True where something is mounted at that very path; never asks the file system itself."""
    with open("/proc/self/mountinfo") as f:
        return any(line.split()[4] == path for line in f)


def device_of(path):
    """"MAJOR:MINOR" of what is mounted at a path."""
    with open("/proc/self/mountinfo") as f:
        return next(line.split()[2] for line in f if line.split()[4] == path)


def drop_caches():
    """Empties the kernel's caches; only root may, others measure what they have."""
    os.sync()
    if os.geteuid() == 0:
        with contextlib.suppress(OSError), open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3")


class Workspace:
    """A folder under /var/tmp with all that the benchmark makes, and what must end with it."""

    def __init__(self, stack):
        self.stack = stack
        self.root = tempfile.mkdtemp(prefix="medshapefs-bench-", dir="/var/tmp")
        self.count = 0
        os.mkdir(self.path("gone"))
        stack.callback(shutil.rmtree, self.root, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def fresh(self, what):
        """A new, empty folder."""
        self.count += 1
        path = self.path("%s-%d" % (what, self.count))
        os.makedirs(path)
        return path

    def drop(self, path):
        """Throws a folder of the workspace away: its space now, its files at the end, as ext4 is slow at making files soon
        after some were deleted, and the next cell would pay for that."""
        self.count += 1
        for folder, _, files in os.walk(path):
            for name in files:
                with contextlib.suppress(OSError):
                    os.truncate(os.path.join(folder, name), 0)
        with contextlib.suppress(OSError):
            os.rename(path, self.path("gone", str(self.count)))

    def disk(self):
        """The type of the file system that the folder is on."""
        out = subprocess.run(["stat", "-f", "-c", "%T", self.root], stdout=subprocess.PIPE, text=True, check=True)
        return out.stdout.strip().replace("ext2/ext3", "ext4")

    def settle(self):
        """Waits until what was written before is on the disk, so that one cell does not pay for another."""
        subprocess.run(["sync", "-f", self.root], check=True)

    def server(self, argv, **more):
        """Starts a server that ends with the benchmark."""
        p = subprocess.Popen(argv, start_new_session=True, env=environment(), **more)
        self.stack.callback(end, p)
        return p


def end(p, patience=5):
    """Ends a child, if need be by force."""
    p.terminate()
    try:
        p.wait(patience)
    except subprocess.TimeoutExpired:
        kill_group(p.pid)
        p.wait()


def fail(text):
    sys.exit("bench: %s" % text)
