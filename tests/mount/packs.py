"""What the tests of packs share: trees and shapes to pack, and packs written byte by byte, also such as no program writes."""
import ctypes
import hashlib
import os
import re
import struct

import harness

XXH = ctypes.CDLL("libxxhash.so.0")
ZSTD = ctypes.CDLL("libzstd.so.1")
XXH.XXH3_64bits_withSeed.restype = ctypes.c_uint64
XXH.XXH3_64bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
ZSTD.ZSTD_compress.restype = ZSTD.ZSTD_compressBound.restype = ctypes.c_size_t
ZSTD.ZSTD_compress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
ZSTD.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
HEAD = b"\x93SHP\r\n\x1a\n" + struct.pack("<HHI", 1, 0, 0)
TAG = {"path": 1, "type": 2, "size": 3, "mtime": 4, "mtime_ns": 5, "sha256": 6, "url": 7, "dataset": 8, "etag": 9, "blocks": 10}
FILE, FOLDER = 0, 1
CUBE = 7.5  # the edge of cube()
PROGRESS = re.compile(r"medshapefs: [\d.]+[KMGT]? (packed in [\d.]+[KMGT]?|of .*|)$")  # a line now and then, on a slow machine


# ---- packs

def xxh3(data, seed=0):
    return XXH.XXH3_64bits_withSeed(data, len(data), seed)


def zstd(data):
    out = ctypes.create_string_buffer(ZSTD.ZSTD_compressBound(len(data)))
    size = ZSTD.ZSTD_compress(out, len(out), data, len(data), 3)
    return out.raw[:size]


def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def lengthed(data):
    return varint(len(data)) + data


def page(kind, records):
    raw = b"".join(map(lengthed, records))
    stored = zstd(raw)
    return struct.pack("<BIIQ", kind, len(stored), len(raw), xxh3(stored)) + stored


class Row:
    """A row of the catalogue of a pack by hand; `fields` replace what follows from path and data."""

    def __init__(self, path, data=b"", type=FILE, **fields):
        self.path, self.data, self.type, self.fields = os.fsencode(path), data, type, fields

    def encode(self, offset):
        packed = b"\0\1" + self.data  # raw
        values = {"path": self.path, "type": varint(self.type), "size": varint(len(self.data)), "mtime": varint(2),
                  "sha256": hashlib.sha256(self.data).digest()}
        if self.data:
            values["blocks"] = varint(offset) + varint(len(self.data)) + varint(len(packed)) + \
                struct.pack("<QQ", xxh3(packed), xxh3(self.data))
        values.update(self.fields)
        row = b"".join(varint(TAG[k]) + lengthed(v) for k, v in sorted(values.items(), key=lambda kv: TAG[kv[0]]) if v is not None)
        return packed if self.data else b"", row


def pack(rows, datasets=(), **trailer):
    """The bytes of a pack with these rows in this order; `trailer` replaces its fields."""
    body, records = HEAD, []
    for row in rows:
        packed, record = row.encode(len(body))
        body += packed
        records.append(record)
    pages = [page(2, [lengthed(os.fsencode(k)) + v for k, v in datasets])] if datasets else []
    pages += [page(1, records)] if records else []
    total = 0
    for p in pages:
        total = xxh3(p[:17], total)
    catalogue = b"".join(pages)
    t = {"version": 1, "at": len(body), "len": len(catalogue), "files": len(rows), "text": sum(len(r.data) for r in rows),
         "sum": total, **trailer}
    end = b"SHPKEND\n" + struct.pack("<6Q", *(t[k] for k in ("version", "at", "len", "files", "text", "sum")))
    return body + catalogue + end + struct.pack("<Q", xxh3(end))


# ---- shapes

def facet(normal, *corners):
    lines = [b" facet normal " + normal, b"  outer loop", *(b"   vertex " + c for c in corners), b"  endloop", b" endfacet", b""]
    return b"\n".join(lines)


def solid(facets):
    return b"solid Visualization Toolkit generated SLA File\n" + b"".join(facets) + b"endsolid\n"


def cube():
    """A cube from (0, 0, 0) to (CUBE, CUBE, CUBE), its facets outwards."""
    facets = []
    for axis in range(3):
        for side in (0, 1):
            square = []
            for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)) if side else ((0, 0), (0, 1), (1, 1), (1, 0)):
                p = [0, 0, 0]
                p[axis], p[(axis + 1) % 3], p[(axis + 2) % 3] = side, u, v
                square.append(b"%g %g %g" % tuple(CUBE * x for x in p))
            normal = [b"0", b"0", b"0"]
            normal[axis] = b"1" if side else b"-1"
            facets += [facet(b" ".join(normal), *square[:3]), facet(b" ".join(normal), square[0], *square[2:])]
    return solid(facets)


def write_large(path, size):
    """Writes an STL of about that many bytes, none of whose vertices is twice but in neighbours."""
    def at(x, y):
        return b"%.9g %d Z" % (x * 0.37, y)
    strip = b"".join(facet(b"0 0 1", at(x, y), at(x + 1, y), at(x, y + 1)) + facet(b"0 0 1", at(x + 1, y), at(x + 1, y + 1), at(x, y + 1))
                     for y in range(20) for x in range(100))
    with open(path, "wb") as out:
        out.write(b"solid Visualization Toolkit generated SLA File\n")
        for n in range(size // len(strip)):
            out.write(strip.replace(b"Z\n", b"%d\n" % n))
        out.write(b"endsolid\n")


# ---- trees

def make(folder, files):
    """Makes files: a dict of path -> bytes; a path that ends in '/' is an empty folder."""
    for path, data in files.items():
        full = os.path.join(os.fsencode(folder), os.fsencode(path))
        os.makedirs(full if full.endswith(b"/") else os.path.dirname(full), exist_ok=True)
        if not full.endswith(b"/"):
            with open(full, "wb") as out:
                out.write(data)


def tree(folder):
    """What is below a folder: path -> (bytes, mtime in ns), or mtime of an empty folder; links by their target."""
    found, root = {}, os.fsencode(folder)
    for at, folders, files in os.walk(root):
        name = os.path.relpath(at, root)
        if not folders and not files and at != root:
            found[name + b"/"] = os.lstat(at).st_mtime_ns
        for f in files + [d for d in folders if os.path.islink(os.path.join(at, d))]:
            full = os.path.join(at, f)
            key = os.path.normpath(os.path.join(name, f))
            if os.path.islink(full):
                found[key] = os.readlink(full)
            else:
                with open(full, "rb") as data:
                    found[key] = (data.read(), os.lstat(full).st_mtime_ns)
    return found


class PackCase(harness.Case):
    def setUp(self):
        super().setUp()
        self.src, self.out = self.tmp / "src", self.tmp / "out"
        self.src.mkdir()
        self.file = self.tmp / "x.shapepack"

    def said(self, text):
        """The lines on stderr but those that tell the progress."""
        return [line for line in text.splitlines() if not PROGRESS.match(line)]

    def ok(self, *args, **more):
        done = self.program(*args, check=False, **more)
        self.assertEqual((done.returncode, self.said(done.stderr)), (0, []), args)
        return done.stdout

    def told(self, status, lines, *args, **more):
        """Runs it; it has to end with that status and to say these lines (patterns), in any order. Its output."""
        done = self.program(*args, check=False, **more)
        self.assertEqual(done.returncode, status, (args, done.stderr))
        said = self.said(done.stderr)
        self.assertEqual(len(said), len(lines), done.stderr)
        for line in said:
            self.assertTrue(line.startswith("medshapefs: "), line)
        for pattern in lines:
            self.assertTrue(any(re.search(pattern, line) for line in said), (pattern, done.stderr))
        return done.stdout

    def refused(self, status, pattern, *args, **more):
        self.assertEqual(self.told(status, [pattern], *args, **more), "")

    def write(self, rows, *args, **more):
        self.file.write_bytes(pack(rows, *args, **more))
        return self.file
