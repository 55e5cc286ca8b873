// Owns the view of the rings: what each has done, and how long taking up configurations took it.
// Leaves to others: asking for them (main.js).

import { cell, make, rowHead, setText, table } from "./dom.js";
import { bytes, exact, microseconds } from "./format.js";

/** Lengths of time up to which changes are counted together, in ns. */
const LENGTHS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000].map((microseconds) => microseconds * 1000).concat(Infinity);

const COLUMNS = {
  ring: { title: "Ring" },
  sessions: { title: "Sessions", class: "number" },
  spliced_bytes: { title: "Spliced", class: "number", write: bytes },
  starvations: { title: "Out of buffers", class: "number" },
  accept_pauses: { title: "Accept pauses", class: "number" },
  stale_completions: { title: "Stale completions", class: "number" },
  adoptions: { title: "Changes taken up", class: "number" },
  adoption_microseconds_p999: { title: "99.9 % within", class: "number", write: microseconds },
  adoption_microseconds_max: { title: "Longest", class: "number", write: microseconds },
};

export class Rings {
  constructor(place) {
    const columns = Object.values(COLUMNS);
    this.columns = columns;
    this.table = table("What each ring has done", columns);
    this.times = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Time that changes took of each ring" });
    this.rows = [];
    place.append(
      make("p", { class: "muted" }, "One ring runs on each core. Sessions are those it has now; all else is counted since shuttled started."),
      make("div", { class: "panel flush" }, this.table.node),
      make("h3", {}, "Time that changes took of each ring"), this.times
    );
  }

  update(rings) {
    while (this.rows.length > rings.length) this.rows.pop().node.remove();
    rings.forEach((ring, index) => {
      const row = (this.rows[index] ??= this.row());
      Object.entries(COLUMNS).forEach(([key, column], place) => setText(row.cells[place], key === "ring" ? `Ring ${ring.ring}` : (column.write ?? exact)(ring[key])));
    });
    this.updateTimes(rings);
  }

  row() {
    const cells = this.columns.map((column, index) => (index === 0 ? rowHead(column) : cell(column)));
    const node = make("tr", { role: "row" }, cells);
    this.table.body.append(node);
    return { node, cells };
  }

  /** A row for each length of time, from the shortest to the longest that was met, a column for each ring. */
  updateTimes(rings) {
    const text = JSON.stringify(rings.map((ring) => ring.adoption_durations));
    if (text === this.shown) return;
    this.shown = text;
    const counts = rings.map((ring) => {
      const numbers = LENGTHS.map(() => 0);
      for (const { nanoseconds_max: length, count } of ring.adoption_durations) numbers[LENGTHS.findIndex((end) => length <= end)] += count;
      return numbers;
    });
    const met = LENGTHS.map((_, index) => counts.some((numbers) => numbers[index] > 0));
    if (!met.includes(true)) {
      this.times.replaceChildren(make("p", { class: "panel muted" }, "No change has been taken up yet."));
      return;
    }
    const places = LENGTHS.map((_, index) => index).slice(met.indexOf(true), met.lastIndexOf(true) + 1);
    const most = Math.max(...counts.flat());
    const body = places.map((place) =>
      make(
        "tr", {}, make("th", { scope: "row", class: "number" }, LENGTHS[place] === Infinity ? "longer" : microseconds(LENGTHS[place] / 1000)),
        counts.map((numbers) => {
          const number = numbers[place];
          const bar = make("span", { class: "share", "aria-hidden": "true" });
          bar.style.width = `${((100 * Math.log1p(number)) / Math.log1p(most)).toFixed(0)}%`;
          return make("td", { class: "bar-cell" }, bar, make("span", {}, exact(number)));
        })
      )
    );
    this.times.replaceChildren(
      make(
        "table", { class: "plain" }, make("caption", { class: "unseen" }, "How many changes took at most so long, by ring"),
        make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "number" }, "At most"), rings.map((ring) => make("th", { scope: "col" }, `Ring ${ring.ring}`)))),
        make("tbody", {}, body)
      )
    );
  }
}
