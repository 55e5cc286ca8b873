// Owns the overview above the services: the figures of all of them with their courses, and health at a glance.
// Leaves to others: the services one by one (services.js).

import { badge, make, setAttribute, setBadge, setHidden, setText } from "./dom.js";
import { byteRate, count, exact, plural, rate } from "./format.js";
import { backendState, limitState, serviceState } from "./model.js";
import { Sparkline } from "./sparkline.js";

const TROUBLES_MAX = 8;

/** A figure with its course. */
class Tile {
  constructor(title, courses, key) {
    this.value = make("span", { class: "value" }, "–");
    this.more = make("p", { class: "more" }, "");
    this.line = new Sparkline(courses, { isFilled: true });
    this.node = make(
      "section", { class: `tile ${key}`, "aria-label": title },
      make("h3", {}, title), make("p", { class: "figure" }, this.value), this.more, this.line.node
    );
  }

  update(value, more) {
    setText(this.value, value);
    setText(this.more, more);
    this.line.update();
  }
}

export class Overview {
  /** `onFilter` is called with a word to show only what is in that state, `onShow` with the names of what to show. */
  constructor(model, { tiles, health, onFilter, onShow }) {
    this.model = model;
    this.onShow = onShow;
    this.onFilter = onFilter;
    const course = model.courses;
    this.received = new Tile("To clients", [course.received], "received");
    this.sent = new Tile("To backends", [course.sent], "sent");
    this.active = new Tile("Sessions", [course.active], "active");
    this.connections = new Tile("New connections", [course.connections], "connections");
    this.errors = new Tile("Errors", [course.errors], "errors");
    tiles.append(this.received.node, this.sent.node, this.active.node, this.connections.node, this.errors.node);
    this.readiness = badge({ tone: "neutral", symbol: "○", label: "asking" });
    this.counts = make("ul", { class: "counts" });
    this.shown = new Map();
    this.troubles = make("ul", { class: "troubles" });
    this.readinessDetail = make("ul", { class: "readiness", hidden: true });
    health.append(
      make("h3", { class: "unseen" }, "Health"),
      make("div", { class: "health-line" }, this.readiness, this.counts), this.readinessDetail, this.troubles
    );
  }

  update() {
    const { totals, courses } = this.model;
    const peak = (text) => `peak ${text}`;
    this.received.update(byteRate(totals.received), peak(byteRate(courses.received.max)));
    this.sent.update(byteRate(totals.sent), peak(byteRate(courses.sent.max)));
    this.active.update(exact(totals.active), totals.queued > 0 ? `${exact(totals.queued)} in queues` : peak(exact(courses.active.max)));
    this.connections.update(rate(totals.connections), `${count(totals.total)} in all`);
    this.errors.update(rate(totals.errors), `${count(totals.allErrors)} in all`);
    setAttribute(this.errors.node, "class", `tile errors${totals.errors > 0 ? " alarming" : ""}`);
    this.updateHealth();
  }

  updateHealth() {
    const states = new Map();
    const troubles = [];
    let backends = 0;
    for (const [name, entry] of this.model.services) {
      const { statistics } = entry;
      const state = serviceState(statistics);
      const limit = limitState(entry);
      if (limit) troubles.push({ rank: limit.rank, name, backend: null, state: limit });
      if (state.rank >= 3 || state.label === "maintenance") troubles.push({ rank: state.rank + 0.5, name, backend: null, state });
      for (const backend of statistics.backends) {
        backends += 1;
        const state = backendState(backend, statistics);
        // All that ramp are one kind.
        const word = state.label.startsWith("starting") ? "starting" : state.label;
        const known = states.get(word) ?? { ...state, label: word, number: 0 };
        known.number += 1;
        states.set(word, known);
        if (state.rank >= 2) troubles.push({ rank: state.rank, name, backend: backend.name, state });
      }
    }
    this.updateCounts(backends, [...states.values()].sort((first, second) => second.rank - first.rank || second.number - first.number));
    this.updateTroubles(troubles.sort((first, second) => second.rank - first.rank));
  }

  updateCounts(backends, states) {
    const services = this.model.services.size;
    const words = [["", { tone: "plain", symbol: "", label: `${plural(services, "service")}, ${plural(backends, "backend")}` }]];
    for (const state of states) words.push([state.label, { ...state, label: `${exact(state.number)} ${state.label}` }]);
    const kept = new Map();
    for (const [word, state] of words) {
      let item = this.shown.get(word);
      if (!item) {
        const face = badge(state);
        const node = word === ""
          ? make("li", {}, face)
          : make("li", {}, make("button", { type: "button", class: "quiet", onclick: () => this.onFilter(word) }, face, make("span", { class: "unseen" }, ": show them")));
        item = { face, node };
      }
      setBadge(item.face, state);
      kept.set(word, item);
    }
    const order = [...kept.values()].map((item) => item.node);
    if (order.length !== this.counts.children.length || order.some((node, index) => this.counts.children[index] !== node)) {
      this.counts.replaceChildren(...order);
    }
    this.shown = kept;
  }

  updateTroubles(troubles) {
    const shown = troubles.slice(0, TROUBLES_MAX);
    const rows = this.troubles.children;
    while (rows.length > shown.length + (troubles.length > shown.length ? 1 : 0)) this.troubles.lastChild.remove();
    shown.forEach((trouble, index) => {
      const { name, backend, state } = trouble;
      if (!rows[index]?.link) {
        rows[index]?.remove();
        const face = badge(state);
        const reason = make("span", { class: "reason" });
        const link = make("a", {});
        const row = make("li", {}, face, " ", link, " ", reason);
        Object.assign(row, { face, link, reason });
        link.addEventListener("click", (event) => {
          event.preventDefault();
          this.onShow(row.target.name);
        });
        this.troubles.insertBefore(row, rows[index] ?? null);
      }
      const row = rows[index];
      row.target = trouble;
      setBadge(row.face, state);
      setText(row.link, backend === null ? name : `${name}/${backend}`);
      setAttribute(row.link, "href", `#overview/${encodeURIComponent(name)}`);
      setText(row.reason, state.reason);
    });
    if (troubles.length > shown.length) {
      const text = `and ${plural(troubles.length - shown.length, "more")}`.replace("mores", "more");
      let last = rows[shown.length];
      if (!last) {
        last = make("li", { class: "muted" });
        this.troubles.append(last);
      } else if (last.link) {
        last.replaceWith(make("li", { class: "muted" }));
        last = rows[shown.length];
      }
      setText(last, text);
    }
    setHidden(this.troubles, troubles.length === 0);
  }

  /** `checks` are of /readyz?verbose; null where there was no answer. */
  updateReadiness(checks) {
    if (checks === null) {
      setBadge(this.readiness, { tone: "neutral", symbol: "?", label: "not known whether shuttled is ready" });
      setHidden(this.readinessDetail, true);
      return;
    }
    const failed = checks.filter((check) => !check.isGood);
    setBadge(this.readiness, failed.length === 0
      ? { tone: "ok", symbol: "✓", label: "shuttled is ready" }
      : { tone: "bad", symbol: "✕", label: "shuttled is not ready" });
    this.readinessDetail.replaceChildren(...failed.map((check) => make("li", {}, `${check.name}: ${check.detail}`)));
    setHidden(this.readinessDetail, failed.length === 0);
  }
}

/** The lines of /readyz?verbose. */
export function readinessChecks(text) {
  return [...text.matchAll(/^\[([+-])\] ([^:\n]*): (.*)$/gm)].map((match) => ({
    isGood: match[1] === "+", name: match[2], detail: match[3],
  }));
}
