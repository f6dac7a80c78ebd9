#!/usr/bin/env python3
"""faultd: an HTTP server on 127.0.0.1 that misbehaves as told, always in the same way.

    faultd.py [--port N] [--until-eof] [--tls CERT KEY]

prints "PORT\\n" when it is ready. --until-eof: it ends when its standard input does, so that it never outlives a test.

Objects. Any path is an object, named by its last component (decoded); query strings are ignored. GET and HEAD of
/liver.stl give it with Content-Length, ETag, Last-Modified and good ranges. Size: "size" (below), else
100000 + FNV(name) % 100000. Byte i of version v (0 unless set by /_version), all in 64-bit wrapping arithmetic:

    x = ((v << 32) + FNV(name) + i / 8) * 0x9E3779B97F4A7C15;   x ^= x >> 29;   byte = x >> (8 * (i % 8)) & 255
    FNV: h = 2166136261; for each byte c of name: h = (h ^ c) * 16777619, 32 bits

Behaviour. Components of the path that begin with '!' hold directives, separated by commas: /!cut=1000,norange/liver.stl.
The same text may be given for all paths with a prefix by POST /_rule (below). Values may be percent-encoded.

    size=N         the object's size                times=K, skip=K  misbehave only for K requests of the path (after
    norange        always 200, whole                                 the first K good ones); size always holds
    chunked        no length: chunked               close            no length: ended by close
    length=+N/-N   Content-Length is wrong by N     noetag, nodate   no ETag / no Last-Modified
    weak           the ETag is weak                 attachment       Content-Disposition: attachment
    shift=N        Content-Range is off by N        total=N          Content-Range tells the total N ("*" is possible)
    crange=TEXT    that Content-Range               header=N:V       a further header line
    cut=N          closes after N body bytes        rst=N            resets after N body bytes
    stall=N        N body bytes, then silence       stallhead        silence instead of an answer
    trickle=N:MS   N bytes each MS milliseconds     delay=MS         waits before the answer
    status=CODE    an error with a small body       retry=S          Retry-After: S   retrydate=S: as a date
    html[=TITLE]   200, an HTML page                nolength         HEAD tells no length
    gzip           Content-Encoding: gzip, always   gzipask          only where Accept-Encoding has gzip
    togood         redirect to the plain path       loop             redirect to itself
    to=URL         redirect there                   code=CODE        status of the redirect (302)
    early          103 Early Hints before           garbage          something that is no HTTP

Control (answers are JSON; nothing of it is counted or logged).
    GET  /_log              list of requests: method, path, range (text or null), status, headers (lower-case names), n
    GET  /_stat             requests, in_flight, max_in_flight, connections (made so far), open
    POST /_reset            forgets log, counters, rules, versions, stored files and "times"; lets stalled ones go
    POST /_release          lets stalled requests go on (they close)
    POST /_rule?prefix=P&do=DIRECTIVES     replaces the rule of that prefix; do= empty removes it; longest prefix wins
    POST /_version?name=NAME&v=N           another content and ETag
    POST /_put?path=P[&status=S&type=T]    the request's body is what P gives from now on (any method,
                                           ranges where S is 200)
"""
import gzip
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
import zlib
from array import array
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import parse_qs, unquote, urlsplit

MASK = (1 << 64) - 1
CHUNK = 65536
PLAIN = {"size", "times", "skip"}
REASONS = {200: "OK", 206: "Partial Content", 304: "Not Modified", 404: "Not Found", 416: "Range Not Satisfiable"}


def fnv(name):
    h = 2166136261
    for c in name:
        h = (h ^ c) * 16777619 & 0xFFFFFFFF
    return h


@lru_cache(maxsize=512)
def content_chunk(seed, index):
    words = array("Q")
    first = seed + index * CHUNK // 8
    for i in range(first, first + CHUNK // 8):
        x = i * 0x9E3779B97F4A7C15 & MASK
        words.append(x ^ x >> 29)
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()


def content(seed, first, end):
    """Yields bytes [first, end) in slices."""
    while first < end:
        index, skip = divmod(first, CHUNK)
        piece = content_chunk(seed, index)[skip:skip + end - first]
        yield piece
        first += len(piece)


class State:
    """What control requests see; everything under one lock."""

    def __init__(self):
        self.lock = threading.Lock()
        self.connections = self.open = self.generation = 0
        self.clear()

    def clear(self):
        self.log, self.rules, self.versions, self.files, self.seen = [], {}, {}, {}, {}
        self.requests = self.in_flight = self.max_in_flight = 0
        self.go = threading.Event()
        self.generation += 1

    def reset(self):
        with self.lock:
            self.go.set()
            self.clear()

    def release(self):
        with self.lock:
            self.go.set()
            self.go = threading.Event()

    def begin(self, path):
        """Counts a request; returns (its number for that path, generation)."""
        with self.lock:
            self.requests += 1
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            self.seen[path] = self.seen.get(path, 0) + 1
            return self.seen[path], self.generation

    def end(self, generation):
        with self.lock:
            if generation == self.generation:
                self.in_flight -= 1

    def add_log(self, request, status):
        with self.lock:
            self.log.append({"n": len(self.log), "method": request.method, "path": request.target,
                             "range": request.headers.get("range"), "status": status, "headers": request.headers})

    def rule(self, path):
        with self.lock:
            best = max((p for p in self.rules if path.startswith(p)), key=len, default=None)
            return self.rules[best] if best is not None else ""


def parse_directives(text):
    out = {}
    for item in filter(None, text.split(",")):
        key, _, value = item.partition("=")
        out[unquote(key)] = unquote(value)
    return out


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.path = urlsplit(target).path
        self.query = {k: v[0] for k, v in parse_qs(urlsplit(target).query, keep_blank_values=True).items()}
        parts = self.path.split("/")
        self.plain = "/".join(p for p in parts if not p.startswith("!")) or "/"
        self.name = unquote(parts[-1], errors="surrogateescape")
        self.own = ",".join(p[1:] for p in parts if p.startswith("!"))

    def range_of(self, size):
        """(first, end) of a satisfiable single range, None for none, False for 416."""
        text = self.headers.get("range", "")
        if not text.startswith("bytes=") or "," in text:
            return None
        first, dash, last = text[6:].partition("-")
        if not dash or not (first + last).isdigit():
            return None
        if first == "":
            return (max(0, size - int(last)), size) if int(last) and size else False
        begin, end = int(first), min(size, int(last) + 1 if last else size)
        return (begin, end) if begin < end else False


class Gone(Exception):
    """The connection is to be closed now."""


class Connection(threading.Thread):
    def __init__(self, server, sock):
        super().__init__(daemon=True)
        self.server, self.state, self.sock = server, server.state, sock
        self.buffer = b""

    def run(self):
        with self.state.lock:
            self.state.connections += 1
            self.state.open += 1
        try:
            if self.server.tls is not None:
                self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (request := self.read_request()) is not None:
                self.answer(request)
        except (OSError, Gone, ValueError):
            pass
        finally:
            self.sock.close()
            with self.state.lock:
                self.state.open -= 1

    def fill(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def read_request(self):
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill():
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        while len(self.buffer) < length:
            if not self.fill():
                return None
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Request(method, target, headers, body)

    def answer(self, request):
        if request.path.startswith("/_"):
            return self.control(request)
        number, generation = self.state.begin(request.path)
        try:
            Answer(self, request, number).give()
        finally:
            self.state.end(generation)

    def control(self, request):
        state, q, out = self.state, request.query, {}
        if request.path == "/_log":
            with state.lock:
                out = list(state.log)
        elif request.path == "/_stat":
            with state.lock:
                out = {k: getattr(state, k) for k in ("requests", "in_flight", "max_in_flight", "connections", "open")}
        elif request.path == "/_reset":
            state.reset()
        elif request.path == "/_release":
            state.release()
        elif request.path == "/_rule":
            with state.lock:
                state.rules[q["prefix"]] = q.get("do", "")
        elif request.path == "/_version":
            with state.lock:
                state.versions[q["name"]] = int(q["v"])
        elif request.path == "/_put":
            with state.lock:
                state.files[q["path"]] = (request.body, int(q.get("status", 200)), q.get("type", "text/plain"))
        else:
            out = {"error": "no such control"}
        body = json.dumps(out).encode()
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def reset_hard(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise Gone

    def stall(self):
        """Silence until /_release, /_reset, or until the client goes."""
        go = self.state.go
        self.sock.settimeout(0.02)
        while not go.is_set():
            try:
                if not self.sock.recv(4096):
                    break
            except (TimeoutError, ssl.SSLWantReadError):
                pass
        raise Gone


class Answer:
    """One answer: what is true first, then what the directives make of it."""

    def __init__(self, connection, request, number):
        self.connection, self.request, self.state = connection, request, connection.state
        do = parse_directives(self.state.rule(request.path)) | parse_directives(request.own)
        skip, times = int(do.get("skip", 0)), int(do.get("times", MASK))
        good = number <= skip or number > skip + times
        self.do = {k: v for k, v in do.items() if k in PLAIN} if good else do
        self.status, self.headers, self.keep = 200, [("Date", formatdate(usegmt=True))], True
        self.body, self.length = iter(()), 0

    def give(self):
        do, connection = self.do, self.connection
        time.sleep(int(do.get("delay", 0)) / 1000)
        if "stallhead" in do or "garbage" in do:
            self.state.add_log(self.request, 0)
            if "garbage" in do:
                connection.sock.sendall(b"\x15\x03\x01 this is no HTTP\r\n\r\n")
                raise Gone
            connection.stall()
        if not (self.redirect() or self.error() or self.page()):
            self.object()
        self.send()

    def set(self, status, kind, body):
        self.status, self.length, self.body = status, len(body), iter((body,))
        self.headers.append(("Content-Type", kind))
        return True

    def redirect(self):
        do, request = self.do, self.request
        target = do.get("to") or ("loop" in do and request.target) or ("togood" in do and request.plain)
        if not target:
            return False
        self.headers.append(("Location", target))
        return self.set(int(do.get("code", 302)), "text/html", b"<html><title>Moved</title></html>")

    def error(self):
        if "status" not in self.do:
            return False
        if "retry" in self.do:
            self.headers.append(("Retry-After", self.do["retry"]))
        if "retrydate" in self.do:
            self.headers.append(("Retry-After", formatdate(time.time() + int(self.do["retrydate"]), usegmt=True)))
        return self.set(int(self.do["status"]), "text/plain", b"sorry\n")

    def page(self):
        if "html" not in self.do:
            return False
        title = self.do["html"] or "Login needed"
        text = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>{'x' * 5000}</body></html>\n"
        return self.set(200, "text/html; charset=utf-8", text.encode())

    def compress(self):
        asked = "gzip" in self.request.headers.get("accept-encoding", "")
        if "gzip" in self.do or ("gzipask" in self.do and asked):
            packed = gzip.compress(b"".join(self.body), 6, mtime=0)
            self.headers.append(("Content-Encoding", "gzip"))
            self.length, self.body = len(packed), iter((packed,))

    def find(self):
        """(size, inner part of the ETag, version, bytes(first, end), media type, status) of what the path names."""
        request = self.request
        with self.state.lock:
            file = self.state.files.get(request.path) or self.state.files.get(request.plain)
            version = self.state.versions.get(request.name, 0)
        if file is not None:
            body, status, kind = file
            return len(body), "%08x-%x" % (zlib.crc32(body), len(body)), 0, lambda a, b: iter((body[a:b],)), kind, status
        seed = fnv(request.name.encode("utf-8", "surrogateescape"))
        size = int(self.do.get("size") or 100000 + seed % 100000)
        tag = "%08x-%x-%x" % (seed, size, version)
        return (size, tag, version, lambda a, b: content((version << 32) + seed, a, b),
                "application/octet-stream", 200)

    def object(self):
        do, request = self.do, self.request
        size, tag, version, read, kind, status = self.find()
        etag = '%s"%s"' % ("W/" if "weak" in do else "", tag)
        self.validators(etag, version)
        if request.headers.get("if-none-match") == etag:
            self.set(304, kind, b"")
            return
        span = None if "norange" in do or "gzip" in do or status != 200 else request.range_of(size)
        if request.headers.get("if-range", etag) != etag:
            span = None
        if span is False:
            self.headers.append(("Content-Range", f"bytes */{size}"))
            self.set(416, "text/plain", b"no such range\n")
            return
        first, end = span or (0, size)
        self.set(status if span is None else 206, kind, b"")
        self.length, self.body = end - first, read(first, end)
        if span is not None:
            shift, total = int(do.get("shift", 0)), do.get("total", size)
            self.headers.append(("Content-Range",
                                 do.get("crange", f"bytes {first + shift}-{end - 1 + shift}/{total}")))
        self.compress()

    def validators(self, etag, version):
        if "noetag" not in self.do:
            self.headers.append(("ETag", etag))
        if "nodate" not in self.do:
            self.headers.append(("Last-Modified", formatdate(1700000000 + version, usegmt=True)))
        if "attachment" in self.do:
            self.headers.append(("Content-Disposition", 'attachment; filename="x"'))
        self.headers.append(("Accept-Ranges", "none" if "norange" in self.do else "bytes"))

    def send(self):
        do, request = self.do, self.request
        if "header" in do:
            self.headers.append(tuple(do["header"].split(":", 1)))
        bare = request.method == "HEAD" or self.status in (204, 304)
        chunked = "chunked" in do and not bare
        if chunked:
            self.headers.append(("Transfer-Encoding", "chunked"))
        elif "close" in do:
            self.headers.append(("Connection", "close"))
            self.keep = False
        elif not (request.method == "HEAD" and "nolength" in do) and self.status not in (204, 304):
            self.headers.append(("Content-Length", str(self.length + int(do.get("length", 0)))))
        self.state.add_log(request, self.status)
        head = f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Whatever')}\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in self.headers) + "\r\n"
        early = "HTTP/1.1 103 Early Hints\r\nETag: \"early\"\r\n\r\n" if "early" in do else ""
        self.connection.sock.sendall((early + head).encode("latin-1", "replace"))
        if not bare:
            self.send_body(chunked)
        if not self.keep or "length" in do:
            raise Gone

    def send_body(self, chunked):
        do, sock = self.do, self.connection.sock
        limit = next((int(do[k]) for k in ("cut", "rst", "stall") if k in do), None)
        step, _, pause = do.get("trickle", "0:0").partition(":")
        sent = 0
        for piece in self.body:
            while piece and (limit is None or sent < limit):
                n = int(step) or len(piece)
                part = piece[:n if limit is None else min(n, limit - sent)]
                piece = piece[len(part):]
                sock.sendall(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
                sent += len(part)
                time.sleep(int(pause) / 1000)
        if "rst" in do:
            self.connection.reset_hard()
        if "stall" in do:
            self.connection.stall()
        if "cut" in do:
            raise Gone
        if chunked:
            sock.sendall(b"0\r\nX-Trailer: HTTP/1.1 500 lie\r\nETag: \"trailer\"\r\n\r\n")


class Server:
    def __init__(self, port, tls):
        self.state, self.tls = State(), None
        if tls is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", port))
        self.sock.listen(512)

    def serve(self):
        print(self.sock.getsockname()[1], flush=True)
        while True:
            Connection(self, self.sock.accept()[0]).start()


def main(args):
    port, tls = 0, None
    while args:
        option = args.pop(0)
        if option == "--port":
            port = int(args.pop(0))
        elif option == "--tls":
            tls = (args.pop(0), args.pop(0))
        elif option == "--until-eof":
            threading.Thread(target=end_at_eof, daemon=True).start()
        else:
            sys.exit(__doc__)
    Server(port, tls).serve()


def end_at_eof():
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        pass
