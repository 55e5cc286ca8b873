"""With `-config-watch` a changed configuration file is read again by itself, however it is changed.

Leaves to `test_lifecycle.py` what reading it again does, which is the same at a hangup.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.events import Events
from harness.ports import free_address
from harness.shuttled import Shuttled, service
from harness.stage import Stage
from harness.wait import eventually


def names(shuttled: Shuttled) -> list[str]:
    return [entry["name"] for entry in shuttled.admin.config()]


def written(path: Path, services: Any) -> None:
    path.write_text(json.dumps(services))


def replaced(path: Path, services: Any) -> None:
    written(path.with_suffix(".new"), services)
    path.with_suffix(".new").rename(path)


def removed_and_made_again(path: Path, services: Any) -> None:
    path.unlink()
    written(path, services)


def linked_anew(path: Path, services: Any) -> None:
    """As kubelet mounts a ConfigMap: the link in between is replaced."""
    folder = path.parent / f"..{len(list(path.parent.iterdir()))}"
    folder.mkdir()
    written(folder / "content.json", services)
    link = path.parent / "..new"
    link.symlink_to(folder.name)
    link.rename(path.parent / "..data")
    if not path.is_symlink():
        path.unlink(missing_ok=True)
        path.symlink_to("..data/content.json")


@pytest.mark.parametrize("change", [written, replaced, removed_and_made_again, linked_anew], ids=lambda way: way.__name__)
def test_a_changed_file_is_read_again(stage: Stage, change: Callable[[Path, Any], None]) -> None:
    shuttled = stage.prepared([service("a", free_address())], arguments=["-config-watch"])
    if change is linked_anew:
        change(shuttled.config_path, [service("a", free_address())])
    shuttled.start()
    events = stage.add(Events(shuttled.admin))
    for name in ("b", "c"):
        change(shuttled.config_path, [service(name, free_address())])
        eventually(lambda: names(shuttled) == [name], f"{name} is read")
        events.wait_for("reload", trigger="config-watch", outcome="applied")
    assert events.wait_for("change", request="config-watch")["from"].endswith("config.json")
    newest = shuttled.admin.get("/v1/history?limit=1").expect(200).json["entries"][0]
    assert newest["source"] == "watch" and newest["peer"].endswith("config.json")


def test_a_file_behind_a_link_is_watched_where_it_lies(stage: Stage) -> None:
    shuttled = stage.prepared([], arguments=["-config-watch"])
    target = stage.directory / "elsewhere" / "real.json"
    target.parent.mkdir()
    written(target, [service("a", free_address())])
    shuttled.config_path.unlink()
    shuttled.config_path.symlink_to(target)
    shuttled.start()
    replaced(target, [service("b", free_address())])
    eventually(lambda: names(shuttled) == ["b"], "it is read")


def test_a_bad_file_changes_nothing_and_is_told(stage: Stage) -> None:
    shuttled = stage.shuttled([service("a", free_address())], arguments=["-config-watch"])
    events = stage.add(Events(shuttled.admin))
    before = shuttled.admin.config_text()
    shuttled.write_config('[{"name": "b",]')
    assert "config.json:1:" in events.wait_for("reload", outcome="refused", trigger="config-watch")["detail"]
    assert "config.json:1:" in shuttled.log_text()
    shuttled.config_path.unlink()
    eventually(lambda: len(events.of("reload", outcome="refused")) == 2, "that it is gone is told")
    assert shuttled.admin.config_text() == before
    # A good one is taken up after that.
    shuttled.write_config([service("c", free_address())])
    eventually(lambda: names(shuttled) == ["c"], "it is read")
    assert not events.of("change", request="DELETE /a")


def test_what_happens_beside_the_file_is_not_its_change(stage: Stage) -> None:
    shuttled = stage.shuttled([service("a", free_address())], arguments=["-config-watch"])
    events = stage.add(Events(shuttled.admin, "?types=reload"))
    for number in range(1000):
        other = shuttled.directory / f"other{number % 10}.json"
        other.write_text("nothing")
    os.sync()
    shuttled.write_config([service("b", free_address())])
    events.wait_for("reload", outcome="applied")
    assert len(events.all) == 1


def test_what_cannot_be_watched_is_refused_at_the_start(stage: Stage) -> None:
    shuttled = stage.prepared([], arguments=["-config-watch"])
    shuttled.config_path.unlink()
    os.mkfifo(shuttled.config_path)
    code, said = shuttled.run()
    assert code == 64 and "regular file" in said
    for arguments, words in ((["-config-watch"], "has no file"), (["-config-watch", "-config", "c", "-state", "s"], "exclude")):
        code, said = stage.prepared(arguments=arguments).run()
        assert code == 64 and words in said
