"""The real list of 106,101 shapes, its links rewritten to servers of the tests that give the sample files for any name: by
nginx, which tells sizes file by file, and by davd.py, which lists the share as ownCloud does."""
import collections
import csv
import hashlib
import mmap
import os
import random
import re
import subprocess
import tarfile
import urllib.parse

import harness

SHAPES = 106101
SHARE = "https://uni-duisburg-essen.sciebo.de"
DATASETS = {"TotalSegmentator": 68949, "autoPET": 30691, "VerSe": 2742, "HCP": 2226, "BraTS": 922, "KiTS21": 300, "3D-COSI": 103,
            "SkullFix": 100, "AVT": 56, "FacialModels": 12}
CLASSES = {"aortic_vessel_tree": 56, "brain_tumor": 922, "face": 12, "kidney_tumor": 300, "vertebra": 2742, "instrument_bone_forceps": 2}
ANONYMOUS = 32 << 20


def run(*command, cwd):
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=harness.PATIENCE).stdout


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Real:
    """What both servers have to pass."""

    def counts(self, root):
        self.assertEqual({d: n for d in os.listdir(root / "datasets") if (n := self.shapes(root / "datasets" / d))}, DATASETS)
        self.assertEqual(len(os.listdir(root / "datasets")), 35)
        classes = {c: len(os.listdir(root / "anatomy" / c)) for c in os.listdir(root / "anatomy")}
        self.assertEqual(sum(classes.values()), SHAPES)
        self.assertEqual({c: classes.get(c) for c in CLASSES}, CLASSES)
        self.assertEqual(classes, self.classes_by_spelling(root))
        self.assertFalse([c for c in classes if re.search(r"left|right", c)])
        self.assertEqual(int(run("sh", "-c", "find datasets -name '*.stl' | wc -l", cwd=root)), SHAPES)
        self.assertEqual(int(run("sh", "-c", "find . -type f | wc -l", cwd=root)), 2 * SHAPES + 35 * 4 + 3)

    def shapes(self, folder):
        return sum(name.endswith(".stl") for name in os.listdir(folder))

    def classes_by_spelling(self, root):
        """The counts of the list's own spellings, each spelling's class as index.csv has it for one of its shapes."""
        with open(root / "index.csv", newline="", encoding="utf-8") as f:
            rows = list(csv.DictReader(f))
        self.assertEqual(len(rows), SHAPES)
        known, count = {}, collections.Counter()
        for row in rows:
            spelling = self.spelling(os.path.basename(row["path"]))
            self.assertEqual(known.setdefault((row["dataset"], spelling), (row["anatomy"], row["side"])), (row["anatomy"], row["side"]))
        with open(harness.DATA / "manifest_classes.tsv", encoding="utf-8") as f:
            for row in csv.DictReader(f, delimiter="\t"):
                count[known[(row["dataset"].rstrip("?"), row["class"])][0]] += int(row["count"])
        return dict(count)

    @staticmethod
    def spelling(name):
        stem = re.sub(r"(\.nii\.g_1)?\.stl$", "", name)
        for pattern in (r"s\d{4}_(.+)", r"\d{3}_instrument3DCOSI_(.+)", r"(vessel_tree)_\d+", r"(face)_\d+", r"(ct_skull)_\d+", r"\d{6}_(.+)"):
            if found := re.fullmatch(pattern, stem):
                return found.group(1)
        return stem

    def session(self, root):
        """What a user does with one class: ls -l, cp -r, tar, sha256sum, du, Python."""
        folder = root / "anatomy" / "face"
        listed = run("ls", "-l", folder, cwd=root).splitlines()
        self.assertEqual(len(listed), 13)
        sizes = {line.split()[-1]: int(line.split()[4]) for line in listed[1:]}
        want = {name: self.content(name) for name in sizes}
        self.assertEqual(sizes, {name: len(data) for name, data in want.items()})
        run("cp", "-r", folder, self.tmp / "copy", cwd=root)
        self.assertEqual({p.name: p.read_bytes() for p in (self.tmp / "copy").iterdir()}, want)
        run("tar", "-cf", self.tmp / "face.tar", "-C", root, "datasets/FacialModels", "anatomy/face", cwd=root)
        with tarfile.open(self.tmp / "face.tar") as tar:
            files = [m for m in tar if m.name.endswith(".stl")]
            self.assertEqual((len(files), sum(m.islnk() for m in files)), (24, 12), "content is in it once, as hard links")
            self.assertEqual({os.path.basename(m.name): tar.extractfile(m).read() for m in files}, want)
        sums = run("sh", "-c", "sha256sum anatomy/face/*", cwd=root).splitlines()
        self.assertEqual({os.path.basename(x.split("  ")[1]): x.split("  ")[0] for x in sums}, {n: sha256(d) for n, d in want.items()})
        self.assertEqual(int(run("du", "-s", "-B1", "--apparent-size", "anatomy/face", cwd=root).split()[0]), sum(sizes.values()))
        self.assertEqual(int(run("du", "-s", "-B512", "anatomy/face", cwd=root).split()[0]), sum(-(-s // 512) for s in sizes.values()))
        self.assertEqual(len(run("du", "-a", "anatomy/face", "datasets/FacialModels", cwd=root).splitlines()), 13 + 5, "hard links once")
        self.by_python(folder, want)

    def by_python(self, folder, want):
        name = max(want, key=lambda n: len(want[n]))
        data = want[name]
        with open(folder / name, "rb") as f:
            self.assertEqual(f.read(5), data[:5])
            f.seek(-100, os.SEEK_END)
            self.assertEqual(f.read(), data[-100:])
            for at in random.Random(1).choices(range(len(data)), k=50):
                f.seek(at)
                self.assertEqual(f.read(77), data[at:at + 77])
            with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
                self.assertEqual(len(m), len(data))
                self.assertEqual(m[len(data) // 2:][:1000], data[len(data) // 2:][:1000])
                self.assertEqual(m.find(b"facet"), data.find(b"facet"))
                self.assertEqual(m[:], data)

    def rewritten(self, base):
        text = (harness.DATA / "MedShapeNetDataset.txt").read_text(encoding="ascii")
        path = self.tmp / "list.txt"
        path.write_text(text.replace(SHARE, base), encoding="ascii")
        return path

    def content(self, name):
        return self.server.get("/s/HeShw1G4da15OOZ/download?path=%2F&files=" + urllib.parse.quote(name))


@harness.needs_data
class ByLinks(Real, harness.Case):
    """nginx over the samples: any name means one of them, always the same."""

    def setUp(self):
        super().setUp()
        samples = sorted(p.name for p in (harness.DATA / "stl").iterdir() if p.name.endswith(".stl"))
        share = "%.2f" % (100 / len(samples) - 0.01)
        split = "split_clients $arg_files $pick {\n%s* %s;\n}" % ("".join("%s%% %s;\n" % (share, s) for s in samples[:-1]), samples[-1])
        self.server = self.nginx(harness.DATA / "stl", http=split, server="""
            location ~ ^/s/[^/]+/download$ { rewrite ^ /$pick break; add_header Content-Disposition 'attachment; filename="$arg_files"'; }""")
        path = self.rewritten(self.server.url("").rstrip("/"))
        self.mounted = self.mount({"sources": [harness.manifest(path.as_uri())]})

    def test_session(self):
        root = self.mounted.path
        self.server.reset()
        self.counts(root)
        self.assertEqual(self.server.log(), [], "names cost nothing")
        self.assertTrue(self.mounted.json()["catalog"]["without_sizes"])
        self.session(root)
        first = run("ls", "-l", root / "anatomy" / "liver", cwd=root)
        self.assertEqual(first.count(".stl\n"), len(os.listdir(root / "anatomy" / "liver")))
        self.assertLessEqual(self.server.count("HEAD"), first.count("\n") + 12)


@harness.needs_data
class ByWebDav(Real, harness.Case):
    """davd.py over the samples: sizes by PROPFIND."""

    def setUp(self):
        super().setUp()
        self.server = self.davd("--names", harness.DATA / "MedShapeNetDataset.txt", "--folder", harness.DATA / "stl")
        path = self.rewritten(self.server.url("").rstrip("/"))
        self.mounted = self.mount({"sources": [harness.manifest(path.as_uri())]})

    def test_session(self):
        root = self.mounted.path
        self.assertEqual(len([r for r in self.server.requests("PROPFIND") if r["depth"] == "1" and r["status"] == 207]), 1)
        self.server.reset()
        self.assertFalse(self.mounted.json()["catalog"]["without_sizes"])
        self.counts(root)
        out = run("ls", "-l", "-R", cwd=root)
        self.assertEqual(out.count(".stl\n"), 2 * SHAPES)
        run("du", "-s", cwd=root)
        self.assertEqual(self.server.log(), [], "a full crawl costs nothing")
        if harness.PATIENCE == 60:  # sanitizers have memory of their own
            self.assertLess(self.mounted.rss_anon(), ANONYMOUS)
        v = os.statvfs(root)
        self.assertEqual(v.f_files, SHAPES)
        self.assertGreater(v.f_blocks * v.f_frsize, SHAPES * 84)
        self.session(root)
