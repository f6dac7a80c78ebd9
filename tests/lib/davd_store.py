"""What davd.py serves: names, their bytes, and the switches. Its manual is at the top of davd.py."""
import hashlib
import os
import threading
import urllib.parse
import zlib

MTIME = 1726740000  # 2024-09-19T10:00:00Z
DEFAULTS = {"gzip": 1, "ranges": 1}
NAMES = ("dav dav0 dav1 dav2 cut cut0 cut_close html bomb xrw auth busy stall missing extra nosize gzip link link_html head nolength "
         "ranges short latency list_html list_cut list_status wordy").split()


class Content:
    """Bytes of a file: part of a file on disk, or 64 digits over and over."""

    def __init__(self, size, mtime, version, path=None, seed=b""):
        self.size, self.mtime, self.path, self.seed = size, mtime, path, seed
        self.etag = '"%s"' % hashlib.md5(b"%s %d %d" % (seed, size, version)).hexdigest()

    def send(self, sock, first, length):
        if self.path is not None:
            with open(self.path, "rb") as f:
                while length > 0:
                    n = os.sendfile(sock.fileno(), f.fileno(), first, length)
                    if n == 0:
                        return
                    first, length = first + n, length - n
            return
        unit = hashlib.sha256(self.seed).hexdigest().encode() * 1024
        while length > 0:
            part = unit[first % 64:][:length]
            sock.sendall(part)
            first, length = first + len(part), length - len(part)


class Store:
    """Which names there are, what is in them, and the switches."""

    def __init__(self, args):
        self.args = args
        self.lock = threading.Lock()
        self.folders = {}
        self.samples = []
        if args.folder:
            self.samples = sorted(e.path for e in os.scandir(args.folder) if e.is_file() and e.name.lower().endswith(".stl"))
        self.by_name = {os.path.basename(p): p for p in self.samples}
        for folder, name in self.read_names():
            self.folders.setdefault(folder, {})[name] = None
        self.folders.setdefault("", {})
        self.reset()

    def read_names(self):
        if not self.args.names:
            for i in range(self.args.make):
                yield "", "shape_%07d.stl" % i
            return
        with open(self.args.names, encoding="utf-8", errors="surrogateescape") as f:
            for line in f:
                line = line.strip()
                if not line or line.startswith("#"):
                    continue
                if "://" in line:
                    q = urllib.parse.parse_qs(urllib.parse.urlsplit(line).query, errors="surrogateescape")
                    if "files" in q:
                        yield q.get("path", [""])[0].strip("/"), q["files"][0]
                else:
                    yield line.rpartition("/")[0], line.rpartition("/")[2]

    def reset(self):
        with self.lock:
            self.log = []
            self.options = dict.fromkeys(NAMES, 0) | DEFAULTS
            for text in self.args.set:
                key, _, value = text.partition("=")
                self.options[key] = int(value)
            self.changed, self.gone, self.list_text, self.list_version = {}, set(), None, 0

    def option(self, name):
        return self.options[name]

    def take_busy(self):
        with self.lock:
            had = self.options["busy"]
            self.options["busy"] = max(0, had - 1)
            return had > 0

    def content(self, folder, name):
        """The Content of a name, or None."""
        if name in self.gone or name not in self.folders.get(folder, ()):
            return None
        if name in self.changed:
            return self.changed[name]
        known = self.folders[folder][name]
        if known is None:
            raw = name.encode("utf-8", "surrogateescape")
            crc = zlib.crc32(raw)
            if self.samples:
                path = self.by_name.get(name) or self.samples[crc % len(self.samples)]
                known = Content(os.path.getsize(path), MTIME + crc % 1000, 0, path, raw)
            else:
                known = Content(84 + crc % self.args.size, MTIME + crc % 1000, 0, None, raw)
            self.folders[folder][name] = known
        return known

    def change(self, name, size, keep_etag):
        old = next((self.content(f, name) for f in self.folders if name in self.folders[f]), None)
        if old is None:
            return False
        version = self.list_version = self.list_version + 1
        new = Content(old.size if size is None else size, old.mtime + version, version, None, old.seed + b"#%d" % version)
        new.etag = old.etag if keep_etag else new.etag
        self.changed[name] = new
        return True

    def list_body(self, port):
        if self.list_text is not None:
            return self.list_text.replace(b"{PORT}", b"%d" % port)
        head = "http://127.0.0.1:%d%s/s/%s/download?path=%%2F" % (port, self.args.base, self.args.token)
        quote = lambda s: urllib.parse.quote(s, safe="", errors="surrogateescape")
        return "".join("%s%s&files=%s\n" % (head, quote(folder), quote(name))
                       for folder in self.folders for name in self.folders[folder]).encode()
