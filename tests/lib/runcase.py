"""Runs tests of one module for tests/run: runcase.py TEST...; what became of each goes to descriptor 3 as a JSON line."""
import json
import os
import pathlib
import signal
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "mount"))
sys.dont_write_bytecode = True
import harness


class Result(unittest.TextTestResult):
    """Text for the log on stderr, a line for each test on descriptor 3."""

    def startTest(self, test):
        super().startTest(test)
        self.begun, self.outcome, self.reason = time.monotonic(), "ok", ""

    def stopTest(self, test):
        super().stopTest(test)
        self.tell(test.id(), time.monotonic() - self.begun)

    def tell(self, name, seconds):
        os.write(3, (json.dumps([name, self.outcome, round(seconds, 2), self.reason]) + "\n").encode())

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.outcome, self.reason = "skipped", reason
        if not isinstance(test, unittest.TestCase):
            self.tell(test.id(), 0)

    def failed(self, test):
        self.outcome = "FAILED"
        if not isinstance(test, unittest.TestCase):  # setUpClass, setUpModule
            self.tell(test.id(), 0)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.failed(test)

    def addError(self, test, err):
        super().addError(test, err)
        self.failed(test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.failed(test)


def end(signum, frame):
    raise SystemExit("ended by signal %d (out of time?)" % signum)


signal.signal(signal.SIGTERM, end)
# Background jobs of a shell and what nohup starts have these ignored, which programs would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
harness.become_subreaper()
suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:])
runner = unittest.TextTestRunner(sys.stderr, verbosity=2, resultclass=Result)
sys.exit(0 if runner.run(suite).wasSuccessful() else 1)
