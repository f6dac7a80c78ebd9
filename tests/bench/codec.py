"""Rows of the codec: what shapes take packed, and how fast, against zstd and xz of the same files in the same run.

Ratios are bytes of text to packed bytes of the blocks, each file's (the lowest must reach the mark) or of all together. Speeds
are of one thread by CPU time: ours in memory, the fastest of some turns, encoding with its proof; zstd's of the tool, libzstd's
of one call, without process, files and checksum."""
import ctypes
import glob
import json
import os
import subprocess
import time

import cells
import origins
from row import OURS, Row

ZSTD3, ZSTD19, XZ, UNZSTD, LIBZSTD = "zstd -3", "zstd -19", "xz", "zstd -d", "libzstd"
SLOW_MAX = 40 << 20        # zstd -19 and xz are not asked about larger files
SLOW_LIMIT = 600           # seconds
TURNS = 5                  # of which the fastest counts
LARGE = 1_000_000          # bytes from which speeds have a mark, and can be compared with those of a whole process


def ratio_row(key, title, least=None):
    return Row(key, title, "x", ZSTD3, least=least, own=True)


def speed_row(key, title, unit, base=None, least=None, beats=None):
    return Row(key, title, unit, base, least=least, beats=beats, own=True)


def rows():
    return [
        ratio_row("ratio-real", "packed, real, from 3,000 facets", 70),
        ratio_row("ratio-real-800", "packed, real, from 800 facets", 60),
        ratio_row("ratio-real-86", "packed, real, 86 to 100 facets", 44),
        ratio_row("ratio-nine", "packed, the nine real ones together", 70),
        ratio_row("ratio-nine-small", "the same, small level", 75),
        ratio_row("ratio-smooth", "packed, smoothed, 3,000 to 2M facets", 64),
        ratio_row("ratio-smooth-800", "packed, smoothed, 800 to 1,000 facets", 60),
        ratio_row("ratio-smooth-100", "packed, smoothed, 100 to 300 facets", 44),
        ratio_row("ratio-decimated", "packed, decimated", 55),
        ratio_row("ratio-laplace", "packed, Laplacian"),
        ratio_row("ratio-wavelet", "packed, VTK's wavelet, contoured"),
        ratio_row("ratio-plain", "packed, marching cubes, not smoothed"),
        ratio_row("ratio-binary", "packed, binary STL", 9),
        speed_row("decode-real", "decode, real, over 1 MB", "GB/s", UNZSTD, 1.8, UNZSTD),
        speed_row("decode-made", "decode, generated, over 1 MB", "GB/s", UNZSTD, 1.8, UNZSTD),
        speed_row("decode-little", "decode, under 1 MB", "GB/s"),
        speed_row("decode-binary", "decode, binary STL", "GB/s"),
        speed_row("encode-real", "encode with proof, real, over 1 MB", "MB/s", ZSTD3, 400),
        speed_row("encode-made", "encode with proof, generated, over 1 MB", "MB/s", ZSTD3, 400),
        speed_row("encode-small", "the same, small level", "MB/s", ZSTD3),
    ]


class Tool:
    """zstd and xz as everybody has them, one thread, less the CPU time that they need for an empty file."""

    def __init__(self, work):
        self.packed, self.empty = work.path("packed"), work.path("empty")
        with open(self.empty, "wb"):
            pass
        self.start = {}

    def once(self, argv, out):
        with open(out, "wb") as f:
            return cells.command(argv, SLOW_LIMIT, stdout=f).cpu

    def pack(self, path, *argv):
        """(bytes, seconds of CPU)"""
        seconds = self.once([*argv, "-c", path], self.packed)
        if argv not in self.start:
            self.start[argv] = min(self.once([*argv, "-c", self.empty], self.packed + ".empty") for _ in range(TURNS))
        return os.path.getsize(self.packed), max(seconds - self.start[argv], 1e-6)

    def unpack(self):
        """Seconds of CPU that unpacking what was packed last takes."""
        least = {}
        for path in (self.packed + ".empty", self.packed):
            least[path] = min(self.once(["zstd", "-q", "-d", "-c", path], os.devnull) for _ in range(TURNS))
        return max(least[self.packed] - least[self.packed + ".empty"], 1e-6)

    def unpack_in_memory(self, size):
        """The same by one call of the library, without a process, a file or a checksum of the tool around it."""
        with open(self.packed, "rb") as f:
            packed = f.read()
        call, out, least = ctypes.CDLL("libzstd.so.1").ZSTD_decompress, ctypes.create_string_buffer(size), float("inf")
        call.restype, call.argtypes = ctypes.c_size_t, [ctypes.c_char_p, ctypes.c_size_t] * 2
        for _ in range(2 * TURNS):
            begin = time.process_time()
            if call(out, size, packed, len(packed)) != size:
                raise cells.Failed("libzstd: not what was packed")
            least = min(least, time.process_time() - begin)
        return least


class File:
    """One file: its kind, its facets, and what each system made of it (`size` in bytes, `encode`, `decode` in seconds)."""

    def __init__(self, path, kind):
        self.path, self.kind = path, kind
        self.text = os.path.getsize(path)
        with open(path, "rb") as f:
            head = f.read(84)
            self.facets = int.from_bytes(head[80:], "little")
            if kind != "binary":
                self.facets = self.text // 290 if self.text > SLOW_MAX else f.read().count(b"endfacet")
        self.size, self.encode, self.decode = {}, {}, {}


def real_files(folder):
    return [File(p, "real") for p in sorted(glob.glob(os.path.join(folder, "s[0-9]*.nii.g_1.stl")))]


def ask_program(program, files, small):
    """Lets codec_files pack, prove and unpack the files; keeps what it tells."""
    argv = [program, "--json"] + (["--small"] if small else []) + [f.path for f in files]
    p = subprocess.run(argv, stdout=subprocess.PIPE, env=cells.environment(), check=False)
    if p.returncode != 0:
        raise cells.Failed("codec_files: %d" % p.returncode)
    name = "small" if small else OURS
    for f, told in zip(files, json.loads(p.stdout)["files"], strict=True):
        f.size[name], f.encode[name], f.decode[name] = told["packed"], told["encode"], told["decode"]


def ask_others(work, files, quick, say):
    tool, slow = Tool(work), 4 << 20 if quick else SLOW_MAX
    for f in files:
        say("%s: zstd, xz" % os.path.basename(f.path))
        if f.text <= slow:
            f.size[ZSTD19], _ = tool.pack(f.path, "zstd", "-q", "-19", "-T1")
            f.size[XZ], _ = tool.pack(f.path, "xz", "-T1")
        f.size[ZSTD3], f.encode[ZSTD3] = tool.pack(f.path, "zstd", "-q", "-3", "-T1")
        f.decode[UNZSTD], f.decode[LIBZSTD] = tool.unpack(), tool.unpack_in_memory(f.text)


def ratios(row, files, ours=OURS, together=False):
    """Fills a row with each file's ratio for each system, the largest files where a system was asked about them."""
    row.names = [os.path.basename(f.path) for f in files]
    for system in (OURS, ZSTD3, ZSTD19, XZ):
        key = ours if system == OURS else system
        asked = [f for f in files if key in f.size]
        if together and asked:
            row.values[system] = [sum(f.text for f in asked) / sum(f.size[key] for f in asked)]
        elif asked:
            row.values[system] = [f.text / f.size[key] for f in asked]


def speeds(row, files, way, unit, ours=OURS):
    row.names = [os.path.basename(f.path) for f in files]
    for system, key in ((OURS, ours), (row.base, row.base), *([(LIBZSTD, LIBZSTD)] if way == "decode" else [])):
        if system and files:
            row.values[system] = [f.text / getattr(f, way)[key] / unit for f in files]


def fill(rows_by_key, files):
    """All rows from what was measured of the files."""
    kinds = {}
    for f in files:
        kinds.setdefault(f.kind, []).append(f)
    real, smooth = kinds.get("real", []), kinds["smooth"] + kinds["scan"]
    made = [f for f in files if f.kind not in ("real", "binary")]

    def among(group, low, high=float("inf")):
        return [f for f in group if low <= f.facets < high]

    for key, group in (("real", among(real, 3000)), ("real-800", among(real, 800)), ("real-86", among(real, 0, 101)),
                       ("smooth", among(smooth, 2400)), ("smooth-800", among(smooth, 600, 2400)),
                       ("smooth-100", among(smooth, 0, 600)), ("decimated", kinds["decimated"]), ("laplace", kinds["laplace"]),
                       ("wavelet", kinds["wavelet"]), ("plain", kinds["plain"]), ("binary", kinds["binary"])):
        ratios(rows_by_key["ratio-" + key], group)
    ratios(rows_by_key["ratio-nine"], real, together=True)
    ratios(rows_by_key["ratio-nine-small"], real, "small", together=True)
    for key, group in (("real", real), ("made", made)):
        large = [f for f in group if f.text >= LARGE]
        speeds(rows_by_key["decode-" + key], large, "decode", 1e9)
        speeds(rows_by_key["encode-" + key], large, "encode", 1e6)
    speeds(rows_by_key["decode-little"], [f for f in real + made if f.text < LARGE], "decode", 1e9)
    speeds(rows_by_key["decode-binary"], kinds["binary"], "decode", 1e9)
    speeds(rows_by_key["encode-small"], [f for f in real if f.text >= LARGE], "encode", 1e6, "small")


def session(bench):
    """Measures all of it once."""
    program = bench.codec_program
    made = bench.origins.meshes("codec")
    if made is None:
        return
    files = [File(path, name.split("-")[0]) for name, path in made.items()]
    folder = origins.real_data("stl")
    files += real_files(folder) if folder else []
    real = [f for f in files if f.kind == "real"]
    if not real:
        bench.notes.append("codec: the real samples are not at hand")
    try:
        bench.say("codec_files")
        ask_program(program, files, False)
        if real:
            ask_program(program, real, True)
        ask_others(bench.work, files, bench.options.quick, bench.say)
    except (cells.Failed, OSError) as e:
        bench.notes.append("codec: %s" % e)
        for row in rows():
            bench.rows[row.key].marks[OURS] = "failed"
        return
    finally:
        bench.say("")
    fill(bench.rows, files)
    bench.notes.append("codec: zstd -19 and xz were not asked about files over %d MB; speeds are of one thread's CPU time" % (
        (4 if bench.options.quick else SLOW_MAX >> 20)))
