// Owns the timeline of events: the latest first, with the kinds that are asked for.
// Leaves to others: the stream (events.js).

import { badge, make, setHidden, setText } from "./dom.js";
import { clock, exact, plural, seconds } from "./format.js";

/** As many as the server keeps. */
const EVENTS_MAX = 1024;
const SHOWN_STEP = 100;

const KINDS = {
  "start": { tone: "ok", symbol: "▶" }, "stop": { tone: "info", symbol: "■" }, "change": { tone: "neutral", symbol: "✎" },
  "confirm-pending": { tone: "warn", symbol: "◷" }, "confirmed": { tone: "ok", symbol: "✓" },
  "reverted": { tone: "warn", symbol: "↶" }, "revert-failed": { tone: "bad", symbol: "✕" },
  "reload": { tone: "neutral", symbol: "⟳" }, "token-reload": { tone: "neutral", symbol: "⟳" },
  "backend-up": { tone: "ok", symbol: "▲" }, "backend-down": { tone: "bad", symbol: "▼" },
  "backend-drained": { tone: "info", symbol: "◆" }, "limit-begin": { tone: "warn", symbol: "▌" },
  "limit-end": { tone: "ok", symbol: "▏" }, "listen-failed": { tone: "bad", symbol: "✕" },
  "accept-paused": { tone: "bad", symbol: "❙" }, "accept-resumed": { tone: "ok", symbol: "▶" },
  "missed": { tone: "warn", symbol: "…" },
};

/** What groups of kinds can be asked for. */
const GROUPS = {
  all: { title: "All", has: () => true },
  health: { title: "Backends", has: (kind) => kind.startsWith("backend-") },
  changes: { title: "Changes", has: (kind) => /^(change|confirm|revert|reload|token-reload|listen)/.test(kind) },
  limits: { title: "Limits", has: (kind) => kind.startsWith("limit-") || kind.startsWith("accept-") },
};

export class Timeline {
  constructor(place) {
    this.events = [];
    this.group = "all";
    this.limit = SHOWN_STEP;
    this.state = make("span", { class: "muted", role: "status" });
    const choice = make(
      "select", { onchange: () => { this.group = choice.value; this.limit = SHOWN_STEP; this.draw(); } },
      Object.entries(GROUPS).map(([key, group]) => make("option", { value: key }, group.title))
    );
    this.filter = make("input", { type: "search", placeholder: "service, backend or text", spellcheck: "false", autocomplete: "off", oninput: () => this.draw() });
    this.list = make("ol", { class: "timeline" });
    this.nothing = make("p", { class: "panel muted" }, "Nothing of this kind has happened since shuttled started, as far as it is remembered.");
    this.more = make("button", { type: "button", hidden: true, onclick: () => { this.limit += SHOWN_STEP; this.draw(); } });
    place.append(
      make(
        "div", { class: "bar" },
        make("label", { class: "field" }, make("span", {}, "Kind"), choice),
        make("label", { class: "field" }, make("span", {}, "Filter"), this.filter), this.state
      ),
      this.list, this.nothing, this.more
    );
    this.isShown = false;
  }

  add(event) {
    this.events.unshift({ ...event, text: describe(event.kind, event.data) });
    if (this.events.length > EVENTS_MAX) this.events.pop();
    this.draw();
  }

  /** The kept events are told anew. */
  clear() {
    this.events = [];
    this.draw();
  }

  setState(text) {
    setText(this.state, text);
  }

  show(isShown) {
    this.isShown = isShown;
    this.draw();
  }

  /** Draws once for all that came together. */
  draw() {
    if (!this.isShown || this.isDue) return;
    this.isDue = true;
    queueMicrotask(() => {
      this.isDue = false;
      this.drawNow();
    });
  }

  drawNow() {
    const text = this.filter.value.trim().toLowerCase();
    const { has } = GROUPS[this.group];
    const found = this.events.filter((event) => has(event.kind) && (text === "" || `${event.kind} ${event.text}`.toLowerCase().includes(text)));
    const shown = found.slice(0, this.limit);
    const nodes = shown.map((event) => (event.node ??= item(event)));
    const kept = new Set(nodes);
    for (const node of [...this.list.children]) if (!kept.has(node)) node.remove();
    nodes.forEach((node, index) => {
      const place = this.list.children[index];
      if (place !== node) this.list.insertBefore(node, place ?? null);
    });
    setHidden(this.nothing, found.length > 0);
    setHidden(this.more, found.length <= shown.length);
    setText(this.more, `Show ${plural(Math.min(SHOWN_STEP, found.length - shown.length), "more", "more")} of ${exact(found.length)}`);
  }
}

function item(event) {
  const known = KINDS[event.kind] ?? { tone: "neutral", symbol: "•" };
  return make(
    "li", {},
    make("time", { datetime: event.data.time ?? null, title: event.data.time ?? null }, event.data.time ? clock(event.data.time) : ""),
    badge({ ...known, label: event.kind }), make("span", { class: "text" }, event.text)
  );
}

/** An event in words. */
export function describe(kind, data) {
  const who = [data.from, data.token ? `as ${data.token}` : null].filter(Boolean).join(" ");
  const backend = `${data.service}/${data.backend}`;
  const because = data.reason ? `: ${data.reason}` : "";
  switch (kind) {
    case "start": return `shuttled ${data.version} takes requests at ${data.admin}; ${plural(data.services ?? 0, "service")}`;
    case "stop": return `shuttled is ending: ${data.phase}, ${plural(data.sessions ?? 0, "session")}`;
    case "change": return `${who}, ${data.request}: ${data.changes}`;
    case "confirm-pending": return `${who}, ${data.request}: is taken back in ${seconds((data.remaining_milliseconds ?? 0) / 1000)} unless confirmed (${data.id})`;
    case "confirmed": return `${who}: change ${data.id} stays`;
    case "reverted": return `${who}: change ${data.id} was taken back`;
    case "revert-failed": return `change ${data.id} could not be taken back${because}`;
    case "reload":
    case "token-reload": return `${data.file}, for ${data.trigger}: ${data.outcome}${data.detail ? `, ${data.detail}` : ""}`;
    case "backend-up":
    case "backend-down": return `${backend}, by ${data.cause}${because}`;
    case "backend-drained": return `${backend} has no sessions left`;
    case "limit-begin": return `${data.service}: ${data.limit}, ${plural(data.count ?? 0, "client")}`;
    case "limit-end": return `${data.service}: ${data.limit}, over after ${seconds((data.milliseconds ?? 0) / 1000)}, ${plural(data.count ?? 0, "client")}`;
    case "listen-failed": return `${who}, ${data.request}: ${data.pointer}${because}`;
    case "accept-paused": return `rings do not accept for want of descriptors or slots (${data.count})`;
    case "accept-resumed": return `rings accept again after ${seconds((data.milliseconds ?? 0) / 1000)} (${data.count})`;
    case "missed": return `events before this are not known here (${data.reason})`;
    default: return Object.entries(data).filter(([name]) => name !== "time").map(([name, value]) => `${name}: ${value}`).join(", ");
  }
}
