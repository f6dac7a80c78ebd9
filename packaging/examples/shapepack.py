#!/usr/bin/python3
"""Lists, checks and unpacks .shapepack files without medshapefs, by the book: shapepack(5).

    shapepack.py -l PACK               list: size, packed size, SHA-256, path
    shapepack.py -t PACK               unpack all in memory and check the SHA-256 of each file
    shapepack.py -x PACK DIR [PATH...] unpack all, or these, below DIR
Needs Debian's python3-numpy and python3-zstandard. Slow, but right: it is meant to be read.
"""
import hashlib, itertools, os, pathlib, struct, sys
import numpy, zstandard
numpy.seterr(all="ignore")  # what is not finite is dealt with below
F32, U32, MASK = numpy.float32, numpy.uint32, 0xFFFFFFFF
HERE = pathlib.Path(__file__).resolve()
TABLES = [HERE.with_name("small-tables.txt"), *(p / "docs/small-tables.txt" for p in HERE.parents),
          *(pathlib.Path(p, "share/doc/medshapefs/small-tables.txt") for p in ("/usr", "/usr/local"))]

class View:
    """Bytes that are read from the front; or plain bits of them, from the lowest bit of each byte upwards."""
    def __init__(self, data): self.data, self.at = data, 0
    def take(self, n):
        if n > self.left(): raise ValueError("cut short")
        self.at += n
        return self.data[self.at - n:self.at]
    def left(self): return len(self.data) - self.at
    def byte(self): return self.take(1)[0]
    def varint(self):
        byte = self.byte()
        return byte if byte < 128 else (byte & 127) + (self.varint() << 7)
    def bits(self, n):
        word = int.from_bytes(self.data[self.at >> 3:(self.at >> 3) + 8], "little") >> (self.at & 7)
        self.at += n
        return word & ((1 << n) - 1)

def unzigzag(z): return z >> 1 ^ -(z & 1)

def unzstd(frame, size):
    data = zstandard.ZstdDecompressor().decompress(frame, max_output_size=size) if size else b""
    if len(data) != size: raise ValueError("a frame of another length")
    return data

def words(planes, shape):  # 32-bit words from four planes of bytes
    return sum(numpy.frombuffer(p, numpy.uint8).astype(U32) << U32(8 * i) for i, p in enumerate(planes)).reshape(shape)

# ---- where the tokens and residuals of a mesh come from
class Streams:  # way 0
    def __init__(self, view, vertices):
        def stream():
            size, packed = view.varint(), view.varint()
            return unzstd(view.take(packed), size) if packed else view.take(size)
        self.smooth, self.planes, self.scale = view.take(1) != b"\0", view.take(1) != b"\0", view.take(12)
        tokens, self.numbers = iter(stream()), View(stream())
        self.token, self.number = lambda at, outs, ins: next(tokens), self.numbers.varint
        if self.planes:
            self.high = iter(words([stream() for _ in range(4)], (3, vertices)).T.flatten().tolist())
        else:
            self.high, self.escapes, self.low = iter(stream()), View(stream()), View(view.take(view.left()))
    def residual(self, kind, axis, e):
        if self.planes: return next(self.high)
        z = z + self.escapes.varint() if (z := next(self.high)) == 255 else z
        n = min(max(self.scale[3 * kind + axis] - e, 0), 24)
        return (z << n) + self.low.bits(n) & MASK

class Small:  # ways 1 and 2: an adaptive binary range coder
    GROUPS = ([0, 7, 1, 2, 3] + [4, 5] * 4 + [6] * 18 + [7], [0, 7, 1, 2, 2, 2, 3] + [4] * 3 + [5] * 3 + [6] * 18 + [7])
    def __init__(self, view, smooth):
        self.smooth, self.base = smooth, view.byte()
        self.plain, coded = View(view.take(view.varint())), view.take(view.left()) + bytes(4)
        self.p = [256 * int(word) for word in next(p for p in TABLES if p.exists()).read_text().split()]
        self.range, self.code, self.coded, self.group = MASK, int.from_bytes(coded[:4], "big"), iter(coded[4:]), [0, 0, 0]
    def tree(self, n, i):
        node = 1
        for _ in range(n):
            at, bound = i + node, (self.range >> 12) * (self.p[i + node] >> 4)
            if self.code < bound:
                node, self.range, self.p[at] = 2 * node, bound, self.p[at] + ((65535 - self.p[at]) >> 4)
            else:
                self.p[at] = max(self.p[at] - (self.p[at] >> 4), 32)
                node, self.range, self.code = 2 * node + 1, self.range - bound, self.code - bound
            while self.range < 1 << 24:
                self.range, self.code = self.range << 8, self.code << 8 | next(self.coded, 0)
        return node - (1 << n)
    def token(self, at, outs, ins):
        a, b, c = self.group
        context = 8 * b + c if not at else 64 + 4 * a + min(len(ins[at[0]]), 3)
        if len(at) == 2:
            into, out = ins[at[1]], outs[at[0]]
            q = 3 if into and out and into[0] == out[0][0] else min(len(out), 2)
            context = 96 + 4 * (3 * b + min(len(into), 2)) + q
        t = self.tree(5, 32 * context)
        self.group[len(at)] = self.GROUPS[len(at) > 0][t]
        return t
    def number(self):
        n = min(self.tree(6, 6144), 32)
        return n if n < 2 else (1 << n - 1) + self.plain.bits(n - 1)
    def residual(self, kind, axis, e):
        q = self.tree(6, 6208 + 64 * kind)
        n = (self.plain.bits(6) if q == 63 else q - (32 + e - self.base)) - 1
        if not 0 <= n < 32: return 0
        first = min(n, 2)
        return ((1 << first) + self.tree(first, 6464 + 4 * q) << n - first) + self.plain.bits(n - first)

# ---- a mesh: references, then positions
def references(source, facets, vertices):
    """The vertex of each corner, and the vertex across the edge opposite of it (-1: none)."""
    outs, ins = [[] for _ in range(vertices)], [[] for _ in range(vertices)]
    newest, cursor, jump, before, corner, across = 0, [0, 0], 0, [0, 0, 0], [], [-1] * (3 * facets)
    def search(at, step, n):
        found = (v for v in range(at, at + 64 * step, step) if 0 <= v < vertices and (outs[v] or ins[v]))
        return next(itertools.islice(found, n, None))
    def vertex(t, at):
        if t == 0: return newest
        if t in (1, 31): return cursor[t == 31] + unzigzag(source.number())
        if t >= 29: return search(jump, 1, t - 29)
        if t >= 25: return search(cursor[(t - 25) // 2] - 1, -1, (t - 25) % 2)
        if t >= 13: return search(cursor[(t - 17) // 4] + 1, 1, (t - 17) % 4) if t >= 17 else newest - (t - 12)
        if at: return ins[at[-1]][t - 2] if t < 6 else outs[at[0]][t - 6][0] if t < 10 else before[t - 10]
        return before[t - 2] if t < 5 else outs[before[(t - 5) // 2]][0][0] if t % 2 else ins[before[(t - 5) // 2]][0]
    for f in range(facets):
        at = []
        for _ in range(3):
            v = vertex(t := source.token(at, outs, ins), at)
            if not 0 <= v <= newest or v >= vertices: raise ValueError("no such vertex")
            jump = v if t in (1, 29, 30, 31) else jump
            if v == newest: newest += 1
            elif newest - v > 4: cursor[abs(v - cursor[1]) < abs(v - cursor[0])] = v
            at.append(v)
        corner += at
        for i, k in ((0, 2), (1, 0), (2, 1)):
            a, b, mine = at[i], at[(i + 1) % 3], 3 * f + k
            edge = next((edge for edge in outs[b] if edge[0] == a), None)
            if edge:
                outs[b].remove(edge)
                if b in ins[a]: ins[a].remove(b)
                across[mine], across[edge[1]] = corner[edge[1]], at[k]
            elif len(outs[a]) < 4 and len(ins[b]) < 4:
                outs[a][:0], ins[b][:0] = [(b, mine)], [a]
        before = at
    return corner, across

def mean(terms):
    return sum(terms, numpy.zeros(3, F32)) * (F32(1) / F32(len(terms) or 1))

def positions(source, vertices, corner, across):
    p, ring, known = numpy.zeros((vertices, 3), F32), numpy.zeros((vertices, 3), F32), [False] * vertices
    fan, last = [[] for _ in range(vertices)], [[] for _ in range(vertices)]
    for i, v in enumerate(corner):
        fan[v].append((corner[i + 1 if i % 3 < 2 else i - 2], corner[i + 2 if i % 3 < 1 else i - 1], across[i]))
    for v, star in enumerate(fan if source.smooth else []):
        if (sum(y for y, _, _ in star) - sum(z for _, z, _ in star)) & MASK == 0:
            last[max(v, *(y for y, _, _ in star))].append(v)
    around = lambda v, x: sum((p[y] for y, _, _ in fan[v] if y != x or v == x), numpy.zeros(3, F32))
    ordered = lambda u: u if u < 1 << 31 else u ^ 0x7FFFFFFF
    for x in range(vertices):
        terms, said, sure = [(p[y] - p[o]) + p[z] for y, z, o in fan[x] if y < x and z < x and 0 <= o < x], [], False
        guess, kind = mean(terms), 1 if source.smooth and terms else min(len(terms), 3)
        if not terms:
            y, z = fan[x][0][:2]
            guess = p[y] if y < x else p[z] if z < x else p[x - 1] if x else guess
            guess = (p[y] + p[z]) * F32(0.5) if y < x and z < x else guess
        for v in (v for v in last[x] if v != x):
            whole = [(ring[y] - ring[o]) + ring[z] for y, z, o in fan[v] if known[y] and known[z] and o >= 0 and known[o]]
            bend = mean(whole or [ring[y] for y, _, _ in fan[v] if known[y]])
            said.append(F32(len(fan[v])) * (p[v] + F32(0.953125) * bend) - around(v, x))
            sure = sure or len(whole) > 0
        if sure: guess, kind = mean(said), 3
        elif said and terms: guess, kind = guess + F32(0.703125) * (mean(said) - guess), 2
        for axis, b in enumerate(guess.view(U32).tolist()):
            b = 0 if b >> 23 & 255 == 255 else b
            p.view(U32)[x, axis] = ordered(ordered(b) + unzigzag(source.residual(kind, axis, b >> 23 & 255)) & MASK)
        for v in last[x]:
            total, known[v] = around(v, x) + (p[x] if v != x else F32(0)), True
            ring[v] = total * (F32(1) / F32(len(fan[v]))) - p[v]
    return p

# ---- blocks: text around a mesh
VTK = b"Visualization Toolkit generated SLA File"
KNOWN = [b"", b"solid %s\n" % VTK, b"solid %s\r\n" % VTK, b"endsolid\n", b"endsolid\r\n", VTK + bytes(40), b"solid Created by Gmsh\n",
         b"endsolid Created by Gmsh\n", b"solid OpenSCAD_Model\n", b"endsolid OpenSCAD_Model\n"]
LAYOUTS = [((1, 2, 3, 1, 1, 0), (0, 17, 0, 17)), ((1, 2, 3, 1, 1, 1), (0, 17, 0, 17)), ((1, 2, 3, 1, 1, 0), (0, 6, 16, 6)),
           ((1, 2, 3, 1, 1, 1), (0, 6, 16, 6)), ((2, 4, 6, 1, 1, 0), (13, 8, 29, 8)), ((0, 2, 4, 1, 1, 0), (0, 16, 16, 6)),
           ((2, 4, 6, 1, 1, 0), (0, 6, 16, 6)), ((2, 4, 6, 1, 2, 0), (9, 6, 25, 6))]

def layout(view):
    """The 13 texts between the numbers of a facet (none: binary), and the formats."""
    def regular(a, b, c, g, h, crlf):
        nl, a, b, c, g, h = b"\r\n" if crlf else b"\n", b" " * a, b" " * b, b" " * c, b" " * g, b" " * h
        text = {0: a + b"facet normal" + g, 3: nl + b + b"outer loop" + nl + c + b"vertex" + h, 6: nl + c + b"vertex" + h,
                9: nl + c + b"vertex" + h, 12: nl + b + b"endloop" + nl + a + b"endfacet" + nl}
        return [text.get(i, b" ")[:64] for i in range(13)]
    head = view.byte()
    number, texts, formats = head & 31, [], (0, 0, 16, 0)
    for _ in range(13 if number == 0 else 0):
        texts.append(texts[n - 128] if (n := view.byte()) >= 128 else view.take(n))
    if number == 1: texts = regular(*view.take(6))
    if number >= 3: texts, formats = regular(*LAYOUTS[number - 3][0]), LAYOUTS[number - 3][1]
    return texts, view.take(4) if head & 128 else formats

def show(v, style, precision):
    s = ("%%.%d%s" % (precision, "gefs"[style & 3])) % v if style & 3 < 3 else repr(float(str(F32(v))))
    s = "-" + s if v != v and numpy.signbit(v) else " " + s if style & 8 and s[0] != "-" else s
    return (s.upper() if style & 4 else s).encode()

def normals_of(v1, v2, v3):
    (ax, ay, az), (bx, by, bz) = (v3 - v2).T, (v1 - v2).T
    n = numpy.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])
    length = numpy.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2])
    n /= numpy.where(length != 0, length, 1)
    return numpy.where(numpy.isfinite(n), n, 0.0).T

def unpack_mesh(view):
    frame = lambda size, n: unzstd(view.take(n), size) if n else bytes(size)
    (texts, formats), flags, runs = layout(view), view.byte(), []
    for left in range(view.varint(), -1, -1):
        runs.append((KNOWN[(code := view.varint()) & 15], code >> 4, view.varint() if left else 0))
    own, facets = sum(n for _, n, _ in runs), sum(n for _, _, n in runs)
    own = View(frame(own, view.varint()) if flags & 1 else view.take(own))
    for _ in range((facets - 1) // 208 if texts else 0): view.varint()
    z = words([frame(3 * facets, view.varint() if flags & 2 else 0) for _ in range(4)], (3, facets)).T
    attributes = numpy.frombuffer(frame(2 * facets, view.varint() if flags & 4 else 0), numpy.uint8).reshape(2, facets).T
    way, count, vertices = view.varint(), view.varint(), view.varint()
    source = Streams(view, vertices) if way == 0 else Small(view, way == 1)
    corner, across = references(source, count, vertices)
    xyz, corner = positions(source, vertices, corner, across), numpy.array(corner).reshape(facets, 3)
    normals = normals_of(*(xyz[corner[:, k]].astype(float) for k in range(3)))
    if formats[2] & 16:
        order = lambda u: numpy.where(u >> U32(31), ~u, u | U32(1 << 31))
        o = order(normals.astype(F32).view(U32)) + (z >> U32(1) ^ (U32(0) - (z & U32(1))))
        normals = numpy.where(o >> U32(31), o & U32(0x7FFFFFFF), ~o).view(F32)
    if texts:
        vertex = [[show(v, *formats[:2]) for v in row] for row in xyz.tolist()]
        rows = ([show(v, *formats[2:]) for v in n] + vertex[a] + vertex[b] + vertex[c] + [b""]
                for n, (a, b, c) in zip(normals.tolist(), corner.tolist()))
        parts = (b"".join(itertools.chain(*zip(texts, row))) for row in rows)
    else:
        table = numpy.concatenate([normals, xyz[corner].reshape(facets, 9)], axis=1).astype("<f4")
        parts = (row.tobytes() + word.tobytes() for row, word in zip(table, attributes))
    return b"".join(known + own.take(n) + b"".join(itertools.islice(parts, count)) for known, n, count in runs)

def unpack_block(data, size):
    if data[0] > 2 or data[1] != 1: raise ValueError("codec %d of version %d is unknown here" % (data[0], data[1]))
    text = data[2:] if data[0] == 0 else unzstd(data[2:], size) if data[0] == 1 else unpack_mesh(View(data[2:]))
    if len(text) != size: raise ValueError("a block of another length")
    return text

# ---- the pack
class Pack:
    def __init__(self, path):
        self.file = open(path, "rb")
        head, end = self.read(0, 16), self.file.seek(-64, os.SEEK_END)
        magic, version, self.catalogue, self.length, _, _, _, _ = struct.unpack("<8s7Q", self.read(end, 64))
        if (head[:10], magic, version) != (b"\x93SHP\r\n\x1a\n\1\0", b"SHPKEND\n", 1): sys.exit(path + ": no whole pack of version 1")
    def read(self, at, n):
        return View(os.pread(self.file.fileno(), n, at)).take(n)
    def rows(self):  # the fields of each row, by their tags
        at = self.catalogue
        while at < self.catalogue + self.length:
            kind, stored, raw, _ = struct.unpack("<BIIQ", self.read(at, 17))
            page = View(unzstd(self.read(at + 17, stored), raw) if kind == 1 else b"")
            while page.left():
                row, fields = View(page.take(page.varint())), {}
                while row.left(): fields.setdefault(row.varint(), row.take(row.varint()))
                yield fields
            at += 17 + stored
    def blocks(self, row):  # the packed bytes and the length of text of each block
        view, size = View(row.get(10, b"\0\1")), number(row, 3)
        at, unit = view.varint(), view.varint()
        for start in range(0, size, unit):
            yield self.read(at, packed := view.varint()), min(unit, size - start)
            at += packed

def number(row, tag): return View(row[tag]).varint() if tag in row else 0

def extract(pack, row, name, folder):
    """Unpacks a file and checks its SHA-256; writes it below `folder`, unless that is None."""
    if "\0" in name or {"", ".", ".."} & set(name.split("/")): raise ValueError("a path that climbs")
    path = pathlib.Path(folder or "/nowhere", name)
    if number(row, 2) == 1: return folder and path.mkdir(parents=True, exist_ok=True)
    data = b"".join(unpack_block(packed, size) for packed, size in pack.blocks(row))
    if hashlib.sha256(data).digest() != row[6]: raise ValueError("the SHA-256 does not match")
    if folder:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, ns=(unzigzag(number(row, 4)) * 10 ** 9 + number(row, 5),) * 2)

def main(what, file, folder=None, *paths):
    pack, failed = Pack(file), ""
    for row in pack.rows():
        name = os.fsdecode(row[1])
        if what == "-l": print(number(row, 3), sum(len(data) for data, _ in pack.blocks(row)), row.get(6, b"").hex(), name)
        elif not paths or name in paths:
            try:
                extract(pack, row, name, folder if what == "-x" else None)
            except (ValueError, IndexError, KeyError, StopIteration, zstandard.ZstdError) as error:
                print(failed := "%s: %s: %s" % (file, name, error), file=sys.stderr)
    return failed != ""

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("-l", "-t", "-x") or (sys.argv[1] == "-x") != (len(sys.argv) > 3):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
