"""Inode numbers and cookies of readdir: the same after a remount, after a refresh, while a mount goes on."""
import os
import time

import harness
import shapes

FOLDERS = ["", "datasets", "datasets/TotalSegmentator", "datasets/AVT", "anatomy", "anatomy/liver", "anatomy/aortic_vessel_tree", "licenses",
           "licenses/CC-BY-4.0", "search/liver", ".medshapefs"]


def all_rows(root):
    return {folder: shapes.readdir(root / folder) for folder in FOLDERS}


class Stable(shapes.ListCase):
    def setUp(self):
        super().setUp()
        self.names = ["s%04d_liver.nii.g_1.stl" % i for i in range(300)] + ["vessel_tree_00.stl"]
        later = ["A.stl", "face_1.stl", "s9999_liver.nii.g_1.stl", "s9999_spleen.nii.g_1.stl"]  # served, but not in the list yet
        self.server = self.share(self.names + later)
        self.put(self.names)
        self.path = self.config(self.source(self.server))

    def put(self, names):
        self.server.post("/_list", "".join("http://127.0.0.1:{PORT}/s/HeShw1G4da15OOZ/download?path=%%2F&files=%s\n" % n for n in names))

    def inodes(self, mount):
        found = {p: s.st_ino for p, s in shapes.everything(mount.path).items()}
        hidden = [".medshapefs", ".medshapefs/status.json", ".nomedia", "CACHEDIR.TAG", "search/liver", "search/no such", "search/LIVER"]
        return {**found, **{p: os.lstat(mount.path / p).st_ino for p in hidden}}

    def test_remount(self):
        mount = self.mount(self.path)
        inodes, rows = self.inodes(mount), all_rows(mount.path)
        self.assertEqual(len(set(inodes.values())), len(inodes) - len(self.names), "one inode a path, shapes have two paths")
        mount.unmount()
        mount = self.mount(self.path)
        self.assertEqual(self.inodes(mount), inodes)
        self.assertEqual(all_rows(mount.path), rows)

    def test_refresh(self):
        """Paths that stay keep inode and cookie: what came does not move them, what went is not used again."""
        mount = self.mount(self.path)
        before, rows = self.inodes(mount), all_rows(mount.path)
        mount.unmount()
        new = ["s%04d_liver.nii.g_1.stl" % i for i in range(0, 300, 2)] + ["A.stl", "vessel_tree_00.stl",
                                                                           "s9999_spleen.nii.g_1.stl", "face_1.stl"]
        self.put(sorted(new, reverse=True))
        self.program("refresh", "--config", self.path)
        mount = self.mount(self.path)
        after = self.inodes(mount)
        stay = before.keys() & after.keys()
        self.assertEqual({p: after[p] for p in stay}, {p: before[p] for p in stay})
        self.assertIn("datasets/TotalSegmentator/s0298_liver.nii.g_1.stl", stay)
        self.assertNotIn("datasets/TotalSegmentator/s0299_liver.nii.g_1.stl", after)
        came = {after[p] for p in after.keys() - stay}
        self.assertEqual(len(came & set(before.values())), 0)
        for folder, new_rows in all_rows(mount.path).items():
            old = {name: (ino, cookie) for name, ino, cookie in rows[folder]}
            for name, ino, cookie in new_rows:
                self.assertEqual((ino, cookie), old.get(name, (ino, cookie)), (folder, name))

    def test_a_walk_goes_on_across_a_refresh(self):
        """Who reads a folder in parts sees each name that stays once, whatever happens between."""
        mount = self.mount(self.path)
        for folder in ("datasets/TotalSegmentator", "anatomy/liver", "search/liver"):
            rows = shapes.readdir(mount.path / folder)
            self.assertEqual(len({r[2] for r in rows}), len(rows), "each cookie once")
        half = {f: shapes.readdir(mount.path / f)[:150] for f in ("datasets/TotalSegmentator", "anatomy/liver")}
        gone = self.names[100:200]
        self.put([n for n in self.names if n not in gone] + ["s9999_liver.nii.g_1.stl"])
        self.program("refresh", "--config", self.path)
        self.until(lambda: (mount.path / "anatomy" / "liver" / "s9999_liver.nii.g_1.stl").exists())
        for folder, first in half.items():
            rest = [r[0] for r in shapes.readdir(mount.path / folder, first[-1][2])]
            seen = [r[0] for r in first]
            self.assertFalse(set(seen) & set(rest), folder)
            self.assertLessEqual(set(self.names[:300]) - set(gone) | {"s9999_liver.nii.g_1.stl"}, set(seen + rest), folder)

    def test_refresh_while_mounted(self):
        mount = self.mount(self.path)
        before = self.inodes(mount)
        kept = open(mount.path / "datasets" / "AVT" / "vessel_tree_00.stl", "rb")
        self.addCleanup(kept.close)
        self.put(self.names[:200] + ["vessel_tree_00.stl", "face_1.stl"])
        self.program("refresh", "--config", self.path)
        self.until(lambda: (mount.path / "datasets" / "FacialModels" / "face_1.stl").exists())
        self.until(lambda: not (mount.path / "datasets" / "TotalSegmentator" / self.names[250]).exists())
        after = self.inodes(mount)
        stay = before.keys() & after.keys()
        self.assertEqual({p: after[p] for p in stay}, {p: before[p] for p in stay})
        self.assertEqual(len(shapes.split(os.listdir(mount.path / "datasets" / "TotalSegmentator"))), 200)
        self.assertEqual(len(os.listdir(mount.path / "anatomy" / "liver")), 200)
        self.assertEqual(len(os.listdir(mount.path / "search" / "liver")), 200)
        self.assertEqual(len(kept.read()), os.fstat(kept.fileno()).st_size)
        self.assertIn("face_1.stl", (mount.path / "index.csv").read_text())
        self.assertIn("face_1.stl", (mount.path / "datasets" / "FacialModels" / "index.csv").read_text())

    def test_attributes_of_a_path_that_stays(self):
        mount = self.mount(self.path)
        paths = ("datasets/AVT/vessel_tree_00.stl", "anatomy/liver/" + self.names[0])

        def stats():
            return [(s.st_mode, s.st_ino, s.st_nlink, s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns)
                    for s in (os.lstat(mount.path / p) for p in paths)]

        before = stats()
        mount.unmount()
        self.program("refresh", "--config", self.path)
        mount = self.mount(self.path, path=mount.path)
        self.assertEqual(stats(), before)

    def until(self, condition):
        end = time.monotonic() + harness.PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, "the mount does not see the new catalogue")
            time.sleep(0.02)
