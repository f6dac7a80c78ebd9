"""The page shapepack(5) is right: what the program packs, the reader in Python that was written from the page unpacks."""
import math
import os
import pathlib
import shutil
import struct
import subprocess

import harness
import packs

READER = harness.ROOT / "packaging" / "examples" / "shapepack.py"
PAGE = harness.ROOT / "packaging" / "man" / "shapepack.5"
PYTHON = "/usr/bin/python3"  # Debian's, for which numpy and zstandard are packaged
VTK = "Visualization Toolkit generated SLA File"


def float32(v):
    return struct.unpack("<f", struct.pack("<f", v))[0]


def surface(n):
    """The facets of a closed, bumpy surface: n * n vertices, each used six times."""
    def vertex(i, j):
        u, v = 2 * math.pi * (i % n) / n, 2 * math.pi * (j % n) / n
        r = 40 + 10 * math.cos(v) + 0.3 * math.sin(5 * u + 3 * v)
        return tuple(float32(x) for x in (r * math.cos(u) + 55, r * math.sin(u) - 0.001, 10 * math.sin(v) + 0.2 * math.sin(9 * u)))
    for i in range(n):
        for j in range(n):
            a, b, c, d = vertex(i, j), vertex(i + 1, j), vertex(i + 1, j + 1), vertex(i, j + 1)
            yield a, b, c
            yield a, c, d


def normal(v1, v2, v3):
    a, b = [x - y for x, y in zip(v3, v2)], [x - y for x, y in zip(v1, v2)]
    n = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    size = math.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2])
    return [x / size if size else 0.0 for x in n]


def text(facets, vertex="%.17g", normals="%.17g", indents=(1, 2, 3), name=VTK, newline="\n", after=" "):
    """An STL as some writer would write it; a format is a text for % or a function."""
    show = lambda form, numbers: " ".join(form(v) if callable(form) else form % v for v in numbers)
    a, b, c = (" " * i for i in indents)
    lines = ["solid " + name]
    for facet in facets:
        lines += [a + "facet normal " + show(normals, normal(*facet)), b + "outer loop"]
        lines += [c + "vertex" + after + show(vertex, v) for v in facet]
        lines += [b + "endloop", a + "endfacet"]
    return newline.join(lines + ["endsolid" + ("" if name == VTK else " " + name), ""]).encode()


def binary(facets, head=b"", word=lambda i: 0):
    facets = list(facets)
    body = b"".join(struct.pack("<12fH", *normal(*f), *(x for v in f for x in v), word(i)) for i, f in enumerate(facets))
    return head.ljust(80, b"\0") + struct.pack("<I", len(facets)) + body


def shapes():
    small, large = list(surface(12)), list(surface(90))
    return {
        "vtk.stl": text(small), "vtk-crlf.stl": text(large[:3000], newline="\r\n"), "blocks.stl": text(large, newline="\r\n"),
        "turned.stl": text(large[::-7]), "soup.stl": text([small[0]] * 40 + [(small[1][0],) * 3]),
        "vtk-8.stl": text(small, "%g", "%g"), "admesh.stl": text(small, "% .8E", "% .8E", (2, 4, 6), "x"),
        "gmsh.stl": text(small, "%.16g", "%g", (0, 2, 4), "Created by Gmsh"), "openscad.stl": text(small, "%g", "%g", (2, 4, 6)),
        "meshlab.stl": text(small, "% .6e", "% .6e", (2, 4, 6), "vcg", after="  "), "fixed.stl": text(small, "%f", "%f", (0, 1, 2), ""),
        "shortest.stl": text(small, lambda v: repr(float("%.9g" % v)), "%.9g", name="t"), "tabs.stl": text(small).replace(b"   ", b"\t"),
        "upper.stl": text(small).upper(), "broken.stl": text(small)[:-700] + b"junk" + text(small)[900:],
        "numbers.stl": text([((1e-42, -0.0, 3e38), (float("inf"), float("nan"), -1e-30), (16777216.0, 0.1, 1e15))] * 30),
        "binary.stl": binary(large[:4000], VTK.encode()), "words.stl": binary(small, b"solid colours", lambda i: 40000 + 7 * i),
        "moved.stl": binary([tuple(tuple(x * 1.5 for x in v) for v in f) for f in small])[:-20],
    }


class Reader(packs.PackCase):
    limit = 120

    def read(self, *args, status=0):
        run = subprocess.run([PYTHON, READER, *args], capture_output=True, text=True, errors="surrogateescape", check=False)
        self.assertEqual(run.returncode, status, run.stderr)
        return run

    def check(self, files):
        packs.make(self.src, files)
        self.ok("pack", "-o", self.file, ".", cwd=self.src)
        out = self.tmp / "out"
        self.read("-x", self.file, out)
        for path, data in files.items():
            self.assertEqual((out / os.fsdecode(path)).read_bytes(), data, path)
            self.assertEqual((out / os.fsdecode(path)).stat().st_mtime_ns, (self.src / os.fsdecode(path)).stat().st_mtime_ns)
        self.assertEqual(sum(len(found) for _, _, found in os.walk(out)), len(files))
        listed = [line.split(" ", 3)[3] for line in self.read("-l", self.file).stdout.splitlines()]
        self.assertEqual(sorted(listed), sorted(map(os.fsdecode, files)))

    def test_shapes_of_many_writers(self):
        self.check(shapes())

    def test_files_of_any_kind(self):
        noise = os.urandom(1 << 16)
        self.check({"empty": b"", "one": b"x", "noise": noise, "a/b/c.txt": b"text " * 100000, "a/b.stl": b"solid nothing\n",
                    "four MiB": noise * 64, "more": noise * 64 + b"y", "\udcff": b"no UTF-8"})

    @harness.needs_data
    def test_real_files(self):
        self.check({p.name: p.read_bytes() for p in (harness.DATA / "stl").iterdir() if p.suffix.lower() == ".stl"})

    def test_damage_is_told(self):
        files = {"good.stl": text(surface(12)), "other.stl": text(surface(10))}
        packs.make(self.src, files)
        self.ok("pack", "-o", self.file, ".", cwd=self.src)
        data = bytearray(self.file.read_bytes())
        data[400] ^= 4
        self.file.write_bytes(data)
        self.assertRegex(self.read("-t", self.file, status=1).stderr, r"good\.stl: ")
        self.file.write_bytes(data[:-1])
        self.assertRegex(self.read("-t", self.file, status=1).stderr, "no whole pack")


class Page(harness.Case):
    def test_it_is_what_the_documents_say(self):
        subprocess.run([PAGE.with_name("make-shapepack"), "--check"], check=True)

    def test_it_is_a_clean_page(self):
        run = subprocess.run(["groff", "-t", "-man", "-ww", "-Tutf8", PAGE], capture_output=True, text=True, check=True)
        self.assertEqual(run.stderr, "")
        if shutil.which("mandoc"):
            run = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", PAGE], capture_output=True, text=True, check=False)
            self.assertEqual(run.stdout, "")

    def test_the_reader_is_short(self):
        self.assertLessEqual(len(pathlib.Path(READER).read_text().splitlines()), 300)
