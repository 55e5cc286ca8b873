// Owns one service on the page: its head, and the table of its backends, which is there only while it is open and near
// what is seen.
// Leaves to others: which services are shown (services.js), what is done to them (actions.js).

import { badge, cell, make, rowHead, setAttribute, setBadge, setHidden, setText, table } from "./dom.js";
import { ago, byteRate, bytes, count, exact, microseconds, plural, rate } from "./format.js";
import { backendState, REFUSALS, refusals, serviceState } from "./model.js";
import { Sparkline } from "./sparkline.js";

const ROW_PIXELS = 37;
const COLUMNS = {
  name: { title: "Backend", class: "name" },
  state: { title: "State", class: "state" },
  check: { title: "Last check", class: "check" },
  weight: { title: "Weight", class: "number weight" },
  active: { title: "Sessions", class: "number" },
  rate: { title: "New", class: "number rate" },
  total: { title: "Total", class: "number" },
  sent: { title: "Sent", class: "number" },
  received: { title: "Received", class: "number" },
  traffic: { title: "Traffic", class: "number" },
  errors: { title: "Errors", class: "number errors" },
  retried: { title: "Retried", class: "number retried" },
  actions: { title: "Change", class: "actions" },
};

let cards = 0;

export class ServiceCard {
  /** `may` says what may be changed; `onBackend` and `onService` are called to change one, `onNear` has it observed. */
  constructor(name, { may, onBackend, onService, isOpen }) {
    this.name = name;
    this.may = may;
    this.onBackend = onBackend;
    this.isOpen = isOpen;
    this.isNear = false;
    this.rows = new Map();
    cards += 1;
    const id = `service-${cards}`;
    this.face = badge({ tone: "neutral", symbol: "○", label: "" });
    this.toggle = make(
      "button", { type: "button", class: "toggle", "aria-expanded": String(isOpen), "aria-controls": id, onclick: () => this.open(!this.isOpen) },
      make("span", { class: "chevron", "aria-hidden": "true" }), make("span", { class: "service-name" }, name)
    );
    this.meta = make("p", { class: "meta" });
    this.figures = new Figures();
    this.change = make(
      "button", { type: "button", class: "small", hidden: true, onclick: () => onService(this.name) },
      "Change", make("span", { class: "unseen" }, ` service ${name}`)
    );
    this.body = make("div", { class: "service-body", id });
    this.node = make(
      "section", { class: "service", "aria-label": `Service ${name}` },
      make(
        "div", { class: "service-head" },
        make("div", { class: "service-title" }, make("h3", {}, this.toggle), this.face, this.meta), this.figures.node, this.change
      ),
      this.body
    );
    setHidden(this.body, !isOpen);
  }

  open(isOpen) {
    this.isOpen = isOpen;
    setAttribute(this.toggle, "aria-expanded", String(isOpen));
    setHidden(this.body, !isOpen);
    this.update();
  }

  /** Whether it is near what is seen; what is not keeps its height and nothing else. */
  near(isNear) {
    if (this.isNear === isNear) return;
    this.isNear = isNear;
    if (isNear) this.update();
    else this.clear();
  }

  clear() {
    // What has the focus stays until it is left.
    if (this.body.contains(document.activeElement)) return;
    if (this.body.firstChild && !this.body.hidden) this.body.style.minHeight = `${this.body.offsetHeight}px`;
    this.body.replaceChildren();
    this.rows.clear();
    this.table = null;
  }

  /** Takes up what is known now; shows it only while it can be seen. */
  take(entry) {
    this.entry = entry;
    if (!this.table && !this.isNear) {
      this.body.style.minHeight ||= `${(entry.statistics.backends.length + 1) * ROW_PIXELS}px`;
    }
    this.update();
  }

  update() {
    if (!this.isNear || !this.entry) return;
    const { statistics, rates, course } = this.entry;
    const state = serviceState(statistics);
    setBadge(this.face, state);
    setAttribute(this.node, "data-tone", state.tone);
    setText(this.meta, description(statistics));
    setAttribute(this.meta, "title", state.reason || null);
    this.figures.update(statistics, rates, course);
    setHidden(this.change, !this.may.operate);
    if (this.isOpen) this.updateBody(statistics);
  }

  updateBody(service) {
    if (!this.table) {
      this.table = table(`Backends of ${this.name}`, Object.values(COLUMNS));
      this.notes = make("p", { class: "notes" });
      this.empty = make("p", { class: "muted", hidden: true }, "It has no backends.");
      this.body.replaceChildren(this.table.node, this.empty, this.notes);
    }
    setAttribute(this.table.node, "class", this.may.operate ? "backends" : "backends no-actions");
    const wanted = [];
    for (const { statistics, rates } of this.entry.backends.values()) {
      wanted.push([statistics.name, statistics, rates, false]);
      (statistics.targets ?? []).forEach((target, index) => wanted.push([`${statistics.name}\n${index}`, target, null, true]));
    }
    const kept = new Map();
    wanted.forEach(([key, backend, rates, isTarget], index) => {
      const row = this.rows.get(key) ?? new BackendRow(this.name, backend.name, isTarget, () => this.onBackend(this.name, backend.name));
      row.update(backend, rates, service, this.may.operate);
      kept.set(key, row);
      const place = this.table.body.children[index];
      if (place !== row.node) this.table.body.insertBefore(row.node, place ?? null);
    });
    for (const [key, row] of this.rows) if (kept.get(key) !== row) row.node.remove();
    this.rows = kept;
    setHidden(this.table.node, wanted.length === 0);
    setHidden(this.empty, wanted.length > 0);
    setText(this.notes, notes(service));
    setHidden(this.notes, this.notes.shown === "");
    this.body.style.minHeight = "";
  }
}

/** What a service is, beside its figures. */
function description(service) {
  const parts = [service.address === "" ? "pool, reached by routes" : service.address];
  if (service.network === "udp") parts.push("udp");
  parts.push(service.balance);
  if (service.routes?.length > 0) parts.push(plural(service.routes.length, "route"));
  if (service.proxy_protocol_accept) parts.push("PROXY");
  return parts.join(" · ");
}

/** Counters that say something only where they are not zero. */
function notes(service) {
  const parts = [];
  const say = (name, text) => {
    if (service[name] > 0) parts.push(`${text} ${exact(service[name])}`);
  };
  for (const [name, text] of Object.entries(REFUSALS)) say(name, `turned away ${text}:`);
  say("retried", "further tries:");
  say("panics", "let stay although failing:");
  say("delayed", "waiting for the rate limit now:");
  say("delays", "waited for the rate limit:");
  say("bandwidth_holds", "held back for bandwidth:");
  say("routed", "led on by routes:");
  say("draining", "draining:");
  for (const [name, number] of Object.entries(service.ended ?? {})) {
    if (number > 0) parts.push(`ended by ${name.replaceAll("_", " ")}: ${exact(number)}`);
  }
  say("datagrams_sent", "datagrams to backends:");
  say("datagrams_received", "to clients:");
  say("datagrams_dropped", "dropped:");
  say("datagrams_refused", "sessions refused by ICMP:");
  say("evicted", "evicted:");
  return parts.join(" · ");
}

/** The figures in a service's head. */
class Figures {
  constructor() {
    this.values = {};
    const figure = (key, title) => {
      const value = make("dd", {}, "–");
      this.values[key] = value;
      return make("div", { class: key }, make("dt", {}, title), value);
    };
    this.list = make(
      "dl", { class: "figures" },
      figure("sessions", "Sessions"), figure("queue", "Queue"), figure("new", "New"), figure("sent", "Sent"),
      figure("received", "Received"), figure("refused", "Turned away"), figure("errors", "Errors")
    );
    this.meter = make("span", { class: "meter", "aria-hidden": "true", hidden: true }, make("span"));
    this.list.firstChild.append(this.meter);
    this.node = make("div", { class: "service-figures" }, this.list);
  }

  update(service, rates, course) {
    if (!this.line) {
      this.line = new Sparkline([course], { width: 120, height: 28 });
      this.node.append(this.line.node);
    }
    const limit = service.network === "udp" ? service.udp_max_sessions ?? 16384 : service.max_connections ?? 0;
    const set = (key, text, isZero) => {
      setText(this.values[key], text);
      setAttribute(this.values[key], "data-zero", isZero ? "" : null);
    };
    set("sessions", limit > 0 ? `${exact(service.active)} / ${exact(limit)}` : exact(service.active), service.active === 0);
    setHidden(this.meter, limit === 0);
    if (limit > 0) {
      const percent = Math.min(100, (service.active * 100) / limit);
      this.meter.firstChild.style.width = `${percent.toFixed(0)}%`;
      setAttribute(this.meter, "class", `meter${percent >= 90 ? " full" : ""}`);
    }
    const line = service.queue_limit ?? 0;
    set("queue", line > 0 ? `${exact(service.queued)} / ${exact(line)}` : "none", service.queued === 0);
    set("new", rate(rates.connections), !(rates.connections > 0));
    set("sent", byteRate(rates.sent), !(rates.sent > 0));
    set("received", byteRate(rates.received), !(rates.received > 0));
    set("refused", count(refusals(service)), refusals(service) === 0);
    set("errors", count(service.errors), service.errors === 0);
    setAttribute(this.values.queue.parentNode, "data-alarm", service.queued > 0 ? "" : null);
    setAttribute(this.values.errors.parentNode, "data-alarm", rates.errors > 0 ? "" : null);
    setAttribute(this.values.refused.parentNode, "data-alarm", rates.refused > 0 ? "" : null);
    this.line.courses[0] = course;
    this.line.update();
  }
}

/** A backend, or one of the servers that a backend of SRV records stands for. */
class BackendRow {
  constructor(service, name, isTarget, onChange) {
    const value = (key) => {
      const node = cell(COLUMNS[key]);
      this[key] = node;
      return node;
    };
    this.face = badge({ tone: "neutral", symbol: "○", label: "" });
    this.address = make("span", { class: "address" });
    this.backup = make("span", { class: "tag", hidden: true }, "backup");
    this.button = make(
      "button", { type: "button", class: "small", onclick: onChange }, "Change", make("span", { class: "unseen" }, ` backend ${service}/${name}`)
    );
    this.isTarget = isTarget;
    this.node = make(
      "tr", { role: "row", class: isTarget ? "target" : null },
      rowHead(COLUMNS.name, make("span", { class: "backend-name" }, isTarget ? "↳" : name), " ", this.backup, " ", this.address),
      cell(COLUMNS.state, this.face),
      value("check"), value("weight"), value("active"), value("rate"), value("total"), value("sent"), value("received"),
      value("traffic"), value("errors"), value("retried"), cell(COLUMNS.actions, isTarget ? null : this.button)
    );
  }

  update(backend, rates, service, mayChange) {
    const state = backendState(backend, service);
    setBadge(this.face, state);
    setAttribute(this.node, "data-tone", state.tone);
    setText(this.address, address(backend, this.isTarget));
    setHidden(this.backup, !backend.backup);
    const check = lastCheck(backend, state);
    setText(this.check, check.text);
    setAttribute(this.check, "title", check.title);
    setAttribute(this.check, "class", `check ${check.tone}`);
    setText(this.weight, exact(backend.weight));
    const limit = backend.max_connections ?? 0;
    const set = (node, text, isZero) => {
      setText(node, text);
      setAttribute(node, "data-zero", isZero ? "" : null);
    };
    set(this.active, limit > 0 ? `${exact(backend.active)} / ${exact(limit)}` : exact(backend.active), backend.active === 0);
    set(this.rate, rates ? rate(rates.connections) : "", !(rates?.connections > 0));
    set(this.total, count(backend.connections), backend.connections === 0);
    set(this.sent, bytes(backend.sent), backend.sent === 0);
    set(this.received, bytes(backend.received), backend.received === 0);
    set(this.traffic, rates ? byteRate(rates.sent + rates.received) : "", !(rates?.sent + rates?.received > 0));
    set(this.errors, count(backend.errors), backend.errors === 0);
    setAttribute(this.errors, "data-alarm", rates?.errors > 0 ? "" : null);
    set(this.retried, count(backend.retried), backend.retried === 0);
    setHidden(this.button, !mayChange);
  }
}

function address(backend, isTarget) {
  const resolved = backend.resolved_address;
  if (isTarget) return resolved ?? backend.address;
  const shown = resolved ? `${backend.address} (${resolved})` : backend.address;
  return backend.resolve_error && resolved !== "" ? `${shown}, ${backend.resolve_error}` : shown;
}

/** What the last check came to, or why there is none. */
function lastCheck(backend, state) {
  const failed = backend.check_fail > 0 ? `${exact(backend.check_fail)} of ${exact(backend.check_fail + backend.check_success)} failed` : null;
  if (backend.check_status === undefined) {
    const reason = state.rank > 1 ? state.reason : "";
    return { text: reason || (backend.last_failure ? `none; ${backend.last_failure}` : "none"), tone: "muted", title: null };
  }
  const symbol = { success: "✓", fail: "✕", inconclusive: "?" }[backend.check_status];
  const parts = [`${symbol} ${backend.check_reason ?? "good"}`, microseconds(backend.check_duration_microseconds)];
  if (failed) parts.push(failed);
  if (backend.last_failure && (backend.ejected || backend.ejections > 0)) parts.push(`traffic: ${backend.last_failure}`);
  return {
    text: parts.join(" · "), tone: backend.check_status === "fail" ? "failing" : "",
    title: backend.check_last ? `${ago(backend.check_last)}` : null,
  };
}
