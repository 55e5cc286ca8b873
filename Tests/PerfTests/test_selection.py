"""Names on the command line."""

from __future__ import annotations

import pytest
from measuring import selection
from measuring.commands import main
from measuring.failure import Failure
from measuring.peers import PEERS
from measuring.workloads import WORKLOADS


def test_without_names_all_are_chosen() -> None:
    assert selection.workloads([]) == list(WORKLOADS)
    assert selection.peers([]) == list(PEERS)


def test_a_quick_run_has_fewer_unless_they_are_named() -> None:
    quick = selection.workloads([], quick=True)
    assert quick and len(quick) < len(WORKLOADS)
    assert [each.name for each in selection.workloads(["bulk-duplex"], quick=True)] == ["bulk-duplex"]


def test_those_named_are_chosen_once_and_in_the_order_of_the_list() -> None:
    assert [each.name for each in selection.workloads(["churn", "bulk-1", "churn"])] == ["bulk-1", "churn"]
    assert [each.name for each in selection.peers(["nginx"])] == ["nginx"]


def test_names_are_unique_and_can_be_names_of_files() -> None:
    names = [each.name for each in WORKLOADS]
    assert len(set(names)) == len(names)
    assert not any(set(name) & set(" /.") for name in names)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--workload", "bulk1"], "unknown workload 'bulk1': did you mean 'bulk-1'"),
        (["run", "--workload", "zzz"], "unknown workload 'zzz': one of bulk-1, bulk-8"),
        (["run", "--peer", "ngin"], "unknown peer 'ngin': did you mean 'nginx'"),
        (["compare", "--environment-new", "NAME", "HEAD", "HEAD"], "--environment-new needs NAME=VALUE, not 'NAME'"),
        (["compare", "/nonexistent/shuttled", "HEAD"], "'/nonexistent/shuttled' is no file and no git revision"),
    ],
)
def test_what_is_unknown_is_refused_before_anything_is_done(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([arguments[0], "--validate", *arguments[1:]]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--pairs", "0"], ["--seconds", "-1"], ["--pairs", "many"], ["--what"]])
def test_numbers_that_are_none_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["run", "--validate", *arguments])
    assert refused.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_good_arguments_are_accepted() -> None:
    assert main(["run", "--validate", "--quick", "--workload", "bulk-1", "--peer", "haproxy-splice"]) == 0


def test_an_environment_may_hold_an_equals_sign() -> None:
    assert selection.environment("--environment-old", ["A=b=c", "D="]) == {"A": "b=c", "D": ""}
    with pytest.raises(Failure):
        selection.environment("--environment-old", ["=value"])
