"""medshapefs unpack on packs that are damaged, or made to do harm: each gets its line, and the other files come out."""
import os
import struct

import packs

GOOD = {"a/good": b"good", "z": b"also good"}


class Hostile(packs.PackCase):
    def came(self):
        return {os.fsdecode(k): v[0] for k, v in packs.tree(self.out).items()} if self.out.exists() else {}

    def nothing_else(self):
        self.assertLessEqual(set(os.listdir(self.tmp)), {"src", "out", "x.shapepack"})

    def rows(self, *bad):
        """A pack of good rows and these between them."""
        return self.write([packs.Row("a/good", GOOD["a/good"]), *bad, packs.Row("z", GOOD["z"])])

    def hurt(self, pattern, *bad, came=GOOD):
        """Each of these rows is refused with that line; the good ones come out."""
        self.rows(*bad)
        for args in (("-C", self.out), ("--verify",), ("-l",)):
            self.told(3, [pattern], "unpack", self.file, *args)
        self.assertEqual(self.came(), came)
        self.nothing_else()

    def test_paths_that_climb(self):
        for path in ("../b", "b/../../c", "/b", "b//c", "b/", "b/./c", ".", "..", "", b"b\0c", "b" * 5000):
            self.hurt("damaged: .*path", packs.Row(path, b"bad"))

    def test_two_files_of_one_name(self):
        self.hurt("two files of one name: b", packs.Row("b", b"1"), packs.Row("b", b"2"), came={**GOOD, "b": b"1"})

    def test_a_file_where_a_folder_is(self):
        self.hurt("below a file: b/c", packs.Row("b", b"1"), packs.Row("b/c", b"2"), came={**GOOD, "b": b"1"})

    def test_names_too_long_for_the_file_system(self):
        self.rows(packs.Row("b" * 300, b"bad"), packs.Row("c" * 300 + "/d", b"bad"))
        self.told(3, ["b+: File name too long", "c+: File name too long"], "unpack", self.file, "-C", self.out)
        self.assertEqual(self.came(), GOOD)

    def test_sizes_that_lie(self):
        for size in (4, 2, 0, 5 << 20, 1 << 37, 1 << 40, 1 << 63, (1 << 64) - 1):
            self.hurt("damaged|more files or bytes", packs.Row("b", b"bad", size=packs.varint(size)))
        self.hurt("damaged", packs.Row("b", b"", size=packs.varint((1 << 64) - 1)))

    def test_blocks_outside_of_the_pack(self):
        sums = struct.pack("<QQ", 1, 2)
        for offset in (0, 1 << 20, (1 << 64) - 2):
            self.hurt("damaged", packs.Row("b", b"bad", blocks=packs.varint(offset) + packs.varint(3) + packs.varint(5) + sums))

    def test_blocks_of_unknown_kinds(self):
        large = packs.Row("b", b"x" * (5 << 20))
        self.rows(large)
        self.told(3, ["b: packed in a way that this version does not know"], "unpack", self.file, "-C", self.out)
        packed = b"\x0e\1bad"
        self.file.write_bytes(packs.pack([packs.Row("b", b"bad")]).replace(b"\0\1bad", packed))
        self.told(1, ["b: damaged: block 1 of 1"], "unpack", self.file, "-C", self.out)
        blocks = packs.varint(16) + packs.varint(3) + packs.varint(5) + struct.pack("<QQ", packs.xxh3(packed), packs.xxh3(b"bad"))
        self.file.write_bytes(packs.pack([packs.Row("b", b"bad", blocks=blocks)]).replace(b"\0\1bad", packed))
        self.told(1, ["b: packed in a way"], "unpack", self.file, "-C", self.out)

    def test_numbers_that_lie_at_the_end(self):
        rows = [packs.Row("a", b"a"), packs.Row("b", b"b")]
        for lie in ({"files": 1}, {"files": 3}, {"text": 1}, {"text": 3}, {"text": (1 << 64) - 1}, {"sum": 1}):
            self.write(rows, **lie)
            self.told(3, ["damaged"], "unpack", self.file, "-C", self.fresh("o"))
        for lie in ({"at": 17}, {"at": (1 << 64) - 1}, {"len": 1}, {"len": (1 << 64) - 1}):
            self.write(rows, **lie)
            self.refused(1, r"x\.shapepack: damaged", "unpack", self.file, "-C", self.out)
        self.assertFalse(self.out.exists())

    def test_much_damage_is_not_told_line_by_line(self):
        self.write([packs.Row("../%04d" % n, b"") for n in range(1000)])
        done = self.program("unpack", "-l", self.file, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertLess(len(done.stderr.splitlines()), 20)

    def test_versions(self):
        whole = packs.pack([packs.Row("a", b"a")])
        self.file.write_bytes(whole[:8] + b"\2" + whole[9:])
        self.refused(1, "version 2.*newer", "unpack", self.file)
        self.write([packs.Row("a", b"a")], version=7)
        self.refused(1, "version 7.*newer", "unpack", self.file)

    def test_what_is_no_pack(self):
        for data in (b"", b"x", b"solid x\n" * 1000, packs.HEAD, packs.cube()):
            self.file.write_bytes(data)
            self.refused(1, r"x\.shapepack: not a (whole )?pack", "unpack", self.file, "-C", self.out)
        self.refused(2, "src: not a regular file", "unpack", self.src, "-C", self.out)
        self.assertFalse(self.out.exists())

    def test_cut_short_anywhere(self):
        packs.make(self.src, {"a": packs.cube(), "b": b"b"})
        self.ok("pack", "-o", self.file, ".", cwd=self.src)
        whole = self.file.read_bytes()
        for length in range(0, len(whole), 7):
            self.file.write_bytes(whole[:length])
            self.refused(1, r"x\.shapepack: ", "unpack", self.file, "-C", self.out)
        self.assertFalse(self.out.exists())

    def test_each_flipped_byte_is_found(self):
        packs.make(self.src, {"a": packs.cube(), "b": b"b", "c": b"c" * 300})
        self.ok("pack", "-o", self.file, ".", cwd=self.src)
        whole, good = self.file.read_bytes(), packs.tree(self.src)
        names = set()
        for at in range(0, len(whole), 3):
            self.file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:])
            out = self.fresh("out")
            done = self.program("unpack", self.file, "-C", out, check=False)
            self.assertIn(done.returncode, (1, 3), (at, done.stdout, done.stderr))
            self.assertRegex(done.stderr, r"\A(medshapefs: .*\n)+\Z")
            names |= {line.split(":")[1].strip() for line in done.stderr.splitlines() if "block 1 of 1" in line}
            came = packs.tree(out) if out.exists() else {}
            self.assertEqual(came, {name: good[name] for name in came}, at)
            if done.returncode == 3:
                self.assertTrue(came)
        self.assertEqual(names, {"a", "b", "c"})

    def test_a_damaged_block_of_many(self):
        packs.make(self.src, {"large": os.urandom(13 << 20), "b": b"b"})
        self.ok("pack", "-o", self.file, ".", cwd=self.src)
        with open(self.file, "r+b") as f:
            f.seek(6 << 20)
            f.write(b"xx")
        self.told(3, ["large: damaged: block 2 of 4"], "unpack", "--verify", self.file)
        self.told(3, ["large: damaged: block 2 of 4"], "unpack", self.file, "-C", self.out)
        self.assertEqual(self.came(), {"b": b"b"})
