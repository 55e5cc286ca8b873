"""Owns the command lines of perf/run, perf/compare and perf/observation and the order of things. Leaves each thing to its own file."""

from __future__ import annotations

import argparse
import datetime
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from measuring import builds, charts, goals, measurement, namespace, peers, report, results, scaling, selection
from measuring.failure import Failure
from measuring.peers import Kind
from measuring.stage import end
from measuring.workloads import Workload

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "perf" / "results"
PAIRS = 15
SECONDS = 2
QUICK_PAIRS = 2
QUICK_SECONDS = 1
OURS = "shuttled"
# What sessions, requests and bytes cost; the others are variations of them.
OBSERVED = ("bulk-1", "keep-alive-1", "keep-alive-50", "churn")
Show = Callable[[Workload, measurement.Samples], None]
# Exit code of `--validate` when nothing is left to do.
FINISHED = 3
PROGRAMS = ("haproxy", "nginx", "iperf3", "wrk")
# What a round takes besides the load: coming to rest, and idle sessions to be opened.
ROUND_OVERHEAD_SECONDS = 0.3
START_SECONDS = 8
IDLE_SECONDS = 5


def main(arguments: Sequence[str]) -> int:
    try:
        options = _parser().parse_args(arguments)
        if options.list:
            print(selection.listing())
            return 0
        return int(options.command(options))
    except Failure as failure:
        print(f"perf: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("perf: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="perf")
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", prog="perf/run", description="Measures shuttled beside haproxy and nginx.")
    run.add_argument("--quick", action="store_true", help="the workloads with goals, coarsely, in under two minutes")
    run.add_argument("--peer", action="append", default=[], metavar="NAME", help="only this peer; repeatable")
    run.add_argument("--shuttled", type=pathlib.Path, metavar="BINARY", help="measure this instead of building")
    run.set_defaults(command=_run)
    compare = commands.add_parser(
        "compare", prog="perf/compare",
        description="Measures two builds of shuttled against each other: binaries, git revisions, or two files of results.",
    )
    compare.add_argument("old", metavar="OLD", help="a binary, a git revision or a results.json")
    compare.add_argument("new", metavar="NEW", help="the same; both of one kind if results")
    for side in ("old", "new"):
        compare.add_argument(
            f"--environment-{side}", action="append", default=[], metavar="NAME=VALUE",
            help=f"an environment variable for {side.upper()}; repeatable",
        )
    compare.set_defaults(command=_compare, quick=False)
    observe = commands.add_parser(
        "observe", prog="perf/observation",
        description="Measures shuttled with everything on that tells what it does, against the same with all of it off.",
    )
    observe.add_argument("--shuttled", type=pathlib.Path, metavar="BINARY", help="measure this instead of building")
    observe.set_defaults(command=_observe, quick=False)
    draw = commands.add_parser("draw", prog="perf/measuring draw", description="Draws the charts of a folder of results.")
    draw.add_argument("folder", type=pathlib.Path, metavar="FOLDER")
    draw.set_defaults(command=_draw, list=False)
    for command in (run, compare, observe):
        command.add_argument("--workload", action="append", default=[], metavar="NAME", help="only this; repeatable")
        command.add_argument("--pairs", type=_positive, metavar="N", help=f"interleaved runs of each proxy ({PAIRS})")
        command.add_argument("--seconds", type=_positive, metavar="N", help=f"length of one run ({SECONDS})")
        command.add_argument("--output", type=pathlib.Path, metavar="DIR", help="folder for results (perf/results/DATE)")
        command.add_argument("--no-charts", action="store_true", help="do not draw")
        command.add_argument("--list", action="store_true", help="print the names of workloads and peers")
        command.add_argument("--validate", action="store_true", help=argparse.SUPPRESS)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 up")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    chosen = selection.workloads(options.workload, options.quick)
    kinds = selection.peers(options.peer)
    if options.validate:
        return 0
    binary = _binary(options.shuttled)
    peers_names = [kind.name for kind in kinds]
    judged: list[goals.Judged] = []

    def show(workload: Workload, samples: measurement.Samples) -> None:
        print(report.workload(workload, samples, OURS, peers_names), flush=True)
        judged.extend(
            goals.judge(goal, samples, OURS, peers_names) for goal in goals.GOALS if goal.workload == workload.name
        )

    def scale(pairs: int, seconds: int) -> measurement.Samples | None:
        """Belongs to a run of everything."""
        if options.workload:
            return None
        refusal = scaling.refusal(results.cores())
        if refusal or options.quick:
            print(f"\n{refusal or 'scaling over rings: not in a quick run'}")
            return None
        samples = scaling.measure(binary, results.cores(), pairs, seconds, _progress)
        _progress("")
        print(scaling.report(samples), flush=True)
        return samples

    _measure(options, chosen, [peers.shuttled(binary, OURS), *kinds], OURS, show, scale)
    if judged:
        print(report.goals(judged))
    return 0


def _compare(options: argparse.Namespace) -> int:
    chosen = selection.workloads(options.workload)
    environments = {
        side: selection.environment(f"--environment-{side}", getattr(options, f"environment_{side}"))
        for side in ("old", "new")
    }
    of_kind = {side: builds.kind(getattr(options, side), REPOSITORY) for side in ("old", "new")}
    if "results" in of_kind.values():
        if len(set(of_kind.values())) > 1:
            raise Failure("results can be compared with results only: name two of them, or two binaries or revisions")
        if options.validate:
            _compare_results(options, chosen)
            return FINISHED
    if options.validate:
        return 0
    kinds = [
        peers.shuttled(builds.binary(getattr(options, side), REPOSITORY), side, environments[side])
        for side in ("new", "old")
    ]
    for kind, side in zip(kinds, ("new", "old"), strict=True):
        words = [f"{name}={value}" for name, value in environments[side].items()]
        print(f"{kind.name}: {' '.join([getattr(options, side), *words])}")
    _measure(
        options, chosen, kinds, "new",
        lambda workload, samples: print(report.workload(workload, samples, "new", ["old"]), flush=True),
    )
    return 0


def _observe(options: argparse.Namespace) -> int:
    chosen = selection.workloads(options.workload) if options.workload else selection.workloads(list(OBSERVED))
    if options.validate:
        return 0
    binary = _binary(options.shuttled)
    kinds = [
        peers.shuttled(binary, name, observation=peers.Observation(is_on=name == "on")) for name in ("on", "off")
    ]
    _measure(
        options, chosen, kinds, "on",
        lambda workload, samples: print(report.workload(workload, samples, "on", ["off"]), flush=True),
    )
    return 0


def _compare_results(options: argparse.Namespace, chosen: Sequence[Workload]) -> None:
    old, new = (results.read(pathlib.Path(path)) for path in (options.old, options.new))
    print(report.apart(old, new, [workload.name for workload in chosen]))


def _measure(
    options: argparse.Namespace, chosen: Sequence[Workload], kinds: Sequence[Kind], ours: str, show: Show,
    afterwards: Callable[[int, int], measurement.Samples | None] = lambda *_: None,
) -> None:
    """Measures in a namespace; `show` is given each workload's samples, which are written as soon as they are there."""
    pairs = options.pairs or (QUICK_PAIRS if options.quick else PAIRS)
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    folder = options.output or RESULTS / datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    signal.signal(signal.SIGTERM, _interrupt)
    keeper = namespace.enter()
    try:
        facts = results.facts(REPOSITORY, PROGRAMS)
        settings = {"pairs": pairs, "seconds": seconds, "quick": options.quick, "ours": ours}
        measured: dict[str, dict[str, Any]] = {}
        expected = sum(_seconds(each, len(kinds), pairs, seconds) for each in chosen)
        print(_headline(facts, settings, len(kinds), expected), flush=True)
        for workload in chosen:
            # A quick run has no time for a warm-up, nor for opening idle sessions twice.
            rounds = 1 if options.quick and workload.idle else pairs
            samples = measurement.measure(workload, kinds, rounds, seconds, _progress, warms_up=not options.quick)
            _progress("")
            show(workload, samples)
            measured[workload.name] = {
                "title": workload.title, "cpu_unit": workload.unit.cpu, "rate_unit": workload.unit.rate, "samples": samples,
            }
            results.write(folder, results.document(facts, settings, measured))
        rings = afterwards(pairs, seconds)
        if rings:
            results.write(folder, results.document(facts, settings, measured, rings))
        if not options.no_charts:
            # In a process of its own: the library starts threads, which this one cannot any more (see namespace).
            subprocess.run([sys.executable, str(pathlib.Path(__file__).parent), "draw", str(folder)], check=True)
        print(f"\nresults{'' if options.no_charts else ' and charts'}: {folder}")
    finally:
        end(keeper)


def _headline(facts: Mapping[str, Any], settings: Mapping[str, Any], proxies: int, expected_seconds: float) -> str:
    programs = ", ".join(f"{name} {version}" for name, version in facts["programs"].items())
    lines = [
        f"kernel {facts['kernel']}, {facts['cores']} cores, loopback, {facts['congestion_control']}; {programs}",
        f"{settings['pairs']} interleaved rounds of {settings['seconds']} s for each of {proxies} proxies; "
        f"about {max(1, round(expected_seconds / 60))} min",
    ]
    if settings["quick"]:
        lines.append("--quick: coarse; the intervals of so few runs say little, and nothing is established by them")
    return "\n".join(lines)


def _draw(options: argparse.Namespace) -> int:
    content = results.read(options.folder)
    facts, settings = content["facts"], content["settings"]
    caption = (
        f"{facts['date'][:10]}, commit {facts['commit']}, Linux {facts['kernel']}, {facts['cores']} cores, loopback, "
        f"{facts['congestion_control']}; {settings['pairs']} interleaved rounds of {settings['seconds']} s"
    )
    ours = settings["ours"]
    for workload in selection.workloads(list(content["workloads"])):
        samples = content["workloads"][workload.name]["samples"]
        wanted = [goal for goal in goals.GOALS if goal.workload == workload.name and ours == OURS]
        others = [name for name in samples if name != ours]
        charts.draw(options.folder / f"{workload.name}.svg", workload, samples, ours, others, wanted, caption)
    return 0


def _seconds(workload: Workload, proxies: int, pairs: int, seconds: int) -> float:
    each = seconds + ROUND_OVERHEAD_SECONDS + (IDLE_SECONDS if workload.idle else 0)
    return START_SECONDS + pairs * proxies * each


def _binary(path: pathlib.Path | None) -> pathlib.Path:
    if path is None:
        raise Failure("--shuttled is missing: call perf/run, which builds it")
    if not path.is_file():
        raise Failure(f"{path}: no such program")
    return path.resolve()


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
