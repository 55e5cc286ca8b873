// Owns the view of the configuration: what it is now, the changes that led to it, and what going back would change.
// Leaves to others: the dialog that makes the change (actions.js).

import { get, path } from "./api.js";
import { make, setHidden, setText } from "./dom.js";
import { bytes, clock, plural } from "./format.js";

/** More of a text is not put into the page; it can be had as a file. */
const TEXT_MAX = 300_000;
const PAGE = 25;

export class ConfigurationView {
  constructor(place, { may, onRestore, onError, names }) {
    this.may = may;
    this.onRestore = onRestore;
    this.onError = onError;
    this.names = names;
    this.entries = [];
    this.part = make("select", { onchange: () => this.loadText() });
    this.size = make("span", { class: "muted", role: "status" });
    this.text = make("pre", { class: "code", tabindex: "0", role: "region", "aria-label": "Configuration as JSON" });
    this.copy = make("button", { type: "button", class: "small", onclick: () => this.copyText() }, "Copy");
    this.save = make("a", { class: "button small", download: "shuttle.json" }, "Save");
    this.history = make("ol", { class: "history" });
    this.nothing = make("p", { class: "panel muted", hidden: true }, "No change has been made yet.");
    this.older = make("button", { type: "button", hidden: true, onclick: () => this.loadHistory(true) }, "Older changes");
    place.append(
      make(
        "div", { class: "columns" },
        make(
          "section", { "aria-labelledby": "current-title" }, make("h3", { id: "current-title" }, "Now"),
          make("div", { class: "bar" }, make("label", { class: "field" }, make("span", {}, "Of"), this.part), this.copy, this.save, this.size),
          this.text
        ),
        make(
          "section", { "aria-labelledby": "history-title" }, make("h3", { id: "history-title" }, "History"), this.history,
          this.nothing, this.older
        )
      )
    );
  }

  async load() {
    await Promise.all([this.loadText(), this.loadHistory(false)]);
  }

  async loadText() {
    const names = ["", ...this.names()];
    const chosen = names.includes(this.part.value) ? this.part.value : "";
    this.part.replaceChildren(...names.map((name) => make("option", { value: name }, name === "" ? "everything" : name)));
    this.part.value = chosen;
    try {
      const { value, version } = await get(chosen === "" ? "/config" : `/v1/services${path(chosen)}`);
      const text = `${JSON.stringify(value, null, 2)}\n`;
      this.whole = text;
      setText(this.text, text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}\n… The whole is in the file that Save gives.` : text);
      setText(this.size, `${bytes(text.length)}, version ${(version ?? "").replaceAll('"', "")}`);
      if (this.save.href.startsWith("blob:")) URL.revokeObjectURL(this.save.href);
      this.save.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    } catch (error) {
      this.onError(error);
    }
  }

  async copyText() {
    try {
      await navigator.clipboard.writeText(this.whole);
      setText(this.copy, "Copied");
      setTimeout(() => setText(this.copy, "Copy"), 2000);
    } catch {
      // Without TLS browsers may keep the clipboard from pages: what is marked can be copied by hand.
      getSelection().selectAllChildren(this.text);
    }
  }

  async loadHistory(isOlder) {
    const before = isOlder && this.entries.length > 0 ? `&before=${this.entries.at(-1).id}` : "";
    try {
      const { value } = await get(`/v1/history?limit=${PAGE}${before}`);
      this.entries = isOlder ? [...this.entries, ...value.entries] : value.entries;
      const open = new Set([...this.history.querySelectorAll("details[open]")].map((node) => node.dataset.id));
      // The newest is what is now.
      this.history.replaceChildren(...this.entries.map((entry, index) => this.entry(entry, index === 0, open.has(String(entry.id)))));
      setHidden(this.nothing, this.entries.length > 0);
      setHidden(this.older, value.next === null);
    } catch (error) {
      this.onError(error);
    }
  }

  entry(entry, isNow, isOpen) {
    const who = entry.token ? `${entry.token} (${entry.peer})` : entry.peer;
    const lines = diffLines(entry.diff);
    if (entry.diff_lines_left_out > 0) lines.append(make("li", { class: "muted" }, `and ${plural(entry.diff_lines_left_out, "line")} more`));
    const whole = make("div");
    const details = make("details", { "data-id": entry.id, open: isOpen }, make("summary", {}, "All of it, as JSON Patch"), whole);
    const load = () => this.loadDetail(entry.id, whole);
    details.addEventListener("toggle", () => { if (details.open) load(); });
    return make(
      "li", { class: "panel" },
      make(
        "div", { class: "history-head" },
        make("strong", {}, `Change ${entry.id}`), make("time", { datetime: entry.time, title: entry.time }, clock(entry.time)),
        make("span", {}, `by ${who}`),
        make("span", { class: "tag" }, entry.source),
        isNow ? make("span", { class: "tag" }, "now")
          : make("button", { type: "button", class: "small restore", hidden: !this.may.write, onclick: () => this.onRestore(entry) },
            "Go back to this", make("span", { class: "unseen" }, `: change ${entry.id}`))
      ),
      entry.target ? make("p", { class: "request" }, `${entry.method} ${entry.target}`) : null,
      lines, details
    );
  }

  async loadDetail(id, place) {
    if (place.firstChild) return;
    try {
      const { value } = await get(`/v1/history/${id}`);
      place.replaceChildren(
        diffLines(value.diff),
        make("pre", { class: "code", tabindex: "0", role: "region", "aria-label": `Change ${id} as JSON Patch` }, JSON.stringify(value.patch, null, 2).slice(0, TEXT_MAX))
      );
    } catch (error) {
      this.onError(error);
    }
  }

  /** The role may have become known. */
  updateRole() {
    for (const button of this.history.querySelectorAll(".restore")) setHidden(button, !this.may.write);
  }
}

/** Lines of a difference; their first character says what each is, and a colour says it again. */
export function diffLines(lines) {
  return make(
    "ul", { class: "diff" },
    (lines ?? []).map((line) => make("li", { class: { "+": "added", "-": "removed", "~": "changed" }[line[0]] ?? null }, line))
  );
}
