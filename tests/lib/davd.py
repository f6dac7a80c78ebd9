#!/usr/bin/env python3
"""An ownCloud-like server for tests: public shares over download links and WebDAV, with switchable faults.

    davd.py [--names FILE | --make N] [--folder DIR | --size BYTES] [--token T] [--base /PATH] [--port P] [--set OPT=VALUE]...

It listens on 127.0.0.1, prints "PORT\n" when it is ready, and ends when its standard input is closed or on SIGTERM.

What it serves (BASE is "" unless --base is given):
  BASE/status.php
  BASE[/index.php]/s/TOKEN/download?path=P&files=N   GET and HEAD as ownCloud 10: no ETag, no Last-Modified, a range past the
                                          end gives 200 and the whole file, Accept-Ranges only with a 206, always an attachment
  BASE/public.php/webdav/...              WebDAV, Basic user = TOKEN                  (root 0)
  BASE/public.php/dav/files/TOKEN/...     WebDAV without login                        (root 1)
  BASE/remote.php/dav/public-files/TOKEN/...                                          (root 2)
      PROPFIND Depth 0 and 1, streamed in chunks, gzip when asked for; GET and HEAD as sabre: strong ETag, If-Range, If-Match,
      If-None-Match, one range, 416 without Content-Range, "bytes=0-0" gives 206 and the whole file, no Accept-Ranges, no
      Content-Length for empty files
  BASE/list.txt                           a list of links to all of it (ETag, Last-Modified, 304, gzip)
  BASE/plain/FOLDER/NAME                  the files as a plain web server gives them

Names come from --names FILE (links with path= and files=, or bare "folder/name" lines; '#' comments) or from a formula
(--make N: shape_0000000.stl ...). A name's bytes are those of one file of --folder DIR, chosen by crc32(name) modulo the number
of its files in order of name (a file of that very name is preferred), or, without a folder, 64 hex digits that depend on the name,
over and over, of 84 + crc32(name) % SIZE bytes in all.

Control, all under POST (answers "ok"):
  /_set?OPT=VALUE      switches below; also --set
  /_change?name=N[&size=S][&keep_etag=1]    new bytes (of S bytes, else as many as before), new time, new ETag
  /_gone?name=N        that file is 404 from now on; /_back?name=N undoes both
  /_list               the body becomes the text of list.txt ("{PORT}" stands for the port); an empty one restores it
  /_reset              empties the log and undoes all of the above
GET /_log              one JSON object a line for each request so far: method, path (with query), range, status, user, sent, and the
                       header lines that matter (if_none_match, if_range, accept_encoding, depth, x_requested_with)

Switches (0 is off unless said otherwise):
  dav, dav0, dav1, dav2   status that PROPFIND and GET on the WebDAV roots (or on one of them) answer, e.g. 401, 404, 405
  cut        PROPFIND Depth 1 breaks off after that many bytes of XML     cut_close  the same, but ends as if it were whole
  cut0       as cut, on root 0 only
  html       PROPFIND answers 200 with an HTML page                       bomb       PROPFIND answers with an entity bomb
  xrw        401 on WebDAV without "X-Requested-With: XMLHttpRequest"     auth       roots 1 and 2 want the user "public"
  busy       the next that many requests get 503 and "Retry-After: 1"     stall      seconds before the first byte of PROPFIND
  missing    every that many-th name is left out of PROPFIND              extra      that many names more in PROPFIND
  nosize     PROPFIND tells no getcontentlength                           gzip       1: PROPFIND may be compressed
  wordy      PROPFIND names what is missing, also for "Brief: t"
  link       status that download links answer                            link_html  they answer 200 with an HTML page
  head       status that HEAD answers (anywhere)                          nolength   GET and HEAD of content tell no length
  ranges     1: ranges are served; 0: ignored everywhere                  short      content ends that many bytes early
  latency    milliseconds before each answer with content                 list_html, list_cut, list_status   for list.txt
"""
import argparse
import base64
import email.utils
import gzip
import json
import os
import socket
import socketserver
import sys
import threading
import time
import urllib.parse
import zlib

from davd_store import MTIME, NAMES, Content, Store

HTML = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Who are you?</body></html>\n"
BOMB = b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY a%d "%s">' % (i, (b"&a%d;" % (i - 1) if i > 1 else b"&a;") * 10) for i in range(1, 10)
) + b']><d:multistatus xmlns:d="DAV:"><d:response>&a9;</d:response></d:multistatus>'
REASONS = {200: "OK", 206: "Partial Content", 207: "Multi-Status", 304: "Not Modified", 401: "Unauthorized", 403: "Forbidden",
           404: "Not Found", 405: "Method Not Allowed", 412: "Precondition Failed", 416: "Range Not Satisfiable",
           500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable"}


class Handler(socketserver.BaseRequestHandler):
    """One connection."""

    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.request.makefile("rb", 65536)
        self.keep, self.status = True, 0
        try:
            while self.keep and self.read_request():
                self.sent = 0
                self.answer()
                self.note()
                self.status = 0
        except (ConnectionError, TimeoutError, ValueError):
            if self.status:
                self.note()

    def read_request(self):
        line = self.reader.readline(65536)
        if not line.strip():
            return False
        self.method, target, _ = line.decode("latin-1").split(" ", 2)
        self.headers = {}
        while (line := self.reader.readline(65536)) not in (b"\r\n", b"\n", b""):
            key, _, value = line.decode("latin-1").partition(":")
            self.headers[key.strip().lower()] = value.strip()
        self.body = self.reader.read(int(self.headers.get("content-length", 0)))
        self.keep = self.headers.get("connection", "").lower() != "close"
        self.target = target
        path, _, self.query = target.partition("?")
        self.path = urllib.parse.unquote(path, errors="surrogateescape")
        return True

    def note(self):
        h = self.headers
        if self.path.startswith("/_"):
            return
        row = {"method": self.method, "path": self.target, "range": h.get("range", ""), "status": self.status, "user": self.user(),
               "sent": self.sent, "if_none_match": h.get("if-none-match", ""), "if_range": h.get("if-range", ""),
               "accept_encoding": h.get("accept-encoding", ""), "depth": h.get("depth", ""),
               "x_requested_with": h.get("x-requested-with", "")}
        with self.server.store.lock:
            self.server.store.log.append(row)

    def user(self):
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return ""
        return base64.b64decode(value).decode("latin-1").partition(":")[0]

    def head(self, status, headers):
        self.status = status
        lines = ["HTTP/1.1 %d %s" % (status, REASONS.get(status, "Status")),
                 "Date: " + email.utils.formatdate(usegmt=True)]
        lines += ["%s: %s" % pair for pair in headers]
        if not self.keep:
            lines.append("Connection: close")
        self.request.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape"))

    def reply(self, status, body=b"", kind="text/plain", headers=()):
        length = [] if status == 304 else [("Content-Length", len(body)), ("Content-Type", kind)]
        self.head(status, length + list(headers))
        if self.method != "HEAD" and status != 304:
            self.request.sendall(body)
            self.sent = len(body)

    def answer(self):
        s = self.server.store
        base = s.args.base
        if self.path.startswith("/_"):
            return self.control()
        if s.take_busy():
            return self.reply(503, b"busy", headers=[("Retry-After", 1)])
        if self.method == "HEAD" and s.option("head"):
            return self.reply(s.option("head"))
        if not self.path.startswith(base + "/"):
            return self.reply(404)
        path = self.path[len(base):]
        roots = ["/public.php/webdav", "/public.php/dav/files/" + s.args.token, "/remote.php/dav/public-files/" + s.args.token]
        for number, root in enumerate(roots):
            if path == root or path.startswith(root + "/"):
                return self.webdav(number, base + root, path[len(root):].strip("/"))
        if path == "/list.txt":
            return self.list()
        if path == "/status.php":
            return self.reply(200, json.dumps({"installed": True, "maintenance": False, "version": "10.13.4.0",
                                               "productname": "ownCloud", "product": "ownCloud"}).encode(), "application/json")
        if path in ["/s/%s/download" % s.args.token, "/index.php/s/%s/download" % s.args.token]:
            return self.link()
        if path.startswith("/plain/"):
            folder, _, name = path[len("/plain/"):].rpartition("/")
            return self.plain(s.content(folder, name))
        return self.reply(404, HTML, "text/html")

    def control(self):
        s = self.server.store
        q = urllib.parse.parse_qs(self.query, keep_blank_values=True, errors="surrogateescape")
        first = {key: value[0] for key, value in q.items()}
        if self.path == "/_log":
            with s.lock:
                rows = list(s.log)
            return self.reply(200, "".join(json.dumps(row) + "\n" for row in rows).encode())
        if self.method != "POST":
            return self.reply(405)
        fine = True
        if self.path == "/_reset":
            s.reset()
        elif self.path == "/_set":
            fine = all(key in NAMES for key in first)
            s.options.update({key: int(value) for key, value in first.items() if key in NAMES})
        elif self.path == "/_change":
            fine = s.change(first["name"], int(first["size"]) if "size" in first else None, "keep_etag" in first)
        elif self.path == "/_gone":
            s.gone.add(first["name"])
        elif self.path == "/_back":
            s.gone.discard(first["name"])
            s.changed.pop(first["name"], None)
        elif self.path == "/_list":
            s.list_text = self.body or None
            s.list_version += 1
        else:
            fine = False
        return self.reply(200 if fine else 404, b"ok\n" if fine else b"no\n")

    def list(self):
        s = self.server.store
        if s.option("list_status"):
            return self.reply(s.option("list_status"), HTML, "text/html")
        if s.option("list_html"):
            return self.reply(200, HTML, "text/html")
        body = s.list_body(self.server.server_address[1])
        etag = '"%08x-%d"' % (zlib.crc32(body), len(body))
        headers = [("ETag", etag), ("Last-Modified", email.utils.formatdate(MTIME + s.list_version, usegmt=True))]
        if self.headers.get("if-none-match") == etag:
            return self.reply(304, headers=headers)
        if s.option("list_cut"):
            self.keep = False
            self.head(200, headers + [("Content-Length", len(body)), ("Content-Type", "text/plain")])
            return self.request.sendall(body[:s.option("list_cut")])
        if "gzip" in self.headers.get("accept-encoding", ""):
            body = gzip.compress(body, 1)
            headers.append(("Content-Encoding", "gzip"))
        return self.reply(200, body, headers=headers)

    def range(self, size):
        """(first, last) of a single satisfiable range, "past" for one past the end, or None."""
        text = self.headers.get("range", "")
        if not self.server.store.option("ranges") or not text.startswith("bytes=") or "," in text:
            return None
        first, _, last = text[6:].partition("-")
        if first == "":
            return (max(0, size - int(last)), size - 1) if int(last) > 0 and size > 0 else "past"
        first, last = int(first), min(int(last) if last else size - 1, size - 1)
        return (first, last) if first <= last else "past"

    def send_content(self, status, c, first, last, headers):
        s = self.server.store
        if s.option("latency"):
            time.sleep(s.option("latency") / 1000)
        length = last - first + 1
        if status == 206:
            headers = headers + [("Content-Range", "bytes %d-%d/%d" % (first, last, c.size))]
        if s.option("nolength") and status == 200:
            self.keep = False
        else:
            headers = headers + [("Content-Length", length)]
        self.head(status, headers + [("Content-Type", "application/octet-stream")])
        if self.method == "HEAD":
            return
        short = min(s.option("short"), length)
        c.send(self.request, first, length - short)
        self.sent = length - short
        self.keep = self.keep and short == 0

    def link(self):
        s = self.server.store
        q = urllib.parse.parse_qs(self.query, errors="surrogateescape")
        if s.option("link"):
            return self.reply(s.option("link"), HTML, "text/html")
        if s.option("link_html"):
            return self.reply(200, HTML, "text/html")
        if "files" not in q:
            self.keep = False
            self.head(200, [("Content-Type", "application/zip"), ("Content-Disposition", 'attachment; filename="share.zip"')])
            return self.request.sendall(b"PK\x05\x06" + bytes(18))
        name = q["files"][0]
        c = s.content(q.get("path", [""])[0].strip("/"), name)
        if c is None:
            return self.reply(404, HTML, "text/html")
        disposition = "attachment; filename*=UTF-8''" + urllib.parse.quote(name, safe="", errors="surrogateescape")
        headers = [("Content-Disposition", disposition), ("Cache-Control", "no-cache, no-store, must-revalidate"),
                   ("Expires", "0"), ("Pragma", "public")]
        r = self.range(c.size)
        if r is None or r == "past":
            return self.send_content(200, c, 0, c.size - 1, headers)
        return self.send_content(206, c, r[0], r[1], headers + [("Accept-Ranges", "bytes")])

    def plain(self, c):
        if c is None:
            return self.reply(404, HTML, "text/html")
        headers = [("ETag", c.etag), ("Last-Modified", email.utils.formatdate(c.mtime, usegmt=True)), ("Accept-Ranges", "bytes")]
        r = self.range(c.size)
        if self.headers.get("if-range", c.etag) != c.etag:
            r = None
        if r == "past":
            return self.reply(416, headers=[("Content-Range", "bytes */%d" % c.size)])
        if r is None:
            return self.send_content(200, c, 0, c.size - 1, headers)
        return self.send_content(206, c, r[0], r[1], headers)

    def error(self, status, message):
        body = ('<?xml version="1.0" encoding="utf-8"?>\n<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">'
                "<s:exception>Exception</s:exception><s:message>%s</s:message></d:error>\n" % message).encode()
        headers = [("WWW-Authenticate", 'DummyBasic realm="ownCloud"')] if status == 401 else []
        self.reply(status, body, "application/xml; charset=utf-8", headers)

    def webdav(self, number, root, path):
        s = self.server.store
        status = s.option("dav%d" % number) or s.option("dav")
        if status:
            return self.error(status, "refused")
        if s.option("xrw") and self.headers.get("x-requested-with") != "XMLHttpRequest":
            return self.error(401, "Cannot authenticate over ajax calls")
        if number == 0 and self.user() != s.args.token:
            return self.error(401, "Username or password was incorrect")
        if number > 0 and s.option("auth") and self.user() != "public":
            return self.error(401, "Username or password was incorrect")
        if self.method == "PROPFIND":
            return self.propfind(root, path)
        if self.method not in ("GET", "HEAD"):
            return self.error(405, "no")
        folder, _, name = path.rpartition("/")
        return self.dav_content(s.content(folder, name))

    def dav_content(self, c):
        if c is None:
            return self.error(404, "File not found")
        headers = [("ETag", c.etag), ("Last-Modified", email.utils.formatdate(c.mtime, usegmt=True)),
                   ("Content-Disposition", "attachment")]
        if self.headers.get("if-match", c.etag) not in (c.etag, "*"):
            return self.error(412, "An If-Match header was specified")
        if self.headers.get("if-none-match") == c.etag:
            return self.reply(304, headers=headers)
        r = self.range(c.size)
        if self.headers.get("if-range", c.etag) != c.etag:
            r = None
        if r == "past":
            return self.error(416, "The start offset exceeded the size of the entity")
        if self.headers.get("range") == "bytes=0-0" and r is not None:
            return self.send_content(206, c, 0, c.size - 1, headers)
        if c.size == 0:
            self.keep = False
            return self.head(200, headers + [("Content-Type", "application/octet-stream")])
        if r is None:
            return self.send_content(200, c, 0, c.size - 1, headers)
        return self.send_content(206, c, r[0], r[1], headers)

    def propfind(self, root, path):
        s = self.server.store
        depth = self.headers.get("depth", "infinity")
        if s.option("stall") and depth == "1":
            time.sleep(s.option("stall"))
        if s.option("html"):
            return self.reply(200, HTML, "text/html")
        if s.option("bomb"):
            return self.reply(207, BOMB, "application/xml")
        if depth not in ("0", "1"):
            return self.error(412, "Depth infinity not supported")
        parent, _, name = path.rpartition("/")
        if path in s.folders or any(f.startswith(path + "/") for f in s.folders):
            entries = self.folder_entries(path) if depth == "1" else []
            return self.multistatus(root, path, entries, depth)
        c = s.content(parent, name)
        if c is None:
            return self.error(404, "File with name %s could not be located" % "x")
        return self.multistatus(root, parent, [(name, c)], "file")

    def folder_entries(self, path):
        s = self.server.store
        missing = s.option("missing")
        for i, name in enumerate(s.folders.get(path, ())):
            c = s.content(path, name)
            if c is not None and not (missing and i % missing == 0):
                yield name, c
        for i in range(s.option("extra")):
            yield "extra_%07d.stl" % i, Content(i, MTIME, 0)

    def xml(self, root, path, entries, depth):
        minimal = self.headers.get("brief", "") == "t" or "return=minimal" in self.headers.get("prefer", "")
        minimal = minimal and not self.server.store.option("wordy")
        absent = "" if minimal else ("<d:propstat><d:prop><oc:checksums/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status>"
                                     "</d:propstat>")
        nosize = self.server.store.option("nosize")
        quote = urllib.parse.quote
        lower = str.maketrans("ABCDEF", "abcdef")

        def href(text):
            encoded = quote(text, safe="/()@~", errors="surrogateescape")
            return "%".join(p if i == 0 else p[:2].translate(lower) + p[2:] for i, p in enumerate(encoded.split("%")))

        here = href(root + "/" + (path + "/" if path else ""))
        yield ('<?xml version="1.0"?>\n<d:multistatus xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns" '
               'xmlns:oc="http://owncloud.org/ns">')
        if depth != "file":
            yield ("<d:response><d:href>%s</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype>"
                   "<d:getetag>&quot;f0&quot;</d:getetag></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>%s</d:response>"
                   % (here, absent))
        dates, fileid = {}, 1000
        for name, c in entries:
            if c.mtime not in dates:
                dates[c.mtime] = email.utils.formatdate(c.mtime, usegmt=True)
            fileid += 1
            yield ("<d:response><d:href>%s%s</d:href><d:propstat><d:prop><d:resourcetype/>%s<d:getlastmodified>%s"
                   "</d:getlastmodified><d:getetag>&quot;%s&quot;</d:getetag><oc:fileid>%d</oc:fileid></d:prop>"
                   "<d:status>HTTP/1.1 200 OK</d:status></d:propstat>%s</d:response>"
                   % (here, href(name), "" if nosize else "<d:getcontentlength>%d</d:getcontentlength>" % c.size, dates[c.mtime],
                      c.etag[1:-1], fileid, absent))
        yield "</d:multistatus>\n"

    def multistatus(self, root, path, entries, depth):
        s = self.server.store
        squeeze = s.option("gzip") and "gzip" in self.headers.get("accept-encoding", "")
        packer = zlib.compressobj(1, zlib.DEFLATED, 31) if squeeze else None
        own = s.option("cut0") if root.endswith("/public.php/webdav") else 0
        cut = (own or s.option("cut") or s.option("cut_close")) if depth == "1" else 0
        headers = [("Content-Type", "application/xml; charset=utf-8"), ("Transfer-Encoding", "chunked")]
        self.head(207, headers + ([("Content-Encoding", "gzip")] if squeeze else []))
        total, parts, held = 0, [], 0

        def flush(last=False):
            data = "".join(parts).encode("utf-8", "surrogateescape")
            parts.clear()
            if packer:
                data = packer.compress(data) + (packer.flush() if last else b"")
            if data:
                self.request.sendall(b"%x\r\n%s\r\n" % (len(data), data))
                self.sent += len(data)

        for part in self.xml(root, path, entries, depth):
            if cut and total + len(part) > cut:
                parts.append(part[:cut - total])
                flush(last=s.option("cut_close") > 0)
                self.keep = False
                if s.option("cut_close"):
                    self.request.sendall(b"0\r\n\r\n")
                return
            parts.append(part)
            total, held = total + len(part), held + len(part)
            if held > 262144:
                flush()
                held = 0
        flush(last=True)
        self.request.sendall(b"0\r\n\r\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256


def main():
    p = argparse.ArgumentParser(usage=__doc__.replace("%", "%%"))
    p.add_argument("--names")
    p.add_argument("--make", type=int, default=0)
    p.add_argument("--folder")
    p.add_argument("--size", type=int, default=4096)
    p.add_argument("--token", default="HeShw1G4da15OOZ")
    p.add_argument("--base", default="")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--set", action="append", default=[])
    args = p.parse_args()
    with Server(("127.0.0.1", args.port), Handler) as server:
        server.store = Store(args)
        os.write(1, b"%d\n" % server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        while sys.stdin.buffer.read(4096):
            pass


if __name__ == "__main__":
    main()
