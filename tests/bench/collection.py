#!/usr/bin/python3
"""What the whole collection would take packed: packs a sample of its sizes, at least 20 GB of text, and works out the rest.

The sizes are those of facet_counts.tsv of the real data: facets of 4,694 of the 106,101 files. For each size that is chosen VTK
makes one mesh of about so many facets by the chain of meshes.py, with the CR LF and the voxel spacing of the files that it
stands for; no mesh is used twice. Meshes are made, packed, verified and deleted in turn, so that some GB of disk do. Small sizes
are chosen more densely than large ones, which the result takes into account: a class's ratio is that of its own sample."""
import argparse
import bisect
import csv
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import meshes
import origins

BOUNDS = (4, 1000, 10_000, 50_000, 100_000, 300_000, 1_000_000)  # facets at which a class of sizes begins
DENSE = 100_000         # under so many facets a class is sampled by its files, over it by its bytes
DENSE_FILES = 60        # of such a class
FACET_TEXT = 312        # bytes of text that a facet takes, roughly: to choose only
BATCH = 1 << 30         # bytes of text in a pack
FILES = 106_101
HCP_FILES = 2_226       # brains and skulls of 0.6 to 2 million facets: more than a third of all bytes
WHOLE_TEXT = 2e12       # bytes of the whole collection's text, which nobody has measured: 2 TB, give or take a third
SPACINGS = ((r"[1-9]\d{5}_", (0.7, 0.7, 0.7)), (r"0\d{5}_", (2.04, 2.04, 3.0)), (r"", (1.5, 1.5, 1.5)))
FORMS = ("lobes", "ellipsoid", "torus")


class Class:
    """Sizes from one bound to the next: what the list has, and what was packed of it."""

    def __init__(self, low):
        self.low, self.listed, self.chosen = low, [], []
        self.files = self.facets = self.text = self.packed = 0


def classes(path):
    """The list's files, (facets, name), by class; stubs of fewer facets than any real shape has are left out."""
    found = [Class(low) for low in BOUNDS]
    with open(path, newline="") as f:
        for row in csv.DictReader(f, delimiter="\t"):
            facets = int(row["facets"])
            if facets >= BOUNDS[0]:
                found[bisect.bisect_right(BOUNDS, facets) - 1].listed.append((facets, row["file"]))
    for c in found:
        c.listed.sort()
    return found


def spread(listed, count):
    """So many of them, evenly."""
    count = min(count, len(listed))
    return [listed[(2 * i + 1) * len(listed) // (2 * count)] for i in range(count)]


def choose(found, text):
    """Fills each class's `chosen`, for so many bytes of text in all."""
    dense = [c for c in found if c.low < DENSE]
    for c in dense:
        c.chosen = spread(c.listed, DENSE_FILES)
    left = text - FACET_TEXT * sum(facets for c in dense for facets, _ in c.chosen)
    share = left / (FACET_TEXT * sum(facets for c in found if c not in dense for facets, _ in c.listed))
    for c in found:
        if c not in dense:
            c.chosen = spread(c.listed, max(1, round(share * len(c.listed) + 0.5)))


def spacing(name):
    return next(s for pattern, s in SPACINGS if re.match(pattern, name))


def make(job):
    """Makes one mesh in a worker; returns (path, facets, bytes of text)."""
    folder, i, facets, name = job
    path = os.path.join(folder, "%04d_%s" % (i, name))
    recipe = meshes.Recipe(name, facets, 10_000 + i, FORMS[i % len(FORMS)], spacing(name), crlf=True)
    mesh = meshes.mesh_of(recipe)
    meshes.write(mesh, path, crlf=True)
    return path, mesh.GetNumberOfPolys(), os.path.getsize(path)


def pack(program, folder, paths):
    """Packs files, verifies the pack, deletes all; returns the pack's bytes."""
    out = os.path.join(folder, "sample.shapepack")
    for argv in ([program, "pack", "-f", "-o", out, *paths], [program, "unpack", "--verify", out]):
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    size = os.path.getsize(out)
    for path in (*paths, out):
        os.unlink(path)
    return size


def measure(o, found, folder):
    jobs = [(folder, i, *file) for i, file in enumerate(file for c in found for file in c.chosen)]
    with multiprocessing.Pool(o.jobs) as pool:
        made = pool.imap(make, jobs)
        for c in found:
            batch, text = [], 0
            for i in range(len(c.chosen)):
                path, facets, size = next(made)
                batch, text = batch + [path], text + size
                c.files, c.facets, c.text = c.files + 1, c.facets + facets, c.text + size
                if text >= BATCH or i + 1 == len(c.chosen):
                    c.packed += pack(o.program, folder, batch)
                    batch, text = [], 0
                    print("%4d files, %7.2f GB of text, %6.1f times smaller (from %d facets)" % (
                        c.files, c.text / 1e9, c.text / c.packed, c.low), file=sys.stderr, flush=True)


def of_list(found):
    """(bytes of text, bytes packed) of all the files of facet_counts.tsv, from the classes' samples."""
    text = packed = 0
    for c in found:
        if c.files:
            listed = sum(facets for facets, _ in c.listed)
            text += listed * c.text / c.facets
            packed += listed * c.packed / c.facets
    return text, packed


def whole(found):
    """The same of the whole collection: HCP's files as the largest class, the others as the mean of the smaller ones."""
    large, others = found[-1], found[:-1]
    hcp = HCP_FILES * sum(facets for facets, _ in large.listed) / len(large.listed) * large.text / large.facets
    text, packed = of_list(others)
    return WHOLE_TEXT, hcp * large.packed / large.text + (WHOLE_TEXT - hcp) * packed / text, hcp


def told(found):
    lines = ["| facets of a file | files in the list | files packed | text | packed | ratio | bytes a facet |", "|" + "---|" * 7]
    for c, high in zip(found, [*BOUNDS[1:], None], strict=True):
        if c.files:
            name = "{:,} to {:,}".format(c.low, high - 1) if high else "{:,} and more".format(c.low)
            lines.append("| %s | %d | %d | %.2f GB | %.1f MB | %.1f | %.2f |" % (
                name, len(c.listed), c.files, c.text / 1e9, c.packed / 1e6, c.text / c.packed, c.packed / c.facets))
    text, packed = sum(c.text for c in found), sum(c.packed for c in found)
    lines.append("| the sample | %d | %d | %.2f GB | %.1f MB | %.1f | %.2f |" % (
        sum(len(c.listed) for c in found), sum(c.files for c in found), text / 1e9, packed / 1e6, text / packed,
        packed / sum(c.facets for c in found)))
    text, packed = of_list(found)
    lines += ["", "The files of the list, %.0f GB of text by their facets: %.1f GB packed (%.1f times smaller)." % (
        text / 1e9, packed / 1e9, text / packed)]
    text, packed, hcp = whole(found)
    lines += ["The whole collection, %d files, if its text is %.1f TB, %.0f GB of it HCP's: %.1f GB packed (%.1f times smaller)."
              % (FILES, text / 1e12, hcp / 1e9, packed / 1e9, text / packed)]
    return "\n".join(lines)


def as_json(found):
    return {"classes": [{"from": c.low, "listed": len(c.listed), "files": c.files, "facets": c.facets, "text": c.text,
                         "packed": c.packed} for c in found],
            "list": of_list(found), "whole": whole(found)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", metavar="FILE", default=origins.ROOT / "build" / "medshapefs")
    p.add_argument("--text", type=float, default=20.5, metavar="GB", help="bytes of text to pack (default: 20.5 GB)")
    p.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="meshes made at a time")
    p.add_argument("--work", metavar="DIR", default="/var/tmp", help="where some GB are free")
    p.add_argument("--out", metavar="FILE", help="write the figures there as JSON")
    o = p.parse_args()
    listed = origins.real_data("facet_counts.tsv")
    if listed is None:
        sys.exit("collection: facet_counts.tsv is not at hand (set MSFS_DATA)")
    found = classes(listed)
    choose(found, o.text * 1e9)
    folder = tempfile.mkdtemp(prefix="medshapefs-collection-", dir=o.work)
    try:
        measure(o, found, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(told(found))
    if o.out:
        with open(o.out, "w") as f:
            json.dump(as_json(found), f, indent=1)


if __name__ == "__main__":
    main()
