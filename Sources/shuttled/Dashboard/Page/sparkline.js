// Owns courses drawn as lines. They repeat what stands beside them as text, so they are hidden from screen readers.
// Leaves to others: the values (model.js).

import { makeSVG, setAttribute } from "./dom.js";

export class Sparkline {
  /** A line for each of `courses`, all of one scale. `isFilled` draws the first as an area. */
  constructor(courses, { width = 240, height = 44, isFilled = false } = {}) {
    this.courses = courses;
    this.width = width;
    this.height = height;
    this.area = isFilled ? makeSVG("path", { class: "area" }) : null;
    this.lines = courses.map((_, index) => makeSVG("path", { class: `line line-${index + 1}` }));
    this.node = makeSVG(
      "svg",
      {
        class: "sparkline", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true",
        focusable: "false",
      },
      this.area, ...this.lines
    );
  }

  update() {
    const max = Math.max(...this.courses.map((course) => course.max)) || 1;
    this.courses.forEach((course, index) => {
      const runs = this.runs(course, max);
      setAttribute(this.lines[index], "d", runs.map((run) => `M${run.join("L")}`).join(""));
      if (index === 0 && this.area) {
        const areas = runs.map((run) => {
          const first = run[0].split(" ")[0];
          const last = run[run.length - 1].split(" ")[0];
          return `M${first} ${this.height}L${run.join("L")}L${last} ${this.height}Z`;
        });
        setAttribute(this.area, "d", areas.join(""));
      }
    });
  }

  /** The points of a course, apart where nothing was known. */
  runs(course, max) {
    const length = course.values.length;
    const runs = [];
    let run = [];
    for (let index = 0; index < length; index += 1) {
      const value = course.at(length - 1 - index);
      if (Number.isNaN(value)) {
        if (run.length > 0) runs.push(run);
        run = [];
        continue;
      }
      const x = (index * this.width) / (length - 1);
      const y = this.height - 1.5 - (value / max) * (this.height - 4);
      run.push(`${x.toFixed(1)} ${y.toFixed(1)}`);
    }
    if (run.length > 0) runs.push(run);
    return runs;
  }
}
