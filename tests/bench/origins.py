"""Where the benchmark's bytes and names come from: servers on the loopback, lists, folders of files."""
import functools
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import time
import urllib.request

import cells

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = "MedShapeNetDataset.txt"
TOKEN = "HeShw1G4da15OOZ"
LARGE = "100206_brain.stl"
ORGANS = ("liver spleen kidney_left kidney_right stomach pancreas aorta colon heart_atrium_left trachea brain sacrum face "
          "urinary_bladder gallbladder esophagus duodenum clavicula_left clavicula_right hip_left hip_right").split()


def generated_names():
    """As many names as the real list has, for the same name rules, in the same proportions."""
    for i in range(68949):
        yield "s%04d_%s_%d.nii.g_1.stl" % (i % 1089, ORGANS[i // 1089 % len(ORGANS)], i // 1089 // len(ORGANS))
    for i in range(30691):
        yield "0%05d_%s%d.stl" % (i % 277, ORGANS[i // 277 % len(ORGANS)].replace("_", ""), i // 277 // len(ORGANS))
    for form, count in (("%06d_vertebrae.stl", 2742), ("%06d_tumoredKidney.stl", 300), ("%06d_tumoredbrain.stl", 922),
                        ("vessel_tree_%02d.stl", 56), ("face_%d.stl", 12), ("ct_skull_%02d.stl", 100),
                        ("%03d_instrument3DCOSI_Scissors.stl", 103)):
        for i in range(count):
            yield form % i
    for i in range(1113):
        yield "%d_brain.stl" % (100206 + i)
        yield "%d_skull.stl" % (100206 + i)


def real_data(name):
    """Path of something of the real data where it is at hand, or None."""
    path = os.path.join(os.environ.get("MSFS_DATA") or ROOT.parent / "shared" / "data", name)
    return path if os.path.exists(path) else None


def fill(path, size, seed):
    """Writes a file of made-up facets of an ASCII STL."""
    rng = random.Random(seed)
    unit = "solid made up\n" + "".join(
        "  facet normal %.17g %.17g %.17g\n    outer loop\n%s    endloop\n  endfacet\n" % (
            rng.random(), rng.random(), rng.random(),
            "".join("      vertex %.17g %.17g %.17g\n" % (rng.random(), rng.random(), rng.random()) for _ in range(3)))
        for _ in range(3000))
    data = unit.encode()
    with open(path, "wb") as f:
        for at in range(0, size, len(data)):
            f.write(data[:size - at])


class Origins:
    """Everything is made when it is first asked for. `notes` are for the reader of the result."""

    def __init__(self, work, small, meshes):
        self.work, self.small_count, self.mesh_folder = work, small, os.path.abspath(meshes)
        self.made, self.notes = {}, []

    def meshes(self, what):
        """Paths by name of a set of meshes.py, which VTK makes once; None, with a note, where there is no VTK."""
        if what not in self.made:
            script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "meshes.py")
            p = subprocess.run(["/usr/bin/python3", script, self.mesh_folder, what], stdout=subprocess.PIPE, check=False)
            self.made[what] = json.loads(p.stdout) if p.returncode == 0 else None
            if p.returncode != 0:
                self.notes.append("no meshes of set %s: /usr/bin/python3 has no VTK (apt install python3-vtk9)" % what)
        return self.made[what]

    @functools.cached_property
    def names(self):
        """File with the 106,101 names, and whether they are the real ones."""
        if real := real_data(LIST):
            return real, True
        path = self.work.path("names.txt")
        with open(path, "w") as f:
            f.writelines(name + "\n" for name in generated_names())
        return path, False

    def davd(self, *options):
        """Starts a share of those names; returns the URL of its list."""
        argv = [sys.executable, str(ROOT / "tests" / "lib" / "davd.py"), "--names", self.names[0], "--token", TOKEN,
                "--size", "4000000"]
        for option in options:
            argv += ["--set", option]
        p = self.work.server(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        url = "http://127.0.0.1:%d" % int(p.stdout.readline())
        return url

    @functools.cached_property
    def share(self):
        """A share that tells sizes by WebDAV, as wordily as ownCloud does for clients that do not ask for less."""
        return self.davd("wordy=1")

    @functools.cached_property
    def mute_share(self):
        """The same where WebDAV is refused."""
        return self.davd("dav=404")

    def listing_size(self):
        """Bytes of the share's PROPFIND answer, not compressed."""
        request = urllib.request.Request(self.share + "/remote.php/dav/public-files/%s/" % TOKEN, method="PROPFIND",
                                         headers={"Depth": "1"})
        total = 0
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as f:
            while part := f.read(1 << 20):
                total += len(part)
        return total

    @functools.cached_property
    def web(self):
        """nginx that serves the folders large/, small/ and tree/ of the work folder; its URL."""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        home = self.work.fresh("nginx")
        temps = "".join(" %s_temp_path %s/t;" % (n, home) for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""
        with open(home + "/n.conf", "w") as f:
            f.write("%s daemon off; worker_processes auto; pid n.pid; error_log err.log;"
                    " events { worker_connections 1024; } http {%s access_log off; sendfile on;"
                    " default_type application/octet-stream; keepalive_requests 1000000;"
                    " server { listen 127.0.0.1:%d backlog=1024; root %s; autoindex on; } }\n" % (user, temps, port, self.work.root))
        self.work.server(["nginx", "-p", home, "-c", "n.conf"], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return "http://127.0.0.1:%d" % port
            if time.monotonic() > deadline:
                cells.fail("nginx does not start")
            time.sleep(0.01)

    @functools.cached_property
    def large(self):
        """Path of a file of 300 MiB."""
        os.mkdir(self.work.path("large"))
        path = self.work.path("large", LARGE)
        fill(path, 300 << 20, 1)
        return path

    @functools.cached_property
    def small(self):
        """Paths of small files, 250 to 350 KB each."""
        os.mkdir(self.work.path("small"))
        rng, paths = random.Random(2), []
        for i in range(self.small_count):
            paths.append(self.work.path("small", "s%04d_%s.nii.g_1.stl" % (i // 21, ORGANS[i % 21])))
            fill(paths[-1], rng.randrange(250_000, 350_000), 3 + i % 5)
        return paths

    def links(self, paths):
        """A list of plain links to files of the work folder; its URL."""
        path = self.work.fresh("list") + "/links.txt"
        with open(path, "w") as f:
            f.writelines(self.web + p[len(self.work.root):] + "\n" for p in paths)
        return "file://" + path

    def many_links(self, millions):
        """A list of so many million plain links, for the name rules in turn; its URL. Nobody ever follows them."""
        path = self.work.fresh("list") + "/many.txt"
        with open(path, "w") as f:
            for at in range(0, millions * 1_000_000, 10_000):
                f.write("".join("http://127.0.0.1:9/files/0%05d_%s%d.stl\n" % (
                    i % 100_000, ORGANS[i // 100_000 % 21].replace("_", ""), i // 100_000) for i in range(at, at + 10_000)))
        return "file://" + path

    def tree(self, mountpoint):
        """The same folders and files as below a folder of a mount, sparse, for ext4 and the peers; returns its path."""
        top = self.work.path("tree")
        for folder, _, files in os.walk(mountpoint):
            to = top + folder[len(mountpoint):]
            os.makedirs(to)
            for name in files:
                fd = os.open(os.path.join(to, name), os.O_WRONLY | os.O_CREAT, 0o444)
                os.ftruncate(fd, os.lstat(os.path.join(folder, name)).st_size)
                os.close(fd)
        return top
