"""The dashboard in a real browser: what it shows, what it does, who may do it, and what it must not do.

Pictures of what was seen are written into $SHUTTLE_PICTURES, where that is set.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.browser import Browser, Keys
from harness.peers import Echo, Refusing, Scripted, banner_then_echo
from harness.ports import free_address
from harness.programs import nginx_before
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import connect, echoes, read_exactly
from harness.wait import eventually

# A browser starts in a second or two, on a busy machine in many.
pytestmark = pytest.mark.time_limit(180)

READ, OPERATE, WRITE = ("r" * 32, "o" * 32, "w" * 32)
VIEWS = ["overview", "events", "rings", "configuration"]
#: What a browser says itself of an answer that the test wants to have refused.
REFUSED = "Failed to load resource: the server responded with a status of "


def looking(stage: Stage, shuttled: Shuttled, path: str = "/", **options: Any) -> Browser:
    """A browser that has opened the dashboard, in a light room."""
    browser = stage.add(Browser(**options))
    browser.prefer("light")
    browser.open(f"http://{shuttled.admin.address}{path}")
    return browser


def live(browser: Browser) -> Browser:
    browser.wait_text("live", "#connection")
    browser.wait(lambda: browser.seen(".service"), "services are shown")
    return browser


def view(browser: Browser, name: str) -> None:
    browser.run("location.hash = arguments[0]", name)
    browser.find(f"#view-{name}")


def two_backends(stage: Stage, **fields: Any) -> dict[str, Any]:
    one, two = stage.add(Echo()), stage.add(Echo())
    return service("web", free_address(), [backend("one", one.address), backend("two", two.address)], **fields)


def open_dialog(browser: Browser, label: str) -> None:
    browser.click_button(label)
    browser.find("dialog[open]")


def can_apply(browser: Browser) -> None:
    browser.wait(lambda: browser.run("return document.querySelector('dialog button[type=submit]')?.disabled === false"), "the change has been tried")


def apply(browser: Browser) -> None:
    can_apply(browser)
    browser.click("dialog button[type=submit]")


# Looking


def test_sessions_that_ended_are_shown_with_their_reasons(stage: Stage) -> None:
    shuttled = stage.shuttled([two_backends(stage)])
    address = shuttled.admin.config()[0]["address"]
    with connect(address) as client:
        assert echoes(client)
        source = "%s:%d" % client.getsockname()
    eventually(lambda: shuttled.admin.get("/v1/recent").expect(200).json["sessions"], "it has ended")
    browser = live(looking(stage, shuttled))
    view(browser, "sessions")
    browser.wait_text(source, "#view-sessions")
    browser.wait_text("client_closed", "#view-sessions")
    browser.picture("sessions-real")


def troubled(stage: Stage) -> list[dict[str, Any]]:
    """Services in every state."""
    good, refusing = stage.add(Echo()), stage.add(Refusing())

    def checked(name: str, address: str = good.address, **fields: Any) -> dict[str, Any]:
        return backend(name, address, check_address=address, **fields)

    return [
        service(
            "web", free_address(),
            [checked("fine"), checked("dead", refusing.address), checked("leaving", state="drain"), checked("out", state="maintenance"),
             checked("light", weight=0), checked("spare", backup=True), backend("unknown", good.address)],
            check_interval=100, max_connections=50, queue_limit=10, queue_timeout=1000,
        ),
        service("alone", free_address(), [checked("dead", refusing.address)], check_interval=100),
        service("closed", free_address(), [backend("one", good.address)], maintenance=True),
        service("names", free_address(), [backend("one", good.address)], network="udp"),
        service("empty", free_address()),
    ]  # fmt: skip


def test_everything_is_shown_accessibly_in_light_and_dark(stage: Stage) -> None:
    shuttled = stage.shuttled(troubled(stage), state=True)
    shuttled.admin.change("/web", {"fall": 3}, "PATCH")
    browser = live(looking(stage, shuttled))
    assert browser.driver.current_url.endswith("/dashboard"), "a browser is sent on"
    assert browser.driver.title == "shuttle"
    # States are told in words, and why.
    for text in ("▼ down", "✕ connection refused", "◆ drained", "■ maintenance", "▽ weight 0", "△ up, unchecked", "▽ no backends", "▲ up"):
        browser.wait_text(text, "#services")
    browser.wait_text("alone/dead connection refused", ".troubles")
    browser.wait_text("shuttled is ready", "#health")
    browser.wait_text("0 / 50", "#services")
    browser.wait_text("backup", "#services")
    remembers_sessions = "/v1/recent" in shuttled.admin.get("/openapi.json").json["paths"]
    assert bool(browser.seen("#navigation a[href='#sessions']")) is remembers_sessions
    for name in [*VIEWS, "sessions"] if remembers_sessions else VIEWS:
        view(browser, name)
        if name == "rings":
            browser.wait_text("Ring 1", "#rings")
        if name == "events":
            browser.wait_text("backend-down", ".timeline")
        if name == "configuration":
            browser.wait_text("fall: 2 -> 3", "#configuration .history")
        for scheme in ("light", "dark"):
            browser.prefer(scheme)
            assert browser.axe() == [], f"{name} in {scheme}"
            browser.picture(f"{name}-{scheme}")
    browser.check()


def test_traffic_appears_by_itself(stage: Stage) -> None:
    web = two_backends(stage)
    shuttled = stage.shuttled([web])
    browser = live(looking(stage, shuttled))
    browser.wait_text("Sessions 0", ".tile.active")
    sent = 0
    with stage.connect(web["address"]) as connection:
        browser.wait_text("Sessions 1", ".tile.active")
        browser.wait_text("Sessions 1", ".service .figures")

        def moves() -> bool:
            nonlocal sent
            connection.sendall(b"x" * 50_000)
            sent += len(read_exactly(connection, 50_000))
            return "kB/s" in browser.text(".tile.received .figure") or "MB/s" in browser.text(".tile.received .figure")

        browser.wait(moves, "bytes a second are shown")
        browser.wait(lambda: browser.run("return document.querySelector('.tile.received .line').getAttribute('d').length > 10"), "their course is drawn")
    browser.wait_text("Sessions 0", ".tile.active")
    assert shuttled.admin.service("web")["sent"] == sent
    # What is added to the configuration comes by itself as well, and what is removed goes.
    shuttled.admin.change("/api", service("api", free_address(), [backend("new", "127.0.0.1:9")]))
    browser.wait(lambda: browser.seen("[aria-label='Service api']"), "the new service is shown")
    browser.wait_text("new 127.0.0.1:9", "[aria-label='Service api']")
    shuttled.admin.remove("/api")
    browser.wait(lambda: not browser.seen("[aria-label='Service api']"), "it goes")
    browser.check()


def test_limits_are_seen_while_they_hold(stage: Stage) -> None:
    web = two_backends(stage, max_connections=1, queue_limit=1)
    browser = live(looking(stage, stage.shuttled([web])))
    browser.wait_text("Queue 0 / 1", ".service .figures")
    inside = stage.connect(web["address"])
    inside.sendall(b"x")
    read_exactly(inside, 1)
    waiting = stage.connect(web["address"])
    browser.wait_text("queue web 1 client waits for a place", ".troubles")
    browser.wait_text("Queue 1 / 1", ".service .figures")
    turned_away = 0

    def is_told() -> bool:
        nonlocal turned_away
        with stage.connect(web["address"]) as connection:
            assert connection.recv(1) == b""
        turned_away += 1
        return "turns away web" in browser.text(".troubles")

    browser.wait(is_told, "it is told that clients are turned away")
    browser.wait_text(f"turned away queue full: {turned_away}", ".notes")
    browser.wait_text(f"Turned away {turned_away}", ".service .figures")
    inside.close()
    waiting.close()
    browser.wait(lambda: not browser.seen(".troubles"), "it is over")
    browser.check()


def test_services_are_filtered_closed_and_ordered(stage: Stage) -> None:
    shuttled = stage.shuttled(troubled(stage))
    browser = live(looking(stage, shuttled))

    def shown() -> list[str]:
        return [element.text for element in browser.seen(".service .service-name")]

    assert shown() == ["alone", "closed", "empty", "names", "web"]
    browser.find("#filter").send_keys("spare")
    browser.wait(lambda: shown() == ["web"], lambda: f"only one is shown: {shown()}")
    browser.wait_text("1 of 5 services", "#matches")
    browser.open(browser.driver.current_url)
    live(browser)
    assert shown() == ["web"], "the filter is remembered"
    assert browser.run("return Object.keys(localStorage)") == ["shuttle-filter"]
    browser.find("#filter").send_keys(Keys.BACKSPACE * 5)
    browser.wait(lambda: len(shown()) == 5, "all are shown again")
    browser.wait_text("down", "#health")
    browser.run("document.querySelector('#order').value = 'problems'; document.querySelector('#order').dispatchEvent(new Event('change'))")
    browser.wait(lambda: shown()[0] == "alone", lambda: f"the worst comes first: {shown()}")
    toggle = browser.find("[aria-label='Service web'] .toggle")
    assert toggle.get_attribute("aria-expanded") == "true"
    toggle.click()
    assert toggle.get_attribute("aria-expanded") == "false" and not browser.seen("[aria-label='Service web'] table")
    browser.click("#problems")
    browser.wait(lambda: "names" not in shown(), lambda: f"what is well is not shown: {shown()}")
    browser.check()


def test_it_works_on_a_phone(stage: Stage) -> None:
    shuttled = stage.shuttled([*troubled(stage), service("x" * 128, free_address(), [backend("y" * 128, "127.0.0.1:9")])])
    browser = looking(stage, shuttled)
    browser.size(360, 740, mobile=True)
    live(browser)
    browser.wait_text("connection refused", "#services")
    for name in VIEWS:
        view(browser, name)
        width, room = browser.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert room == 360 and width == 360, f"{name} is {width} px wide"
        assert browser.axe() == [], name
        browser.picture(f"phone-{name}")
    view(browser, "overview")
    browser.run("document.querySelector('[aria-label=\"Service web\"]').scrollIntoView()")
    browser.wait_text("connection refused", "[aria-label='Service web']")
    browser.picture("phone-services")
    open_dialog(browser, "Change backend web/fine")
    assert browser.run("return document.documentElement.scrollWidth") == 360
    assert browser.axe() == []
    browser.picture("phone-dialog")
    browser.check()


def test_the_theme_can_be_chosen(stage: Stage) -> None:
    shuttled = stage.shuttled([two_backends(stage)])
    browser = live(looking(stage, shuttled))
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = browser.run(ground)
    browser.prefer("dark")
    dark = browser.run(ground)
    assert light != dark, "it follows what the person prefers"
    browser.find("#theme").send_keys("Light")
    browser.wait(lambda: browser.run(ground) == light, "it is light")
    browser.open(browser.driver.current_url)
    live(browser)
    assert browser.run(ground) == light, "the choice is remembered"
    assert browser.run("return [Object.keys(localStorage), Object.keys(sessionStorage)]") == [["shuttle-theme"], []]
    browser.check()


# Doing


def test_a_backend_is_drained_by_keyboard_alone(stage: Stage) -> None:
    web = two_backends(stage)
    shuttled = stage.shuttled([web], state=True)
    browser = live(looking(stage, shuttled))
    held = stage.connect(web["address"])
    held.sendall(b"x")
    read_exactly(held, 1)
    [busy] = [one["name"] for one in shuttled.admin.service("web")["backends"] if one["active"] == 1]
    browser.wait(lambda: browser.seen("td.actions button"), "backends can be changed")
    browser.press(Keys.TAB)
    assert browser.focused() == "Skip to content", "what comes first"
    browser.press(Keys.ENTER)
    passed = browser.tab_to(f"Change backend web/{busy}")
    assert passed[:3] == ["1 up, unchecked: show them", "Filter", "Problems only"] or "Filter" in passed, passed
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus is seen"
    browser.press(Keys.ENTER)
    browser.find("dialog[open]")
    browser.wait(lambda: browser.focused().startswith("Ready"), lambda: f"the first choice has the focus: {browser.focused()}")
    browser.press(Keys.ARROW_DOWN)
    browser.wait_text('state: "ready" -> "drain"', "dialog .outcome")
    browser.wait_text("its 1 session run on", "dialog .outcome")
    can_apply(browser)
    assert shuttled.admin.service("web")["backends"][0].get("state") is None, "nothing is changed before it is said so"
    assert browser.axe() == []
    browser.picture("dialog")
    browser.tab_to("Apply")
    browser.press(Keys.ENTER)
    browser.wait(lambda: not browser.seen("dialog[open]"), "the dialog closes")
    browser.wait_text("draining", "#services")
    assert shuttled.admin.get(f"/v1/services/web/backends/{busy}").json["state"] == "drain"
    assert browser.focused() == f"Change backend web/{busy}", "the focus is where it was"
    held.close()
    browser.wait_text("drained", "#services")
    # Escape changes nothing.
    browser.press(Keys.ENTER)
    browser.find("dialog[open]")
    browser.press(Keys.ARROW_DOWN, Keys.ESCAPE)
    browser.wait(lambda: not browser.seen("dialog[open]"), "the dialog closes")
    assert shuttled.admin.get(f"/v1/services/web/backends/{busy}").json["state"] == "drain"
    browser.check()


def test_weights_and_maintenance_are_changed(stage: Stage) -> None:
    shuttled = stage.shuttled([two_backends(stage)])
    browser = live(looking(stage, shuttled))
    open_dialog(browser, "Change service web")
    browser.click("dialog input[value=maintenance]")
    weight = browser.find("dialog .weights input")
    weight.clear()
    weight.send_keys("300")
    browser.wait_text("Choose what to change", "dialog")
    weight.clear()
    weight.send_keys("7")
    browser.wait_text("backend web/one: weight: 1 -> 7", "dialog .outcome")
    browser.wait_text("maintenance: false -> true", "dialog .outcome")
    apply(browser)
    browser.wait_text("Service web: done", "#notices")
    now = shuttled.admin.get("/v1/services/web").json
    assert now["maintenance"] is True and [one["weight"] for one in now["backends"]] == [7, 1]
    browser.wait_text("■ maintenance", "[aria-label='Service web'] .service-head")
    browser.check()


def test_what_was_changed_meanwhile_is_not_overwritten(stage: Stage) -> None:
    shuttled = stage.shuttled([two_backends(stage)])
    browser = live(looking(stage, shuttled))
    browser.tolerated.append(REFUSED + "412")
    open_dialog(browser, "Change backend web/one")
    browser.click("dialog input[value=maintenance]")
    can_apply(browser)
    shuttled.admin.change("/web/one", {"weight": 9}, "PATCH")
    browser.click("dialog button[type=submit]")
    refused = shuttled.admin.request("PATCH", "/web/one", json={"weight": 2}, headers={"If-Match": '"x"'}).problem(412)
    browser.wait_text(refused.document["title"], "dialog .problem")
    browser.wait_text("(412)", "dialog .problem")
    assert len(browser.text("dialog .problem")) > 60, "all of the problem is shown"
    assert shuttled.admin.get("/v1/services/web/backends/one").json["weight"] == 9
    assert browser.axe() == []
    browser.picture("dialog-refused")
    browser.click_button("Look again", "dialog")
    browser.wait(lambda: browser.run("return document.querySelector('dialog input[type=number]')?.value") == "9", "what is there now is shown")
    browser.click("dialog input[value=maintenance]")
    apply(browser)
    eventually(lambda: shuttled.admin.get("/v1/services/web/backends/one").json.get("state") == "maintenance", "it is changed now")
    browser.check()


def test_the_configuration_goes_back_after_a_look_at_what_that_means(stage: Stage) -> None:
    web = two_backends(stage)
    shuttled = stage.shuttled([web], state=True)
    shuttled.admin.change("/web", {"fall": 9, "backends": {"two": None}}, "PATCH")
    browser = looking(stage, shuttled, "/dashboard#configuration")
    browser.wait_text('"fall": 9', "#configuration .code")
    browser.wait_text("- backend web/two", ".history")
    browser.wait_text("by 127.0.0.1", ".history")
    browser.click(".history details summary")
    browser.wait_text('"op": "replace"', ".history")
    open_dialog(browser, "Go back to this: change 1")
    browser.wait_text("+ backend web/two", "dialog .outcome")
    browser.wait_text("fall: 9 -> 2", "dialog .outcome")
    assert browser.axe() == []
    apply(browser)
    browser.wait_text("Change 3", ".history")
    browser.wait_text('"fall": 2', "#configuration .code")
    assert [one["name"] for one in shuttled.admin.get("/v1/services/web").json["backends"]] == ["one", "two"]
    browser.check()


def test_a_change_can_take_itself_back(stage: Stage) -> None:
    shuttled = stage.shuttled([two_backends(stage)])
    browser = live(looking(stage, shuttled))
    for choice, weight in (("Keep it", 5), ("Take it back now", 1)):
        shuttled.admin.change("/web/one", {"weight": 1}, "PATCH")
        open_dialog(browser, "Change backend web/one")
        number = browser.find("dialog input[type=number]")
        number.clear()
        number.send_keys("5")
        browser.find("dialog label select").send_keys("Taken back after 5")
        apply(browser)
        browser.wait_text("unless it is confirmed", "#notices")
        assert browser.axe() == []
        browser.click_button(choice)
        browser.wait(lambda: "unless it is confirmed" not in browser.text("#notices"), "it is decided")
        assert shuttled.admin.get("/v1/services/web/backends/one").json["weight"] == weight
    browser.check()


# Who may


def write_tokens(path: Path, *lines: str) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o600)


def with_tokens(stage: Stage, services: Any) -> Shuttled:
    shuttled = stage.prepared(services, arguments=["-token-file", "tokens"])
    write_tokens(shuttled.directory / "tokens", f"look read {READ}", f"work operate {OPERATE}", f"root write {WRITE}")
    shuttled.admin.token = WRITE
    return shuttled.start()


def sign_in(browser: Browser, token: str) -> None:
    field = browser.find("#token")
    field.clear()
    field.send_keys(token, Keys.ENTER)


def test_a_token_is_asked_for_and_what_it_may_is_offered(stage: Stage) -> None:
    shuttled = with_tokens(stage, [two_backends(stage)])
    shuttled.admin.change("/web/one", {"weight": 2}, "PATCH")
    browser = looking(stage, shuttled)
    browser.tolerated.append(REFUSED + "401")
    browser.wait_text("This endpoint asks for a token", "#main")
    assert not browser.seen("#navigation a") and not browser.seen(".service")
    assert browser.axe() == []
    browser.picture("sign-in")
    sign_in(browser, "x" * 32)
    browser.wait_text("the token is none that is known here", "#sign-in-problem")
    for name, token, changes, restores in (("look (read)", READ, False, False), ("work (operate)", OPERATE, True, False), ("root (write)", WRITE, True, True)):
        sign_in(browser, token)
        browser.wait_text(name, "#caller")
        live(browser)
        browser.wait_text("one 127.0.0.1", "#services")
        assert bool(browser.seen("td.actions button")) is changes, name
        view(browser, "configuration")
        browser.wait_text("weight: 1 -> 2", ".history")
        assert bool(browser.seen("button.restore")) is restores, name
        assert browser.run("return JSON.stringify(localStorage)") == "{}", "a token is in no lasting store"
        assert browser.run("return Object.values(sessionStorage)") == [token]
        assert token not in browser.driver.page_source
        view(browser, "overview")
        if name.startswith("work"):
            open_dialog(browser, "Change backend web/one")
            browser.click("dialog input[value=drain]")
            apply(browser)
            eventually(lambda: shuttled.admin.get("/v1/history?limit=1").json["entries"][0]["token"] == "work", "it was changed by that token")
        browser.click_button("Forget token")
        browser.find("#token")
        assert browser.run("return sessionStorage.length") == 0
    browser.check()


def test_a_token_that_is_withdrawn_ends_the_view(stage: Stage) -> None:
    shuttled = with_tokens(stage, [two_backends(stage)])
    browser = looking(stage, shuttled)
    browser.tolerated.append(REFUSED + "401")
    sign_in(browser, OPERATE)
    live(browser)
    write_tokens(shuttled.directory / "tokens", f"root write {WRITE}")
    browser.wait_text("This endpoint asks for a token", "#main")
    browser.wait_text("it may have been replaced", "#sign-in-problem")
    assert browser.run("return sessionStorage.length") == 0 and not browser.seen(".service")
    browser.check()


# What it must not do


def test_texts_are_never_markup(stage: Stage) -> None:
    """Names can be none; paths of sockets, and what backends say, can."""
    markup = "<img src=x onerror=document.title=1>"
    talker = stage.add(Scripted(banner_then_echo(markup.encode())))
    web = service(
        "web", free_address(), [backend("one", f"unix:/{markup}.sock"), backend("two", talker.address, check_address=talker.address)],
        check_interval=100, check={"type": "tcp_expect", "expect": "hello", "timeout": 100},
    )  # fmt: skip
    shuttled = stage.shuttled([web])
    shuttled.admin.request("PATCH", "/web?confirm=5m", json={"backends": {"three": {"address": f"unix:/{markup}"}}}).expect(200)
    shuttled.admin.put(f"/{markup.replace(' ', '%20')}", {"address": "x"})
    browser = live(looking(stage, shuttled))
    browser.wait_text(f"unix:/{markup}.sock", "#services")
    browser.wait_text(f'got "{markup}', "#services")
    browser.wait_text("unless it is confirmed", "#notices")
    open_dialog(browser, "Change backend web/one")
    browser.wait_text("Choose what to change", "dialog")
    browser.press(Keys.ESCAPE)
    for name in VIEWS:
        view(browser, name)
    browser.wait_text(f"unix:/{markup}.sock", "#configuration .code")
    assert browser.run("return document.querySelectorAll('img').length") == 0
    assert browser.driver.title != "1"
    browser.check()


def page_server(stage: Stage, answer: Callable[[str], tuple[dict[str, str], str]]) -> str:
    """Serves pages that are not shuttled's."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers, text = answer(self.path)
            self.send_response(200)
            for name, value in {"Content-Type": "text/html; charset=utf-8", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    class Ending:
        def close(self) -> None:
            server.shutdown()
            server.server_close()
            thread.join(10)

    stage.add(Ending())
    return f"http://127.0.0.1:{server.server_port}"


def test_pages_of_others_can_change_nothing(stage: Stage) -> None:
    shuttled = stage.shuttled([two_backends(stage)])
    before = shuttled.admin.config_text()
    site = page_server(stage, lambda path: ({}, "<!DOCTYPE html><title>other</title><iframe></iframe>"))
    browser = stage.add(Browser())
    browser.open(site)
    tried = browser.driver.execute_async_script(
        """
        const [admin, done] = arguments;
        const body = JSON.stringify({weight: 9});
        const ways = [
          {method: "PATCH", body, headers: {"Content-Type": "application/json"}}, {method: "POST", body, mode: "no-cors"},
          {method: "PUT", body}, {method: "DELETE"}, {method: "GET"},
        ];
        Promise.all(ways.map((way) => fetch(`${admin}/web/one`, way).then((answer) => answer.type, () => "refused"))).then(done);
        """,
        f"http://{shuttled.admin.address}",
    )
    assert tried == ["refused", "opaque", "refused", "refused", "refused"]
    browser.run(
        """
        const form = document.createElement("form");
        Object.assign(form, {method: "POST", action: `${arguments[0]}/web/one`, enctype: "text/plain"});
        document.body.append(form);
        form.submit();
        """,
        f"http://{shuttled.admin.address}",
    )
    browser.wait_text("foreign-origin")
    browser.open(site)
    browser.run("document.querySelector('iframe').src = `${arguments[0]}/dashboard`", f"http://{shuttled.admin.address}")
    browser.wait(lambda: any("403" in said or "frame" in said.lower() for said in browser.complaints()), "it stands in no frame")
    assert shuttled.admin.config_text() == before


def test_behind_a_tls_proxy_it_is_the_same(stage: Stage) -> None:
    """By the name that shuttled was told of; by another one nothing is let in."""
    files = stage.directory / "certificate.pem", stage.directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=admin.example", "-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run(command, check=True, capture_output=True)
    shuttled = stage.shuttled([two_backends(stage)], arguments=["-http-host", "admin.example"])
    proxy = nginx_before(stage, shuttled.admin.address, *files)
    port = proxy.address.rsplit(":")[-1]
    browser = stage.add(Browser())
    browser.open(f"https://other.example:{port}/")
    browser.wait_text("foreign-host")
    browser.tolerated.append(REFUSED + "403")
    browser.open(f"https://admin.example:{port}/")
    live(browser)
    open_dialog(browser, "Change backend web/one")
    browser.click("dialog input[value=drain]")
    apply(browser)
    browser.wait_text("drained", "#services")
    view(browser, "events")
    browser.wait_text("PATCH /web/one", ".timeline")
    browser.check()


# What it costs


def asked(browser: Browser, path: str) -> list[float]:
    """When this was asked for, in ms."""
    return browser.run("return asked.filter((one) => one.path === arguments[0]).map((one) => one.at)", path)


def test_it_asks_once_a_second_and_not_at_all_while_nobody_looks(stage: Stage) -> None:
    shuttled = stage.shuttled([two_backends(stage)])
    browser = live(looking(stage, shuttled))
    browser.wait(lambda: len(asked(browser, "/_stats")) >= 4, "it has looked four times")
    times = asked(browser, "/_stats")
    assert min(second - first for first, second in zip(times, times[1:])) >= 990
    view(browser, "events")
    shuttled.admin.change("/web/two", {"weight": 2}, "PATCH")
    browser.wait_text("PATCH /web/two", ".timeline")
    hide = "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
    browser.run(hide, True)
    # The stream has ended: shuttled has a place for another, and what happens is told to nobody.
    count = len(browser.run("return asked"))
    for weight in (2, 3, 4):
        shuttled.admin.change("/web/one", {"weight": weight}, "PATCH")
    browser.driver.execute_async_script("setTimeout(arguments[0], 2500)")
    assert len(browser.run("return asked")) == count, "nothing is asked for"
    browser.run(hide, False)
    browser.wait(lambda: len(browser.run("return asked")) > count, "it looks again")
    browser.wait(lambda: browser.text(".timeline").count("PATCH /web/one") >= 3, "what happened meanwhile is told")
    told = browser.text(".timeline")
    assert [told.count(text) for text in ("PATCH /web/one", "PATCH /web/two", "takes requests")] == [3, 1, 1], "all of it once"
    browser.check()


# Much data, in a debug build as well.
@pytest.mark.time_limit(400)
def test_a_thousand_services_stay_usable(stage: Stage) -> None:
    backends = [backend(f"b{number}", f"127.0.0.1:{number + 1}") for number in range(5)]
    shuttled = stage.shuttled([service(f"s{number:04}", "", backends) for number in range(1000)])
    browser = live(looking(stage, shuttled))
    rows = "return document.querySelectorAll('#services tbody tr').length"
    browser.click_button("Open all")
    browser.wait(lambda: browser.run(rows) > 0, "backends are shown", 90)
    browser.wait_text("1,000 services, 5,000 backends", "#health")
    assert browser.run(rows) < 200, "what is far away is not drawn"
    browser.picture("thousand")
    # Nothing has changed: nothing is drawn anew, however often it looks.
    browser.run(
        """
        window.changes = 0;
        new MutationObserver((list) => { changes += list.length; })
          .observe(document.querySelector(".service-list"), {subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["class", "hidden", "title"]});
        """
    )
    looks = len(asked(browser, "/_stats"))
    browser.wait(lambda: len(asked(browser, "/_stats")) >= looks + 3, "it looks three times", 90)
    assert browser.run("return changes") == 0
    browser.run("document.querySelector('.service:last-child').scrollIntoView()")
    browser.wait(lambda: "b4" in browser.text(".service:last-child"), "the last is drawn when it is seen", 90)
    assert browser.run(rows) < 200
    browser.find("#filter").send_keys("s0777")
    browser.wait(lambda: len(browser.seen(".service")) == 1, "one is found", 90)
    browser.wait_text("b4", "[aria-label='Service s0777']")
    view(browser, "configuration")
    browser.wait_text("The whole is in the file", "#configuration .code")
    browser.check()


# When it breaks


def test_a_break_is_told_and_followed_by_what_is_new(stage: Stage) -> None:
    shuttled = stage.shuttled([two_backends(stage)], state=True)
    browser = live(looking(stage, shuttled))
    browser.tolerated += ["net::ERR_", "Failed to load resource"]
    browser.wait(lambda: browser.run("return document.querySelector('.tile.active .figure').innerText") == "0", "figures are shown")
    shuttled.stop()
    browser.wait_text("No answer for", "#notices")
    browser.wait_text("no answer", "#connection")
    browser.wait_text("not known whether", "#health")
    assert browser.axe() == []
    browser.picture("no-answer")
    shuttled.start()
    browser.wait_text("live", "#connection")
    browser.wait(lambda: "No answer" not in browser.text("#notices"), "the notice goes")
    browser.wait_text("shuttled is ready", "#health")
    view(browser, "events")
    browser.wait_text("other-process", ".timeline")
    browser.wait_text("shuttled 0", ".timeline")
    shuttled.admin.change("/web/one", {"weight": 3}, "PATCH")
    browser.wait_text("PATCH /web/one", ".timeline")
    browser.check()


# The checks themselves


def test_a_broken_page_is_told_as_one(stage: Stage) -> None:
    pages = {
        "/console": ({}, "<script>console.error('broken')</script>"),
        "/error": ({}, "<script>nothing.there()</script>"),
        "/rejection": ({}, "<script>Promise.reject(new Error('late'))</script>"),
        "/missing": ({}, "<script src=/none.js type=module></script>"),
        "/policy": ({"Content-Security-Policy": "default-src 'none'"}, "<script>1</script>"),
        "/style": ({"Content-Security-Policy": "default-src 'none'"}, "<p style='color: red'>red</p>"),
        "/markup": (
            {"Content-Security-Policy": "require-trusted-types-for 'script'; trusted-types 'none'"},
            "<script>document.body.innerHTML = '<b>x</b>'</script>",
        ),
    }
    inaccessible = "<!DOCTYPE html><html><title>x</title><main><h1>x</h1><p style='color: #bbb; background: #fff'>pale</p><input><img src=data:,></main></html>"
    fine = "<!DOCTYPE html><html lang=en><title>x</title><link rel=icon href=data:,><main><h1>x</h1><p>y</p><a href='#a'>z</a></main></html>"

    def answer(path: str) -> tuple[dict[str, str], str]:
        if path == "/none.js":
            return {"Content-Type": "text/plain"}, "no script"
        headers, text = pages.get(path, ({}, inaccessible if path == "/inaccessible" else fine))
        return headers, text if path not in pages else f"<!DOCTYPE html><html lang=en><link rel=icon href=data:,><title>x</title><body>{text}"

    site = page_server(stage, answer)
    browser = stage.add(Browser())
    browser.open(f"{site}/fine")
    browser.check()
    assert browser.axe() == []
    for path in pages:
        before = browser.complaints()
        browser.open(site + path)
        browser.wait(lambda: set(browser.complaints()) - set(before), lambda: f"{path} is complained of: {browser.complaints()}")
        with pytest.raises(AssertionError):
            browser.check()
    browser.open(f"{site}/inaccessible")
    found = {line.split(":")[0] for line in browser.axe()}
    assert {"color-contrast", "html-has-lang", "image-alt", "label"} <= found, found


def test_the_page_is_a_few_small_files(stage: Stage) -> None:
    """What it loads, all of it from here, and that a browser which has it loads it no more."""
    shuttled = stage.shuttled([two_backends(stage)])
    browser = live(looking(stage, shuttled))
    loaded = browser.run("return performance.getEntriesByType('resource').map((one) => [one.name, one.initiatorType, one.decodedBodySize])")
    files = {name: size for name, kind, size in loaded if kind != "fetch"}
    assert all(name.startswith(f"http://{shuttled.admin.address}/dashboard/") for name in files), files
    assert len(files) >= 15 and sum(files.values()) < 200_000, files
    for name in files:
        path = "/dashboard/" + name.rsplit("/", 1)[1]
        tag = shuttled.admin.get(path).expect(200).headers["etag"]
        shuttled.admin.request("GET", path, headers={"If-None-Match": tag}).expect(304)
    assert json.loads(shuttled.admin.get("/").expect(200).body)[0]["name"] == "web", "programs get what they always got"
    browser.check()
