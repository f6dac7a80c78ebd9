"""Folders that list shapes which live elsewhere: anatomy/ and search/."""
import errno
import os
import shutil
import unicodedata

import harness
import shapes

# Two shapes of one name in datasets of one class; one name in several folders of one dataset.
CLASHES = ["a/face_1.stl", "b/face_1.stl", "c/face_2.stl", "face_3.stl"]


def inodes(folder):
    return {name: os.lstat(os.path.join(folder, name)).st_ino for name in os.listdir(folder)}


class Anatomy(shapes.ListCase):
    def test_classes(self):
        _, mount = self.mounted(shapes.KNOWN)
        want = {}
        for name, (_, organ) in shapes.KNOWN.items():
            if organ:
                want.setdefault(organ, []).append(name)
        self.assertEqual(sorted(os.listdir(mount.path / "anatomy")), sorted(want))
        for organ, names in want.items():
            self.assertEqual(sorted(os.listdir(mount.path / "anatomy" / organ)), sorted(names))
        self.assertFalse((mount.path / "anatomy" / "rib_left_1").exists())

    def test_one_inode_by_every_path(self):
        _, mount = self.mounted(shapes.KNOWN)
        for name, (dataset, organ) in shapes.KNOWN.items():
            plain = os.lstat(mount.path / "datasets" / dataset / name)
            self.assertEqual(plain.st_nlink, 2 if organ else 1, name)
            if organ:
                self.assertEqual(os.lstat(mount.path / "anatomy" / organ / name), plain)
            query = "dataset:%s" % dataset
            self.assertEqual(os.lstat(mount.path / "search" / query / name), plain)
            self.assertIn((name, plain.st_ino), [row[:2] for row in shapes.readdir(mount.path / "search" / query)])

    def test_content_is_fetched_once_for_all_paths(self):
        server, mount = self.mounted(["012345_liver.stl"])
        first = (mount.path / "datasets" / "autoPET" / "012345_liver.stl").read_bytes()
        self.assertEqual((mount.path / "anatomy" / "liver" / "012345_liver.stl").read_bytes(), first)
        self.assertEqual((mount.path / "search" / "liver" / "012345_liver.stl").read_bytes(), first)
        self.assertEqual(server.count("GET", "012345_liver"), 1)

    def test_generated_files_have_one_name(self):
        _, mount = self.mounted(shapes.KNOWN)
        self.assertEqual(os.lstat(mount.path / "README.txt").st_nlink, 1)
        self.assertEqual(os.lstat(mount.path / "datasets" / "AVT" / "LICENSE.txt").st_nlink, 1)


class Clashes(shapes.ListCase):
    """What has the same name in one such folder is called STEM~DATASET.stl there, whichever came first."""

    def two_datasets(self, first, second):
        """Two sources with forced datasets whose shapes have the same name and class."""
        one, two = self.share(["s0001_liver.nii.g_1.stl", "face_1.stl"]), self.share(["s0001_liver.nii.g_1.stl"])
        source = [harness.manifest(s.url("/list.txt"), name, dataset=dataset)
                  for s, name, dataset in ((one, "one", first), (two, "two", second))]
        return self.mount({"sources": source})

    def test_two_datasets(self):
        for first, second in (("TotalSegmentator", "ASOCA"), ("ASOCA", "TotalSegmentator")):
            with self.subTest(first=first):
                mount = self.two_datasets(first, second)
                name = "s0001_liver.nii.g_1.stl"
                want = {"s0001_liver.nii.g_1~%s.stl" % d: os.lstat(mount.path / "datasets" / d / name).st_ino for d in (first, second)}
                self.assertEqual(len(set(want.values())), 2)
                folder = mount.path / "search" / "liver"
                self.assertEqual(inodes(folder), want)
                self.assertFalse(os.path.lexists(folder / name), "the plain name means none of them")
                self.assertEqual({r[0]: r[1] for r in shapes.readdir(folder)}, want)
                alone = mount.path / "search" / ("liver dataset:" + first)
                self.assertEqual(list(inodes(alone)), [name])
                mount.unmount()
                shutil.rmtree(self.tmp / "cache")

    def test_several_folders_of_one_dataset(self):
        _, mount = self.mounted(CLASHES)
        base = mount.path / "datasets" / "FacialModels"
        self.assertEqual(shapes.split(os.listdir(base)), ["a", "b", "c", "face_3.stl"])
        both = {os.lstat(base / x / "face_1.stl").st_ino for x in "ab"}
        for folder in (mount.path / "anatomy" / "face", mount.path / "search" / "face"):
            seen = inodes(folder)
            self.assertEqual(sorted(seen), ["face_1~FacialModels.stl", "face_1~FacialModels~2.stl", "face_2.stl", "face_3.stl"])
            self.assertEqual({seen["face_1~FacialModels.stl"], seen["face_1~FacialModels~2.stl"]}, both)
            for name, ino in seen.items():
                self.assertEqual(os.stat(folder / name).st_ino, ino)
                self.assertEqual(os.stat(folder / name).st_nlink, 2)
        self.assertEqual({p.read_bytes() for p in (mount.path / "anatomy" / "face").iterdir()},
                         {p.read_bytes() for p in base.rglob("*.stl")})

    def test_a_name_that_looks_like_a_clash(self):
        """What is really called STEM~DATASET.stl does not hide, and is not hidden by, the name made for a clash."""
        _, mount = self.mounted(["a/face_1.stl", "b/face_1.stl", "c/face_1~FacialModels.stl"])
        folder = mount.path / "search" / "face"
        seen = inodes(folder)
        self.assertEqual(len(seen), 3, seen)
        self.assertEqual(len(set(seen.values())), 3)
        listed = shapes.readdir(folder)
        self.assertEqual({(n, i) for n, i, _ in listed}, set(seen.items()))


class Search(shapes.ListCase):
    def setUp(self):
        super().setUp()
        self.root = self.mounted(shapes.KNOWN)[1].path
        self.search = self.root / "search"

    def match(self, query):
        return sorted(os.listdir(self.search / query))

    def test_terms(self):
        rib, lung = ["012345_costa1left.stl", "s0001_rib_left_1.nii.g_1.stl"], \
            ["012345_lunglowerlobeleft.stl", "s0002_lung_lower_lobe_left.nii.g_1.stl"]
        livers = ["012345_liver.stl", "s0001_liver.nii.g_1.stl"]
        for query, want in {
                "liver": livers, "LIVER": livers, "liver autopet": livers[:1], "liver+autopet": livers[:1],
                " liver  ": livers, "++liver": livers, "rib_1": rib, "anatomy:rib1": rib, "anatomy:RIB_1": rib, "anatomy:rib": [],
                "side:left lung": lung, "side:right": [], "side:none anatomy:liver": livers, "subject:012345 liver": livers[:1],
                "subject:12345": [], "dataset:auto-pet liver": livers[:1], "dataset:auto": [], "-autopet liver": livers[1:],
                "licence:MIT": ["000001_tumoredKidney.stl"], "ext:stl liver": livers, "ext:.stl liver": livers, "ext:json": [],
                "-ext:stl": [], "costa1left": rib[:1], "something": ["something else.stl"], "unicorn": [],
                "download": [], "http": [], "liver -liver": []}.items():
            with self.subTest(query=query):
                self.assertEqual(self.match(query), want)
                paths = self.program("search", "--config", self.tmp / "config.json", "--", query).stdout.split("\n")[:-1]
                self.assertEqual(sorted(map(os.path.basename, paths)), want, "the command says the same")

    def test_unparsable(self):
        for query in ("side:up", "frob:x", "dataset:", "-", "anatomy:__", "+", " "):
            with self.subTest(query=query):
                with self.assertRaises(FileNotFoundError):
                    os.listdir(self.search / query)
                said = self.program("search", "--config", self.tmp / "config.json", "--", query, check=False)
                self.assertEqual(said.returncode, 2)
                self.assertRegex(said.stderr, r"\Amedshapefs: .+\n\Z")

    def test_dots(self):
        for name in (".liver", ".", ".hidden", "...", ".git", ".nomedia"):
            if name != ".":
                self.assertFalse(os.path.lexists(self.search / name))
        self.assertEqual(self.match("liver.nii"), ["s0001_liver.nii.g_1.stl"])
        self.assertEqual(self.match("012345_liver.stl"), ["012345_liver.stl"])
        self.assertEqual(self.match("no.such.name"), [])

    def test_each_spelling_has_its_inode(self):
        spellings = ["liver", "LIVER", "Liver", "liver ", "+liver", "liver liver", "no such", "é", unicodedata.normalize("NFD", "é")]
        seen = [os.stat(self.search / s).st_ino for s in spellings]
        self.assertEqual(len(set(seen)), len(seen))
        self.assertFalse(set(seen) & {st.st_ino for st in shapes.everything(self.root).values()})
        self.assertEqual(os.stat(self.search / "liver" / "..").st_ino, os.stat(self.search).st_ino)

    def test_listing(self):
        self.assertEqual(os.listdir(self.search), [])
        os.stat(self.search / "brain")  # looked up, not read
        self.match("unicorn")           # read, no match
        self.match("skull")
        self.assertEqual(os.listdir(self.search), ["skull"])
        self.match("SKULL")
        self.match("liver+autopet")
        self.assertEqual(sorted(os.listdir(self.search)), ["SKULL", "liver+autopet", "skull"])
        self.assertEqual({n: i for n, i, _ in shapes.readdir(self.search)}, inodes(self.search))

    def test_the_last_hundred(self):
        names = ["liver%s" % (" " * n) for n in range(130)]
        for name in names:
            self.match(name)
        self.assertEqual(set(os.listdir(self.search)), set(names[30:]))

    def test_crawlers_meet_no_endless_tree(self):
        self.match("liver")
        for folder, folders, _ in os.walk(self.search):
            self.assertEqual(folders, ["liver"] if folder == str(self.search) else [])
        with self.assertRaises(FileNotFoundError):
            os.stat(self.search / "liver" / "liver")

    def test_long_and_odd_queries(self):
        self.assertEqual(os.listdir(self.search / ("x" * 255)), [])
        with self.assertRaises(OSError) as caught:
            os.stat(self.search / ("x" * 256))
        self.assertEqual(caught.exception.errno, errno.ENAMETOOLONG)
        for odd in (b"\xff\xfe", b"\x01", b"zq\nzq", "日本".encode(), b"%", b"*", b"["):
            self.assertEqual(os.listdir(os.path.join(os.fsencode(self.search), odd)), [])


class Many(shapes.ListCase):
    def test_folders_larger_than_a_reply(self):
        names = ["s%04d_liver.nii.g_1.stl" % i for i in range(5000)]
        _, mount = self.mounted(names)
        for folder in ("datasets/TotalSegmentator", "anatomy/liver", "search/liver"):
            self.assertEqual(len(shapes.split(os.listdir(mount.path / folder))), 5000, folder)
        rows = shapes.readdir(mount.path / "search" / "liver")
        self.assertEqual(len({r[1] for r in rows}), 5000)
        self.assertEqual([r[0] for r in shapes.readdir(mount.path / "search" / "liver", rows[3000][2])], [r[0] for r in rows[3001:]])
