// Owns the view of recent sessions, where shuttled remembers them (/v1/recent).
// Leaves to others: whether there is such a route (main.js).

import { problemNode } from "./actions.js";
import { get, Problem } from "./api.js";
import { cell, make, setHidden, setText, table } from "./dom.js";
import { bytes, clock, exact, microseconds, plural } from "./format.js";

const LIMIT = 200;

/** How values are written, by the end of the field's name; others as they are. */
const WRITERS = [
  [/(^|_)(started|ended|time)$/, clock],
  [/^(sent|received)$|_bytes$/, bytes],
  [/_nanoseconds$/, (value) => microseconds(value / 1000)],
  [/_microseconds$/, microseconds],
  [/_milliseconds$|^(connect_)?duration$/, (value) => microseconds(value * 1000)],
  [/_seconds$/, (value) => microseconds(value * 1e6)],
];
/** What comes first, in this order; what a session has besides follows. */
const FIRST = ["started", "service", "backend", "client", "reason", "sent", "received"];
const TITLES = { sent: "Sent", received: "Received", connect_duration: "Connect" };

export class Sessions {
  constructor(place, onError) {
    this.onError = onError;
    this.service = make("input", { type: "search", placeholder: "all", spellcheck: "false", autocomplete: "off", onchange: () => this.load() });
    this.filter = make("input", { type: "search", placeholder: "client, backend or reason", spellcheck: "false", autocomplete: "off", oninput: () => this.draw() });
    this.found = make("span", { class: "muted", role: "status" });
    this.place = make("div", { class: "panel flush" });
    this.nothing = make("p", { class: "panel muted", hidden: true }, "No session like that is remembered.");
    this.problem = make("div", { role: "alert" });
    this.list = [];
    place.append(
      make(
        "div", { class: "bar" },
        make("label", { class: "field" }, make("span", {}, "Service"), this.service),
        make("label", { class: "field" }, make("span", {}, "Filter"), this.filter),
        make("button", { type: "button", class: "small", onclick: () => this.load() }, "Read again"), this.found
      ),
      this.problem, this.place, this.nothing
    );
  }

  async load() {
    const service = this.service.value.trim();
    try {
      const { value } = await get(`/v1/recent?limit=${LIMIT}${service === "" ? "" : `&service=${encodeURIComponent(service)}`}`);
      this.list = Array.isArray(value) ? value : value.sessions ?? [];
      this.problem.replaceChildren();
      this.draw();
    } catch (error) {
      // Of what was asked for here, an unknown service say, it is told here.
      if (error instanceof Problem && error.status !== 401) this.problem.replaceChildren(problemNode(error));
      else this.onError(error);
    }
  }

  draw() {
    const text = this.filter.value.trim().toLowerCase();
    const found = this.list.filter((session) => text === "" || Object.values(session).join("\n").toLowerCase().includes(text));
    setText(this.found, found.length === this.list.length ? plural(found.length, "session") : `${exact(found.length)} of ${plural(this.list.length, "session")}`);
    setHidden(this.nothing, found.length > 0);
    setHidden(this.place, found.length === 0);
    const names = new Set(found.flatMap((session) => Object.keys(session).filter((name) => typeof session[name] !== "object")));
    const order = [...FIRST.filter((name) => names.has(name)), ...[...names].filter((name) => !FIRST.includes(name))];
    const columns = order.map((name) => ({ name, title: title(name), class: found.every((session) => typeof session[name] !== "string") ? "number" : null }));
    const { node, body } = table("Sessions that ended last, the newest first", columns);
    body.append(...found.map((session) => make("tr", { role: "row" }, columns.map((column) => cell(column, written(column.name, session[column.name]))))));
    this.place.replaceChildren(node);
  }
}

function title(name) {
  const words = name.replace(/_(milliseconds|microseconds|nanoseconds|seconds|bytes)$/, "").replaceAll("_", " ");
  return TITLES[name] ?? words.charAt(0).toUpperCase() + words.slice(1);
}

function written(name, value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  const writer = WRITERS.find(([pattern]) => pattern.test(name));
  if (writer && (typeof value === "number" || writer[1] === clock)) return writer[1](value);
  return typeof value === "number" ? exact(value) : String(value);
}
