"""C text for the checks: which files there are, and their text without comments and strings."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def files(*folders, suffixes=(".c", ".h")):
    """Paths below the folders of the repository, relative to it, in order."""
    return sorted(p.relative_to(ROOT) for folder in folders for p in (ROOT / folder).rglob("*")
                  if p.suffix in suffixes and p.is_file())


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def _blank(match):
    s = match.group()
    inner = re.sub(r"[^\n]", " ", s)
    return s[0] + inner[1:-1] + s[-1] if s[0] in "\"'" else inner


def blanked(source):
    """The text with comments and the insides of strings made blank; lines and columns stay."""
    return TOKEN.sub(_blank, source)


def report(what, findings):
    """Prints a line a finding and a summary; ends the program with 1 where there are any."""
    for finding in findings:
        print(finding)
    print("%s: %d findings" % (what, len(findings)))
    sys.exit(1 if findings else 0)
