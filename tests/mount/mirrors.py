"""Folders of packs that `export --packed` wrote, as its tests look at them."""
import json
import os
import signal
import subprocess

import harness
from origin import until


def packs(folder):
    """The names of the packs of a folder, in order."""
    return sorted(p.name for p in folder.glob("*.shapepack"))


def index(folder):
    return json.loads((folder / "index.json").read_text())


class Mirrors:
    """For a harness.Case."""

    def export(self, *args, **more):
        return self.program("export", "--packed", *args, **more)

    def added(self, *args, **more):
        """What --json tells."""
        return json.loads(self.export("--json", *args, **more).stdout)

    def rows(self, folder):
        """{path: row of `unpack -l --json`}; the pack with the highest number wins. No pack has a path twice."""
        found = {}
        for name in packs(folder):
            rows = json.loads(self.program("unpack", "-l", "--json", folder / name).stdout)
            paths = [row["path"] for row in rows]
            self.assertEqual(len(paths), len(set(paths)), name)
            found.update({row["path"]: row for row in rows})
        return found

    def copies(self, folder):
        """In how many packs each path is."""
        count = {}
        for name in packs(folder):
            for row in json.loads(self.program("unpack", "-l", "--json", folder / name).stdout):
                count[row["path"]] = count.get(row["path"], 0) + 1
        return count

    def unpacked(self, folder):
        """A folder with all that the packs hold, the later ones over the earlier ones."""
        out = self.fresh("unpacked")
        for name in packs(folder):
            self.program("unpack", "-f", folder / name, "-C", out)
        return out

    def assertIndexed(self, folder):
        """The index has all packs as they are, and nothing else is in the folder."""
        listed = index(folder)
        self.assertEqual((listed["format"], listed["version"]), ("medshapefs packs", 1))
        self.assertEqual([p["name"] for p in listed["packs"]], packs(folder))
        for pack in listed["packs"]:
            self.assertEqual(pack["bytes"], (folder / pack["name"]).stat().st_size)
        others = {p.name for p in folder.iterdir()} - set(packs(folder))
        self.assertLessEqual(others, {"index.json", "README.txt", ".export.lock", "datasets", "CITATION.bib"})

    def start_export(self, *args):
        """An export that runs, with its messages in the file .messages."""
        messages = self.fresh("messages")
        with open(messages, "wb") as out:
            process = subprocess.Popen(self.command(["export", "--packed", *args]), cwd=self.tmp, stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=out, env=self.environment())
        process.messages = messages
        return process

    def await_size(self, process, path, size):
        """Waits until a file that the export writes has that many bytes."""
        def there():
            return process.poll() is not None or (path.exists() and path.stat().st_size >= size)
        self.assertTrue(until(there), "%s does not grow" % path)
        self.assertIsNone(process.poll(), process.messages.read_text())

    def kill(self, process, how=signal.SIGKILL):
        os.kill(process.pid, how)
        return process.wait(harness.PATIENCE)
