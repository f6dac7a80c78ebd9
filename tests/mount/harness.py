"""What mount tests stand on: a case with a private folder, servers, configurations, mounts, an ordinary user.

    class Reading(harness.Case):
        def test_cold(self):
            server = self.davd("--make", "10")
            mount = self.mount({"sources": [harness.manifest(server.url("/list.txt"))]})
            (mount.path / "datasets").iterdir()
            self.assertEqual(server.count("GET", "/s/"), 0)

All that a test starts is ended with it: mounts are unmounted and their daemons must then end with status 0. Attributes of
a class: `limit`, seconds for one test; `together`, its tests share one process (a class with setUpClass always does);
`concurrent`, it is worth a run under ThreadSanitizer. tests/run runs all of them; one alone: tests/run --filter NAME.
"""
import ctypes
import fcntl
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MSFS_BIN", ROOT / "build-release" / "medshapefs"))
DATA = next((p for p in (pathlib.Path(os.environ["MSFS_DATA"]) if "MSFS_DATA" in os.environ else ROOT.parent / "shared" / "data",)
             if p.is_dir()), None)
PATIENCE = 60 * int(os.environ.get("MSFS_SLOWDOWN", "1"))  # seconds that anything may take which is not a test of time
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

needs_data = unittest.skipUnless(DATA, "needs ../shared/data beside the checkout, or MSFS_DATA")
needs_root = unittest.skipUnless(os.geteuid() == 0, "needs root")
large = unittest.skipIf(os.environ.get("MSFS_SMALL"), "a large input")


def manifest(url, name="list", **more):
    """A source for Case.config()."""
    return {"name": name, "type": "manifest", "url": str(url), **more}


def become_subreaper():
    """Daemons that this process started become its children, so that it learns how they end."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def await_child(pid, seconds):
    """The exit status of a child (negative: a signal), or None when it has not ended by then."""
    fd = os.pidfd_open(pid)
    try:
        if not select.select([fd], [], [], seconds)[0]:
            return None
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(fd)


def mounts_below(folder):
    """The mount points below a folder, the last one first."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        points = [re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), line.split(" ")[4]) for line in f]
    return [p for p in reversed(points) if p.startswith(str(folder) + "/")]


def unmount_lazily(point):
    command = ["umount", "-l", point] if os.geteuid() == 0 else ["fusermount3", "-uz", point]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def processes(key, value):
    """The processes that have KEY=VALUE in their environment."""
    wanted = os.fsencode("%s=%s" % (key, value))
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and wanted in pathlib.Path("/proc", entry, "environ").read_bytes().split(b"\0"):
                yield int(entry)
        except OSError:
            pass


class Server:
    """A server of the tests (or nginx) as a child; `url()` makes an absolute URL on it."""

    def __init__(self, port, process):
        self.port, self.process = port, process

    def url(self, path="/"):
        return "http://127.0.0.1:%d%s" % (self.port, path)

    def get(self, path, data=None, /):
        with NO_PROXY.open(urllib.request.Request(self.url(path), data), timeout=PATIENCE) as answer:
            return answer.read()

    def post(self, path, body=b"", /, **query):
        """Asks a control path; the body may be text."""
        path += "?" + urllib.parse.urlencode(query) if query else ""
        return self.get(path, body.encode() if isinstance(body, str) else body)

    def raw_log(self):
        text = self.get("/_log").decode("utf-8", "replace")
        return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]

    def log(self):
        """The requests so far: dicts with at least method, path, range, status. Waits until none is being noted still."""
        before, now = None, self.raw_log()
        while before != now:
            time.sleep(0.01)
            before, now = now, self.raw_log()
        return now

    def requests(self, method=None, part=""):
        return [r for r in self.log() if method in (None, r["method"]) and part in urllib.parse.unquote(r["path"])]

    def count(self, method=None, part=""):
        """How many requests so far of that method have that text in their path, decoded."""
        return len(self.requests(method, part))

    def reset(self):
        self.post("/_reset")

    def stop(self):
        if self.process.stdin:
            self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Nginx(Server):
    """nginx from Debian; its log is what log_format writes below."""

    CONF = """
daemon off; pid n.pid; error_log err.log; worker_processes 1; %(user)s
events { worker_connections 1024; }
http {
  client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
  log_format line escape=json '{"method":"$request_method","path":"$request_uri","range":"$http_range","status":$status,'
    '"sent":$body_bytes_sent,"if_range":"$http_if_range","if_none_match":"$http_if_none_match"}';
  access_log access.log line; default_type application/octet-stream; sendfile on; tcp_nopush on;
  %(http)s
  server { listen 127.0.0.1:%(port)d backlog=511; root %(root)s; location = /_mark { return 204; } %(server)s }
}
"""

    def __init__(self, folder, root, server, http):
        self.folder = folder
        folder.mkdir()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(511)
        port = listener.getsockname()[1]
        text = self.CONF % {"user": "user root;" if os.geteuid() == 0 else "", "http": http, "port": port, "root": root,
                            "server": server}
        (folder / "n.conf").write_text(text)
        # nginx takes over a socket that is listening already: no port is guessed, nothing has to be waited for.
        path = os.environ["PATH"] + ":/usr/sbin"
        with open(folder / "out.log", "wb") as out:
            process = subprocess.Popen(["nginx", "-p", str(folder), "-c", "n.conf"], pass_fds=[listener.fileno()],
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       env=dict(os.environ, NGINX="%d;" % listener.fileno(), PATH=path))
        listener.close()
        super().__init__(port, process)
        self.marks = 0

    def raw_log(self):
        """nginx notes a request right after its answer; a request of ours comes behind it in the log."""
        self.marks += 1
        self.get("/_mark?%d" % self.marks)
        end = time.monotonic() + PATIENCE
        mark = '"/_mark?%d"' % self.marks
        while mark not in (text := (self.folder / "access.log").read_text()):
            if time.monotonic() > end:
                raise TimeoutError("nginx does not write its log")
            time.sleep(0.002)
        return [r for r in map(json.loads, text.splitlines()) if not r["path"].startswith("/_")]

    def reset(self):
        self.raw_log()
        os.truncate(self.folder / "access.log", 0)


class Mount:
    """A mount of the program and its daemon."""

    def __init__(self, case, path, pid, user=None, process=None):
        self.case, self.path, self.pid, self.user, self.process = case, path, pid, user, process
        self.status = None  # how the daemon ended

    def rss_anon(self):
        """Bytes of anonymous memory of the daemon."""
        text = pathlib.Path("/proc/%d/status" % self.pid).read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", text).group(1)) * 1024

    def json(self, name="status.json"):
        return json.loads((self.path / ".medshapefs" / name).read_text())

    def ended(self, seconds=PATIENCE):
        """Waits for the end of the daemon; its exit status."""
        if self.status is None:
            if self.process:
                self.status = self.process.wait(seconds)
            else:
                self.status = await_child(self.pid, seconds)
        if self.status is None:
            self.case.fail("the daemon of %s has not ended after %d s" % (self.path, seconds))
        return self.status

    def mounted(self):
        return str(self.path) in mounts_below(self.path.parent)

    def kill(self, how=signal.SIGKILL):
        """Signals the daemon and waits for its end; what SIGKILL leaves is a dead mount point."""
        os.kill(self.pid, how)
        return self.ended()

    def unmount(self):
        """As a user does it; the daemon has to end well."""
        self.case.program("unmount", self.path, user=self.user)
        self.case.assertEqual(self.ended(), 0, "exit status of the daemon")

    def finish(self):
        """The end of a test: what is mounted is unmounted."""
        if self.status is not None:
            unmount_lazily(str(self.path)) if self.mounted() else None
        elif self.mounted():
            self.unmount()
        else:
            self.case.assertEqual(self.ended(10), 0, "exit status of the daemon")


class Case(unittest.TestCase):
    limit = 60
    together = False
    concurrent = False

    def setUp(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="case-", dir=os.environ.get("MSFS_TEST_TMP")))
        os.chmod(self.tmp, 0o755)
        self.addCleanup(self.clear)
        self.numbers = {}

    def clear(self):
        """Whatever happened: nothing of this test stays."""
        for point in mounts_below(self.tmp):
            unmount_lazily(point)
        for pid in processes("MSFS_CASE", self.tmp):
            if pid != os.getpid():
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.tmp, ignore_errors=True)

    def fresh(self, name):
        """A path in the test's folder that is not used yet: name, name2, ..."""
        n = self.numbers[name] = self.numbers.get(name, 0) + 1
        return self.tmp / (name if n == 1 else "%s%d" % (name, n))

    # ---- servers

    def server(self, script, *args):
        process = subprocess.Popen([sys.executable, str(ROOT / "tests" / "lib" / script), *map(str, args)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = process.stdout.readline()
        process.stdout.close()
        server = Server(int(line or 0), process)
        self.addCleanup(server.stop)
        self.assertTrue(line, "%s did not start" % script)
        return server

    def faultd(self, *args):
        return self.server("faultd.py", "--until-eof", *args)

    def davd(self, *args):
        return self.server("davd.py", *args)

    def nginx(self, root, server="", http=""):
        """nginx over a folder; further text for its server {} and http {}."""
        nginx = Nginx(self.fresh("nginx"), root, server, http)
        self.addCleanup(nginx.stop)
        nginx.get("/_mark")
        return nginx

    # ---- the program

    def environment(self, user=None):
        env = {k: v for k, v in os.environ.items() if not re.match(r"MEDSHAPEFS|XDG_|NETRC$|.*_proxy$|.*_PROXY$", k)}
        home = self.tmp / ("home-" + (user or "self"))
        return dict(env, MSFS_CASE=str(self.tmp), HOME=str(home), XDG_CACHE_HOME=str(home / "cache"),
                    XDG_CONFIG_HOME=str(home / "config"), LC_ALL="C.UTF-8")

    def command(self, args, user=None):
        """The program and its arguments; for another user a copy that this user can reach."""
        if user is None:
            return [str(BIN), *map(str, args)]
        copy = self.tmp / "bin" / "medshapefs"
        if not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            shutil.copy(BIN, copy)
            copy.chmod(0o755)
        return ["runuser", "-u", user, "--", str(copy), *map(str, args)]

    def program(self, *args, user=None, check=True, timeout=PATIENCE, **more):
        """Runs medshapefs to its end. Its output goes by files: a daemon that it leaves behind keeps no pipe open."""
        with tempfile.TemporaryFile("w+b") as out, tempfile.TemporaryFile("w+b") as err:
            more = {"cwd": self.tmp, "stdin": subprocess.DEVNULL, "env": self.environment(user), **more}
            done = subprocess.run(self.command(args, user), stdout=out, stderr=err, timeout=timeout, check=False, **more)
            for stream in (out, err):
                stream.seek(0)
            done.stdout, done.stderr = (s.read().decode("utf-8", "surrogateescape") for s in (out, err))
        if check and done.returncode != 0:
            self.fail("medshapefs %s: exit status %d\n%s" % (" ".join(map(str, args)), done.returncode, done.stderr))
        return done

    def config(self, settings):
        """Writes a configuration; cache.dir is a folder of the test unless it is set. Its path."""
        cache = {"dir": str(self.tmp / "cache"), "min_free": "0", **settings.get("cache", {})}
        network = {"timeout": "5s", "retry_for": "10s", **settings.get("network", {})}
        path = self.fresh("config.json")
        path.write_text(json.dumps({**settings, "cache": cache, "network": network}))
        return path

    def mount(self, settings=None, options="", user=None, foreground=False, path=None):
        """Mounts: `settings` is a configuration (a dict, or the path of one) or None where `options` have source=. Returns
        when the mount answers. In the foreground the program is a child, with its messages in the file Mount.messages."""
        if isinstance(settings, dict):
            settings = self.config(settings)
        path = path or self.mountpoint(user)
        options = ",".join(o for o in ("config=%s" % settings if settings else "", options) if o)
        args = ["mount", *(["-f"] if foreground else []), *(["-o", options] if options else []), path]
        mount = self.start(args, path, user) if foreground else self.daemon(args, path, user)
        self.addCleanup(mount.finish)
        return mount

    def mountpoint(self, user=None):
        path = self.fresh("mnt")
        path.mkdir()
        if user:
            shutil.chown(path, user)
        return path

    def daemon(self, args, path, user):
        self.program(*args, user=user)
        pid = self.pid_of(path)
        if pid is None:
            unmount_lazily(str(path))
            self.fail("the mount answers, but there is no daemon for %s" % path)
        return Mount(self, path, pid, user)

    def start(self, args, path, user):
        """In the foreground; ready when the kernel has the mount and a look at it is answered."""
        messages = self.fresh("messages")
        with open(messages, "wb") as out:
            process = subprocess.Popen(self.command(args, user), cwd=self.tmp, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       env=self.environment(user), start_new_session=True)
        with open("/proc/self/mounts", "rb") as table:
            end = time.monotonic() + PATIENCE
            while str(path) not in mounts_below(path.parent):
                poll = select.poll()
                poll.register(table, select.POLLPRI)
                if process.poll() is not None or time.monotonic() > end:
                    process.kill()
                    self.fail("no mount: " + messages.read_text())
                poll.poll(100)
        os.listdir(path) if user is None else None
        mount = Mount(self, path, self.pid_of(path), user, process)
        mount.messages = messages
        return mount

    def pid_of(self, path):
        """The daemon of a mount point: a process of this test that runs the program with that argument."""
        for pid in processes("MSFS_CASE", self.tmp):
            try:
                line = pathlib.Path("/proc/%d/cmdline" % pid).read_bytes().split(b"\0")
                if os.path.basename(os.readlink("/proc/%d/exe" % pid)) == "medshapefs" and os.fsencode(path) in line \
                        and b"mount" in line:
                    return pid
            except OSError:
                pass
        return None

    # ---- an ordinary user

    def user(self):
        """Makes an ordinary user with a home in the test's folder; gone with the test. Its name."""
        name = "msfs%d" % os.getpid()
        home = self.tmp / ("home-" + name)
        with open("/tmp/msfs-useradd.lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            subprocess.run(["useradd", "--no-log-init", "--create-home", "--home-dir", home, "--shell", "/bin/sh", name],
                           check=True, capture_output=True)
        self.addCleanup(subprocess.run, ["userdel", "--force", name], check=False, capture_output=True)
        return name

    def as_user(self, user, *command, **more):
        """Runs any command as that user; a CompletedProcess with text."""
        return subprocess.run(["runuser", "-u", user, "--", *map(str, command)], env=self.environment(user), cwd=self.tmp,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False, **more)
