"""Cases for scripts/check-disassembly, run by scripts/check-self-test: listings that it must refuse, and one to accept.

The good listing has everything that only looks like a fault. Every other one is the good one with one instruction more.
"""

import subprocess
import tempfile
import unittest
from pathlib import Path

scripts = Path(__file__).resolve().parents[1]

TURN = "$s13ShuttleEngine6WorkerVAARi_zrlE4turnSbyFAA9LinuxRingV_Tg5"
NEXT_ACTION = "$s13ShuttleEngine7SessionV10nextActionyAA0cE0OAA10FlowLimitsVF"
BEGIN = (
    "$s13ShuttleEngine6WorkerVAARi_zrlE5begin33_54CE14759C1C30617A1BCFA408A94A6CLL_2atys5Int32V_SitFAA9LinuxRing"
    "V_Tg5"
)
GROW = "$s13ShuttleEngine13ListenerTableV4grow2toySi_tF"
GROWING = "ListenerTable.grow(to:)"

GOOD = f"""\
0000000000001000 <swift_retain@plt>:
    1000:\tjmp    *0x10(%rip)        # 9000 <swift_retain>

0000000000002000 <{TURN}>:
    2000:\tlea    0x20(%rip),%rcx        # 8000 <swift_release>
    2001:\tmovslq (%rcx,%rax,4),%rax
    2002:\tadd    %rcx,%rax
    2003:\tnotrack jmp *%rax
    2004:\tmovslq 0x0(%r13,%rcx,4),%rcx
    2004:\tjmp    *%rcx
    2004:\tje     2000 <{TURN}>
    2005:\tcall   2100 <{NEXT_ACTION}>
    2006:\tcall   2400 <{BEGIN}>
    2006:\tcall   *0x30(%rip)        # 9010 <io_uring_submit_and_wait>
    2007:\tjmp    2200 <{GROW}>

0000000000002100 <{NEXT_ACTION}>:
    2100:\tjne    2104 <{NEXT_ACTION}+0x4>
    2102:\txchg   %ax,%ax
    2104:\tcall   1010 <close@plt>
    2105:\tret
    2106:\txchg   %ax,%ax
    2110:\tcall   1000 <swift_retain@plt>
    2111:\tret

0000000000002200 <{GROW}>:
    2200:\tcall   1020 <swift_slowAlloc@plt>
    2201:\tjmp    1030 <swift_slowDealloc@plt>

0000000000002300 <$s13ShuttleEngine6EngineC5startyyF>:
    2300:\tcall   1000 <swift_retain@plt>
    2301:\tcall   *%rax
    2302:\tlock xadd %rax,(%rdx)

0000000000002400 <{BEGIN}>:
    2400:\tlock xadd %rax,(%rdx)
    2401:\tret
"""

# (an instruction of the loop, words of the complaint)
REFUSED = [
    ("call   1000 <swift_retain@plt>", "calls swift_retain, which counts references"),
    ("jmp    1000 <swift_release@plt>", "calls swift_release, which counts references"),
    ("jne    1000 <swift_release@plt>", "calls swift_release, which counts references"),
    ("bnd call 1000 <swift_release_n@plt>", "swift_release_n, which counts references"),
    ("call   *0x30(%rip)        # 9000 <swift_retain@@Base>", "calls swift_retain, which counts references"),
    ("call   5000 <swift_retain>", "calls swift_retain, which counts references"),
    ("call   1000 <swift_bridgeObjectRetain@plt>", "counts references"),
    ("call   1000 <swift_unknownObjectRelease@plt>", "counts references"),
    ("call   1000 <swift_nonatomic_retain@plt>", "counts references"),
    ("call   1000 <swift_isUniquelyReferenced_nonNull_native@plt>", "is not in the table"),
    ("call   1000 <swift_beginAccess@plt>", "checks exclusive access at run time"),
    ("call   1000 <swift_endAccess@plt>", "checks exclusive access at run time"),
    ("call   1000 <swift_allocObject@plt>", "allocates or frees"),
    ("call   1000 <swift_deallocClassInstance@plt>", "allocates or frees"),
    ("call   1000 <swift_slowAlloc@plt>", "allocates or frees"),
    ("call   1000 <malloc@plt>", "allocates or frees"),
    ("call   1000 <calloc@plt>", "allocates or frees"),
    ("call   1000 <free@plt>", "allocates or frees"),
    ("call   1000 <swift_getWitnessTable@plt>", "looks up types at run time"),
    ("call   1000 <swift_getAssociatedTypeWitness@plt>", "looks up types at run time"),
    ("call   1000 <swift_getGenericMetadata@plt>", "looks up types at run time"),
    ("call   1000 <swift_dynamicCast@plt>", "looks up types at run time"),
    ("call   1000 <swift_once@plt>", "initialises a global"),
    ("call   1000 <pthread_mutex_lock@plt>", "locks or schedules"),
    ("call   1000 <usleep@plt>", "is not in the table"),
    ("call   *%rax", "jumps through a pointer"),
    ("call   *0x8(%rax)", "jumps through a pointer"),
    ("call   *0x30(%rip)        # 9000 <_GLOBAL_OFFSET_TABLE_+0x8>", "jumps through a pointer"),
    ("jmp    *0x8(%rcx)", "jumps through a pointer"),
    ("movslq (%rcx,%rax,4),%rax\n    2106:\tjmp    *%rdx", "jumps through a pointer: jmp *%rdx"),
    ("lock cmpxchg %rdx,0x18(%rcx)", "locks memory: lock cmpxchg"),
    ("lock incq 0x18(%rcx)", "locks memory: lock incq"),
    ("xchg   %rax,(%rcx)", "locks memory: xchg"),
    ("mfence", "locks memory: mfence"),
]
# The runtime as it looks when it is linked into the program: what it does itself is not the loop's.
LINKED_RUNTIME = "\n0000000000005000 <swift_retain>:\n    5000:\tret\n"


class TheDisassemblyIsJudged(unittest.TestCase):
    def judge(self, listing, table=None):
        with tempfile.TemporaryDirectory(prefix="shuttle-check-") as folder:
            path = Path(folder) / "listing"
            path.write_text(listing)
            command = [scripts / "check-disassembly", "--listing", path]
            if table is not None:
                (Path(folder) / "table.ini").write_text(table)
                command += ["--table", Path(folder) / "table.ini"]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
            return done.returncode, done.stdout

    def test_a_loop_that_calls_nothing_forbidden_passes(self):
        status, output = self.judge(GOOD)
        self.assertEqual(status, 0, output)
        self.assertIn("4 functions", output)

    def test_each_forbidden_call_is_refused_with_the_way_to_it(self):
        for instruction, words in REFUSED:
            with self.subTest(instruction):
                listing = GOOD.replace("    2105:\tret", f"    2105:\t{instruction}") + LINKED_RUNTIME
                status, output = self.judge(listing)
                self.assertEqual(status, 1, output)
                self.assertIn(words, output)
                self.assertRegex(output, r"in Session\.nextAction\(_:\) < .*Worker.*\.turn\(\)\n")

    def test_a_function_without_a_name_belongs_to_whoever_calls_it(self):
        calling = GOOD.replace(f"call   2400 <{BEGIN}>", f"call   2110 <{NEXT_ACTION}+0x10>")
        jumping = GOOD.replace(f"jne    2104 <{NEXT_ACTION}+0x4>", f"jne    2110 <{NEXT_ACTION}+0x10>")
        falling = GOOD.replace("    2105:\tret\n", "")
        for listing in (calling, jumping, falling):
            status, output = self.judge(listing)
            self.assertIn("calls swift_retain, which counts references", output)
            self.assertEqual(status, 1)

    def test_a_jump_far_from_a_switch_is_one_through_a_pointer(self):
        far = "".join(f"    210{number}:\tnop\n" for number in range(10))
        status, output = self.judge(GOOD.replace("    2003:\tnotrack jmp", far + "    2003:\tnotrack jmp"))
        self.assertIn("jumps through a pointer: jmp *%rax", output)
        self.assertEqual(status, 1)

    def test_a_loop_that_is_not_found_or_not_specialised_is_refused(self):
        renamed, unspecialised = TURN.replace("4turn", "4spin"), TURN.partition("FAA9")[0] + "F"
        for title, name in [("renamed", renamed), ("unspecialised", unspecialised)]:
            with self.subTest(title):
                status, output = self.judge(GOOD.replace(TURN, name))
                self.assertIn("no specialised Worker<LinuxRing>.turn()", output)
                self.assertEqual(status, 1)
        self.assertEqual(self.judge("")[0], 1)

    def test_a_loop_that_submits_nothing_was_not_followed(self):
        status, output = self.judge(GOOD.replace("io_uring_submit_and_wait", "close"))
        self.assertIn("the loop never calls io_uring_submit", output)
        self.assertEqual(status, 1)

    def test_an_exception_that_nothing_needs_is_named(self):
        needless = f"nothing makes use of the exception for {GROWING}"
        self.assertNotIn(needless, self.judge(GOOD)[1])
        status, output = self.judge(GOOD.replace("<swift_slowAlloc@plt>", "<close@plt>"))
        self.assertIn(needless, output)
        self.assertEqual(status, 0)

    def test_a_table_without_reasons_is_refused(self):
        status, output = self.judge(GOOD, "[allowed]\nclose =\n[locked only in]\n")
        self.assertIn("close is allowed without a reason", output)
        self.assertEqual(status, 1)
        self.assertEqual(self.judge(GOOD, "[something]\n")[0], 1)
