"""The session that the README shows, command by command: each prints what the README says."""
import json
import os
import pathlib
import re
import subprocess

import harness

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("MSFS_DATA", ROOT.parent / "shared" / "data"))


def session():
    """The commands of the README's session, those on packs after it, and what each prints."""
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.S | re.M)
    steps = re.split(r"^\$ ", "".join(blocks), flags=re.M)[1:]
    return [re.sub(r"\n> ", "\n", step.replace("|\n> ", "| ")).split("\n", 1) for step in steps]


def steady(text):
    """Without what differs by some bytes: a pack's catalogue has the times of its files."""
    return re.sub(r"packed in \d+ \([\d.]+ times", "packed in N (N times", text)


class Readme(harness.Case):
    maxDiff = None

    def test_the_session_is_true_to_the_letter(self):
        if not (DATA / "MedShapeNetDataset.txt").exists():
            print("the real list is not here (MSFS_DATA): the session is not played")
            return
        share = self.davd("--names", str(DATA / "MedShapeNetDataset.txt"), "--folder", str(DATA / "stl"))
        env = self.environment()
        config = pathlib.Path(env["XDG_CONFIG_HOME"]) / "medshapefs" / "config.json"
        config.parent.mkdir(parents=True)
        config.write_text(json.dumps({"sources": [harness.manifest(share.url("/list.txt"), name="medshapenet")]}))
        bin_folder = self.fresh("bin")
        bin_folder.mkdir()
        (bin_folder / "medshapefs").symlink_to(pathlib.Path(self.command([])[0]).resolve())
        env["PATH"] = "%s:%s" % (bin_folder, env["PATH"])
        home = pathlib.Path(env["HOME"])
        (home / "medshapenet").mkdir(parents=True)
        self.addCleanup(harness.unmount_lazily, home / "medshapenet")
        subprocess.run(["medshapefs", "refresh"], env=env, check=True, capture_output=True, timeout=120)
        for command, printed in session():
            with self.subTest(command=command):
                done = subprocess.run(["bash", "-c", command], env=env, cwd=home, text=True, timeout=60,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                self.assertEqual(steady(done.stdout), steady(printed))

