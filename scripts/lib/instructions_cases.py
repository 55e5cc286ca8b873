"""Cases for scripts/check-instructions, run by scripts/check-self-test: figures and profiles that it must refuse.

Nothing is measured here; what is judged is made up. That the measurement itself is exact, the check proves each time:
it measures twice.
"""

import importlib.machinery
import importlib.util
import subprocess
import tempfile
import unittest
from pathlib import Path

scripts = Path(__file__).resolve().parents[1]

BUILT = "[built with]\nswift = 6.3.1\nmachine = x86_64\n\n"
ALLOWED = BUILT + "[instructions]\nrequest = 1000.0\nconnection = 3000.0\n"

# (what was measured, words of the complaint)
REFUSED = [
    ("request = 1021.0\nconnection = 3000.0\n", "request takes 2.1 % more instructions than allowed"),
    ("request = 1000.0\nconnection = 6000.0\n", "connection takes 100.0 % more instructions than allowed"),
    ("request = 949.0\nconnection = 3000.0\n", "request takes 5.1 % fewer instructions than allowed: keep it"),
    ("request = 1000.0\n", "connection has a figure and is not measured any more"),
    ("request = 1000.0\nconnection = 3000.0\nbulk = 1.0\n", "bulk is measured and has no figure"),
]
ACCEPTED = [
    "request = 1000.0\nconnection = 3000.0\n",
    "request = 1020.0\nconnection = 2851.0\n",
]

# As callgrind writes it: a function of the worker that calls one of the ring's, whose inclusive cost must not count.
PROFILE = """\
positions: line
events: Ir
summary: 115

ob=(1) /program
fl=(1) Worker.swift
fn=(10) $s15EngineBenchmark6WorkerV4turn
30 70
+3 30
cfn=(11) $s15EngineBenchmark10TimerWheelV5clear
calls=5 40
* 15

fn=(11)
40 15

fn=(0) 0x000000000001ab70
cfn=(10)
calls=0 0
0 115
"""


class InstructionsAreJudged(unittest.TestCase):
    def judge(self, measured, allowed=ALLOWED):
        with tempfile.TemporaryDirectory(prefix="shuttle-check-") as folder:
            files = [Path(folder) / name for name in ("measured.ini", "allowed.ini")]
            for file, text in zip(files, (measured, allowed)):
                file.write_text(text)
            done = subprocess.run(
                [scripts / "check-instructions", "--measured", files[0], "--figures", files[1]],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
            )
            return done.returncode, done.stdout

    def test_what_is_within_the_slack_passes(self):
        for measured in ACCEPTED:
            status, output = self.judge(BUILT + "[instructions]\n" + measured)
            self.assertEqual(status, 0, output)

    def test_more_and_clearly_fewer_and_other_scenarios_are_refused(self):
        for measured, words in REFUSED:
            with self.subTest(words):
                status, output = self.judge(BUILT + "[instructions]\n" + measured)
                self.assertIn(words, output)
                self.assertEqual(status, 1)

    def test_figures_that_allow_nothing_or_cannot_be_read_are_refused(self):
        measured = ALLOWED
        for allowed, words in [
            (ALLOWED.replace("1000.0", "0"), "allows nothing"),
            (ALLOWED.replace("1000.0", "many"), "cannot read the figures"),
            (BUILT, "cannot read the figures"),
            ("", "cannot read the figures"),
        ]:
            with self.subTest(words):
                status, output = self.judge(measured, allowed)
                self.assertIn(words, output)
                self.assertEqual(status, 1)

    def test_figures_of_another_compiler_are_shown_and_refuse_nothing(self):
        status, output = self.judge(ALLOWED.replace("1000.0", "9000.0").replace("6.3.1", "6.4"))
        self.assertIn("+800.0 %", output)
        self.assertIn("NOT JUDGED: built with swift 6.4, machine x86_64; the figures are for swift 6.3.1", output)
        self.assertEqual(status, 0)

    def test_a_profile_is_read_without_what_calls_cost_inside(self):
        check = self.check()
        self.assertEqual(sum(check.costs(PROFILE.splitlines()).values()), 115)

    def test_a_profile_of_something_else_is_refused(self):
        for text, words in [
            (PROFILE.replace("TimerWheelV5clear", "15BenchmarkKernelV7deliver"), "15 instructions of the benchmark"),
            (PROFILE.replace("6Worker", "6Shrike"), "no instruction of the worker was counted"),
            (PROFILE.replace("summary: 115", "summary: 130"), "says 130 instructions, its functions have 115"),
            ("", "says None instructions"),
        ]:
            with self.subTest(words), tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                with self.assertRaises(SystemExit) as refusal:
                    self.check().counted(Path(file.name))
                self.assertIn(words, str(refusal.exception))

    @staticmethod
    def check():
        """scripts/check-instructions as a module; its name is not one."""
        loader = importlib.machinery.SourceFileLoader("check_instructions", str(scripts / "check-instructions"))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        loader.exec_module(module)
        return module
