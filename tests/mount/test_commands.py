"""The commands, on the names of the sample collection; their output, messages and exit statuses."""
import importlib.machinery
import importlib.util
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import harness

COMMANDS = ["mount", "unmount", "refresh", "datasets", "info", "cite", "search", "cache", "export", "pack", "unpack",
            "status"]
LATER = ["prefetch", "check", "doctor", "mask", "thumbnails", "report", "catalog"]


def sample_names():
    """The names that packaging/sample/make-sample makes."""
    sys.dont_write_bytecode = True
    path = str(harness.ROOT / "packaging" / "sample" / "make-sample")
    loader = importlib.machinery.SourceFileLoader("make_sample", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("make_sample", loader))
    loader.exec_module(module)
    return sorted(module.SHAPES)


class Commands(harness.Case):
    called = str(harness.BIN)

    def setUp(self):
        super().setUp()
        self.names = sample_names()
        self.origin = self.faultd()
        self.list_url = self.origin.url("/list.txt")
        self.put_list(self.names)
        self.configure(harness.manifest(self.list_url, "one"))
        self.mnt = str(self.mountpoint())

    def put_list(self, names):
        links = "".join(self.origin.url("/%s\n" % name) for name in names)
        self.origin.post("/_put?path=/list.txt&type=text/plain", links)

    def rule(self, prefix, directives):
        self.origin.post("/_rule", prefix=prefix, do=directives)

    def configure(self, *sources):
        self.settings = self.config({"sources": sources, "network": {"timeout": "5s", "retry_for": "1s"}})

    def environment(self, user=None):
        return dict(super().environment(user), MEDSHAPEFS_CONFIG=str(self.settings))

    def command(self, args, user=None):
        return [self.called, *super().command(args, user)[1:]]

    def run_program(self, *args, **more):
        return self.program(*args, check=False, **more)

    def ok(self, *args, **more):
        done = self.run_program(*args, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""), args)
        return done.stdout

    def refused(self, status, pattern, *args, **more):
        done = self.run_program(*args, **more)
        self.assertEqual(done.returncode, status, (args, done.stderr))
        self.assertEqual(done.stdout, "", args)
        self.assertRegex(done.stderr, r"\Amedshapefs: .*\n\Z", args)
        self.assertRegex(done.stderr, pattern, args)

    def status(self):
        return json.loads(self.ok("status", self.mnt, "--json"))[0]

    def kill_daemon(self):
        pid = self.pid_of(self.mnt)
        os.kill(pid, signal.SIGKILL)
        fd = os.pidfd_open(pid)
        self.assertTrue(select.select([fd], [], [], harness.PATIENCE)[0])
        os.close(fd)

    def test_help_and_version(self):
        self.assertRegex(self.ok("--version"), r"\Amedshapefs \d+\.\d+\.\d+\n\Z")
        for command in COMMANDS:
            text = self.ok(command, "--help")
            self.assertTrue(text.startswith("usage: medshapefs %s " % command), text)
            self.assertEqual(text, self.ok("help", command))
            self.assertIn("  %s " % command, self.ok("--help"))

    def test_wrong_usage(self):
        self.refused(2, "command is missing")
        self.refused(2, "frob: no such command", "frob", "--json")
        self.refused(2, "--frob: no such option", "datasets", "--frob")
        self.refused(2, "operand is missing", "mount")
        self.refused(2, "one operand too many", "status", "a", "b")
        self.refused(2, "only one of", "search", "--urls", "--count", "liver")
        for command in LATER:
            self.refused(2, command + ": not in this version", command, "x")

    def test_configuration_that_is_wrong(self):
        with open(str(self.tmp / "bad.json"), "w") as out:
            out.write('{\n "sauces": []\n}\n')
        self.refused(1, "bad.json.*2.*sauces", "datasets", "--config", str(self.tmp / "bad.json"))
        self.refused(1, "bad.json.*2.*sauces", "-o", "config=" + str(self.tmp / "bad.json"), "cite")
        self.refused(2, "cache_size", "datasets", "-o", "cache_size=much")
        self.refused(2, "frob", "mount", "-o", "frob", self.mnt)

    def test_no_catalogue_yet(self):
        for args in (["datasets"], ["info", "AVT"], ["cite"], ["search", "liver"]):
            self.refused(1, "no catalogue yet.*medshapefs refresh", *args)
        self.refused(1, "no catalogue yet.*offline", "mount", "-o", "offline", self.mnt)

    def test_refresh(self):
        text = self.ok("refresh")
        self.assertRegex(text, r"\A%d shapes, %d files.*\n\Z" % (len(self.names), len(self.names)))
        again = json.loads(self.ok("refresh", "--json"))
        self.assertEqual((again["shapes"], again["failed_sources"]), (len(self.names), 0))

    def test_refresh_that_fails(self):
        self.rule("/list.txt", "status=404")
        self.refused(1, "404", "refresh")
        self.refused(1, "no catalogue yet", "datasets")

    def test_refresh_with_one_source_down(self):
        self.rule("/down.txt", "status=404")
        self.configure({"name": "one", "type": "manifest", "url": self.list_url},
                       {"name": "two", "type": "manifest", "url": self.origin.url("/down.txt")})
        done = self.run_program("refresh", "--json")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(json.loads(done.stdout)["failed_sources"], 1)
        self.assertRegex(done.stderr, r"\Amedshapefs: .*two.*\n\Z")
        self.assertIn(str(len(self.names)), self.ok("datasets").splitlines()[-1])

    def test_refresh_refuses_half_a_list(self):
        self.ok("refresh")
        self.put_list(["face_1.stl"])
        self.refused(1, "--force", "refresh")
        self.assertEqual(self.ok("search", "--count", "stl").strip(), str(len(self.names)))
        self.ok("refresh", "--force")
        self.assertEqual(self.ok("search", "--count", "stl").strip(), "1")

    def test_datasets(self):
        self.ok("refresh")
        rows = json.loads(self.ok("datasets", "--json"))
        self.assertEqual(sum(row["shapes"] for row in rows), len(self.names))
        self.assertEqual([row["id"] for row in rows], sorted(row["id"] for row in rows))
        used = [row for row in rows if row["shapes"] > 0]
        self.assertEqual(len(used), 10)
        lines = self.ok("datasets").splitlines()
        self.assertEqual(lines[0].split(), ["DATASET", "SHAPES", "BYTES", "CACHED", "LICENCE"])
        self.assertEqual(len(lines), len(rows) + 2)
        shown = {line.split()[0]: line.split()[1:] for line in lines[1:]}
        for row in rows:
            self.assertEqual(shown[row["id"]], [str(row["shapes"]), "?" if row["files"] else "0", "0", row["licence"]])

    def test_info_and_cite(self):
        self.ok("refresh")
        whole = json.loads(self.ok("info", "hcp", "--json"))
        self.assertEqual((whole["id"], whole["counts"]["shapes"]), ("HCP", 2))
        page = self.ok("info", "HCP")
        self.assertRegex(page, r"\AHCP")
        self.assertRegex(page, r"\ncontent   2 shapes, 2 files \(stl 2\), \?\n")
        self.assertIn("\nLICENSE.txt\n", page)
        self.refused(4, "HCPP.*HCP", "info", "HCPP")
        one = self.ok("cite", "HCP")
        self.assertEqual(json.loads(self.ok("cite", "HCP", "--json"))["bibtex"], one)
        self.assertRegex(one, r"@\w+\{")
        self.assertEqual(self.ok("cite", "HCP", "AVT"), one + "\n" + self.ok("cite", "AVT"))
        self.assertIn("2308.16139", self.ok("cite"))
        self.refused(4, "nothing", "cite", "HCP", "nothing")

    def test_search(self):
        self.ok("refresh")
        paths = self.ok("search", "liver").splitlines()
        self.assertEqual([os.path.basename(p) for p in paths], ["s0000_liver.nii.g_1.stl", "002345_liver.stl"])
        self.assertEqual(self.ok("search", "--paths", "LIVER").splitlines(), paths)
        urls = self.ok("search", "liver", "--urls").splitlines()
        self.assertEqual(urls, [self.origin.url("/" + os.path.basename(p)) for p in paths])
        self.assertEqual(self.ok("search", "--count", "liver"), "2\n")
        self.assertEqual(json.loads(self.ok("search", "--count", "liver", "--json")), {"count": 2})
        rows = json.loads(self.ok("search", "rib_1", "side:left", "--json"))
        self.assertEqual({(r["anatomy"], r["side"], r["bytes"]) for r in rows}, {("rib_1", "left", None)})
        self.assertEqual(self.ok("search", "liver", "--", "-dataset:autopet"), self.ok("search", "liver -dataset:autopet"))

    def test_search_without_a_match(self):
        self.ok("refresh")
        self.assertEqual(self.ok("search", "unicorn"), "")
        self.assertEqual(json.loads(self.ok("search", "unicorn", "--json")), [])
        self.assertEqual(self.ok("search", "unicorn", "--count"), "0\n")
        self.refused(2, "side", "search", "side:up")
        self.refused(2, "side", "search", "side:up", "--json")

    def test_a_reader_that_goes_away(self):
        self.put_list("%d.stl" % n for n in range(30000))
        self.ok("refresh")
        with subprocess.Popen([str(harness.BIN), "search", "stl"], env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            run.stdout.readline()
            run.stdout.close()
            self.assertEqual(run.stderr.read(), b"")
            self.assertEqual(run.wait(harness.PATIENCE), 0)
        with open("/dev/full", "w") as full:
            done = subprocess.run([str(harness.BIN), "search", "stl"], env=self.environment(), stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Amedshapefs: standard output: .*\n\Z")

    def test_mount_status_unmount(self):
        self.ok("refresh")
        self.ok("mount", self.mnt)
        for row in json.loads(self.ok("search", "liver", "--json")):
            self.assertTrue(os.path.isfile(os.path.join(self.mnt, row["path"])), row)
        self.assertEqual(sorted(os.listdir(os.path.join(self.mnt, "search", "liver"))),
                         sorted(os.path.basename(p) for p in self.ok("search", "liver").splitlines()))
        with open(os.path.join(self.mnt, "datasets", "AVT", "vessel_tree_00.stl"), "rb") as shape:
            size = len(shape.read())
        said = self.status()
        self.assertEqual(said["mountpoint"], self.mnt)
        self.assertEqual(said["catalog"]["shapes"], len(self.names))
        every = json.loads(self.run_program("status", "--json").stdout)
        self.assertIn(self.mnt, [one["mountpoint"] for one in every])
        page = self.ok("status", self.mnt)
        self.assertRegex(page, r"\A%s: answers \(pid %d, up " % (re.escape(self.mnt), said["pid"]))
        self.assertIn(self.list_url, page)
        self.assertEqual(self.ok("unmount", self.mnt), "")
        self.assertEqual(harness.mounts_below(self.tmp), [])
        self.refused(4, "no medshapefs|not", "unmount", self.mnt)
        self.refused(4, "no medshapefs is mounted there", "status", self.mnt)
        cached = {row["id"]: row["cached"] for row in json.loads(self.ok("datasets", "--json"))}
        self.assertEqual(cached["AVT"], size)

    def test_errors_show_in_status(self):
        self.ok("mount", self.mnt)
        self.rule("/face_1.stl", "status=404")
        with self.assertRaises(FileNotFoundError):
            with open(os.path.join(self.mnt, "datasets", "FacialModels", "face_1.stl"), "rb") as shape:
                shape.read()
        end = time.monotonic() + harness.PATIENCE
        while "face_1.stl" not in self.ok("status", self.mnt) and time.monotonic() < end:
            time.sleep(0.1)
        self.assertRegex(self.ok("status", self.mnt), r"\n  error .*face_1\.stl: .*\(HTTP 404\)\n")

    def test_mount_points_that_are_none(self):
        self.refused(1, "no such folder", "mount", str(self.tmp / "none"))
        self.refused(1, "not a folder", "mount", str(self.tmp / "config.json"))
        self.refused(4, "none", "unmount", str(self.tmp / "none"))
        self.refused(4, "none", "status", str(self.tmp / "none"))

    def test_first_mount_refreshes(self):
        self.rule("/list.txt", "delay=2500")
        done = self.run_program("mount", self.mnt)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"\A(medshapefs: .*: 0:0\d\n)+\Z")
        self.assertEqual(self.status()["catalog"]["shapes"], len(self.names))

    def test_first_mount_on_a_terminal(self):
        self.rule("/list.txt", "delay=1500")
        ours, theirs = pty.openpty()
        run = subprocess.Popen([str(harness.BIN), "mount", self.mnt], env=self.environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=theirs)
        self.assertEqual(run.wait(harness.PATIENCE), 0)
        os.close(theirs)
        text = os.read(ours, 65536).decode()
        os.close(ours)
        self.assertRegex(text, r"\A(\r\x1b\[K[^\n\r]*)+\r\x1b\[K\Z")

    def test_first_mount_that_fails(self):
        self.rule("/list.txt", "status=404")
        self.refused(1, "404", "mount", self.mnt)
        self.assertEqual(harness.mounts_below(self.tmp), [])

    def test_status_of_a_dead_daemon(self):
        self.ok("mount", self.mnt)
        self.kill_daemon()
        self.refused(1, "its daemon is gone.*medshapefs unmount", "status", self.mnt)
        done = self.run_program("status", self.mnt, "--json")
        self.assertEqual(json.loads(done.stdout), [{"mountpoint": self.mnt, "state": "stale"}])
        self.ok("mount", self.mnt)
        self.kill_daemon()
        self.assertEqual(self.ok("unmount", self.mnt), "")
        self.assertEqual(harness.mounts_below(self.tmp), [])

    def test_called_by_mount8(self):
        helper = self.tmp / "mount.medshapefs"
        helper.symlink_to(harness.BIN)
        for args, mounts in ((["medshapefs", self.mnt, "-f", "-o", "rw,noauto,_netdev"], False),
                             (["medshapefs", self.mnt, "-n", "-o", "rw,noauto,x-systemd.automount,_netdev"], True),
                             ([self.list_url, self.mnt, "-sv"], True)):
            self.called = str(helper)
            self.ok(*args)
            self.called = str(harness.BIN)
            self.assertEqual(harness.mounts_below(self.tmp), [self.mnt] if mounts else [])
            if mounts:
                self.assertEqual(self.status()["sources"][0]["url"], self.list_url)
                self.ok("unmount", self.mnt)
        self.called = str(helper)
        self.refused(2, "usage: mount.medshapefs", "medshapefs")

    def test_source_and_cache_by_relative_names(self):
        with open(str(self.tmp / "links, mine.txt"), "w") as out:
            out.write(self.origin.url("/face_1.stl\n"))
        options = "source=links\\, mine.txt,cache=mine"
        self.ok("mount", "-o", options, "mnt")
        self.assertTrue(os.path.isfile(os.path.join(self.mnt, "datasets", "FacialModels", "face_1.stl")))
        self.assertEqual(self.ok("search", "-o", options, "stl"), "datasets/FacialModels/face_1.stl\n")
        self.assertTrue(self.status()["cache"]["dir"].startswith(str(self.tmp / "mine") + "/"))
        self.ok("unmount", "mnt")
        self.refused(1, "no catalogue yet", "datasets")

    def test_nothing_mounted(self):
        if self.run_program("status", "--json").stdout != "[]\n":
            self.skipTest("another medshapefs is mounted on this machine")
        self.refused(4, "no medshapefs is mounted", "status")

