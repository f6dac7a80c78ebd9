"""What several mount tests share: a list that has a bit of everything, folders read as readdir(3) gives them."""
import ctypes
import os
import urllib.parse

import harness

# Name -> (dataset, class or None), as the rules of the catalogue sort them.
KNOWN = {
    "s0001_liver.nii.g_1.stl": ("TotalSegmentator", "liver"),
    "s0001_rib_left_1.nii.g_1.stl": ("TotalSegmentator", "rib_1"),
    "s0002_lung_lower_lobe_left.nii.g_1.stl": ("TotalSegmentator", "lung_lower_lobe"),
    "012345_liver.stl": ("autoPET", "liver"),
    "012345_costa1left.stl": ("autoPET", "rib_1"),
    "012345_lunglowerlobeleft.stl": ("autoPET", "lung_lower_lobe"),
    "012345_clavicleleft.stl": ("autoPET", "clavicle"),
    "012345_vertebraeC1.stl": ("autoPET", "vertebra_c1"),
    "000001_vertebrae.stl": ("VerSe", "vertebra"),
    "000001_tumoredKidney.stl": ("KiTS21", "kidney_tumor"),
    "000001_tumoredbrain.stl": ("BraTS", "brain_tumor"),
    "100206_brain.stl": ("HCP", "brain"),
    "100206_skull.stl": ("HCP", "skull"),
    "001_instrument3DCOSI_BoneForceps.stl": ("3D-COSI", "instrument_bone_forceps"),
    "vessel_tree_00.stl": ("AVT", "aortic_vessel_tree"),
    "face_1.stl": ("FacialModels", "face"),
    "ct_skull_00.stl": ("SkullFix", "skull"),
    "something else.stl": ("unsorted", None),
}
GENERATED = ["CITATION.bib", "LICENSE.txt", "dataset.json", "index.csv"]


class ListCase(harness.Case):
    """A list of names on davd.py, mounted."""

    def share(self, names, *more):
        """Serves names ("folder/name", or bytes of a name); sizes are told by PROPFIND unless `more` refuses it."""
        path = self.fresh("names")
        with open(path, "w", encoding="ascii") as out:
            for name in names:
                folder, _, file = name.rpartition("/") if isinstance(name, str) else ("", "", name)
                out.write("http://any/s/T/download?path=%%2F%s&files=%s\n"
                          % (urllib.parse.quote(folder), urllib.parse.quote(file, safe="")))
        return self.davd("--names", path, *more)

    def source(self, server, **more):
        return {"sources": [harness.manifest(server.url("/list.txt"))], **more}

    def mounted(self, names, *more, **options):
        """The server of these names, and a mount of it; the server's log is empty then."""
        server = self.share(names, *more)
        mount = self.mount(self.source(server), **options)
        server.reset()
        return server, mount


def split(names):
    """The generated names of a folder taken away."""
    return sorted(set(names) - set(GENERATED))


class _Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("reclen", ctypes.c_ushort), ("type", ctypes.c_ubyte),
                ("name", ctypes.c_char * 256)]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.opendir.restype = ctypes.c_void_p
_libc.opendir.argtypes = [ctypes.c_char_p]
_libc.readdir.restype = ctypes.POINTER(_Dirent)
_libc.readdir.argtypes = [ctypes.c_void_p]
_libc.closedir.argtypes = [ctypes.c_void_p]
_libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


def readdir(path, cookie=None):
    """[(name, inode, cookie of what follows)] of a folder without the dots, from a cookie on."""
    stream = _libc.opendir(os.fsencode(path))
    if not stream:
        raise OSError(ctypes.get_errno(), os.fsdecode(path))
    try:
        if cookie is not None:
            _libc.seekdir(stream, cookie)
        rows = []
        while entry := _libc.readdir(stream):
            e = entry.contents
            rows.append((os.fsdecode(e.name), e.ino, e.off))
        return [r for r in rows if r[0] not in (".", "..")]
    finally:
        _libc.closedir(stream)


def everything(root):
    """{path below root: what lstat says} of all that listings show."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, root)] = os.lstat(path)
    return found
