// Owns what is known of the services: the latest statistics, rates between two of them, their course over the last
// minutes, and what state a service or backend is in.
// Leaves to others: asking (main.js), showing.

import { plural, rate } from "./format.js";

/** Points of a course, one for each look. */
export const POINTS = 120;

/** The latest values of something, oldest first; NaN where nothing was known. */
export class Course {
  constructor(points = POINTS) {
    this.values = new Float64Array(points).fill(NaN);
    this.next = 0;
  }

  push(value) {
    this.values[this.next] = value;
    this.next = (this.next + 1) % this.values.length;
  }

  /** The value `back` looks ago. */
  at(back) {
    const length = this.values.length;
    return this.values[(this.next - 1 - back + 2 * length) % length];
  }

  get max() {
    let max = 0;
    for (const value of this.values) if (value > max) max = value;
    return max;
  }
}

const RATES = ["sent", "received", "connections", "errors"];

/** How fast counters have grown. A counter that fell began anew. */
function rates(before, now, seconds) {
  const found = {};
  for (const name of RATES) {
    const grown = before ? now[name] - before[name] : NaN;
    found[name] = grown >= 0 && seconds > 0 ? grown / seconds : NaN;
  }
  return found;
}

export class Model {
  constructor() {
    this.services = new Map();
    this.time = null;
    this.looks = 0;
    this.courses = Object.fromEntries(["received", "sent", "active", "connections", "errors", "queued"].map((name) => [name, new Course()]));
    this.totals = null;
  }

  /** Takes up an answer of /_stats that came at `milliseconds`. */
  take(list, milliseconds) {
    const seconds = this.time === null ? 0 : (milliseconds - this.time) / 1000;
    const services = new Map();
    const totals = { active: 0, queued: 0, sent: 0, received: 0, connections: 0, errors: 0, total: 0, allErrors: 0 };
    let isKnown = false;
    for (const statistics of list) {
      const before = this.services.get(statistics.name);
      const known = before?.statistics;
      const entry = {
        statistics, rates: rates(known, statistics, seconds), backends: new Map(),
        course: before?.course ?? new Course(60),
      };
      const turnedAway = known ? refusals(statistics) - refusals(known) : 0;
      entry.rates.refused = turnedAway > 0 && seconds > 0 ? turnedAway / seconds : 0;
      for (const backend of statistics.backends) {
        const earlier = before?.backends.get(backend.name)?.statistics;
        entry.backends.set(backend.name, { statistics: backend, rates: rates(earlier, backend, seconds) });
      }
      const traffic = entry.rates.sent + entry.rates.received;
      entry.course.push(traffic);
      if (!Number.isNaN(traffic)) isKnown = true;
      for (const name of RATES) totals[name] += Number.isNaN(entry.rates[name]) ? 0 : entry.rates[name];
      totals.active += statistics.active;
      totals.queued += statistics.queued;
      totals.total += statistics.connections;
      totals.allErrors += statistics.errors;
      services.set(statistics.name, entry);
    }
    this.services = services;
    this.time = milliseconds;
    this.looks += 1;
    // Before the second look there are no rates, which is not the same as none.
    if (!isKnown && list.length > 0) for (const name of RATES) totals[name] = NaN;
    this.totals = totals;
    for (const [name, course] of Object.entries(this.courses)) course.push(totals[name]);
  }

  /** Notes that there was no answer: a gap, and rates that begin anew behind it. */
  gap() {
    for (const course of Object.values(this.courses)) course.push(NaN);
    for (const entry of this.services.values()) entry.course.push(NaN);
  }
}

// MARK: States

/** State of a backend: its colour, a symbol, a word, why, and how much it asks for attention (0 to 3). */
export function backendState(backend, service) {
  const isChecked = backend.check_address !== "" && backend.check_address !== undefined && service.check_interval > 0;
  if (backend.state === "maintenance") {
    return { tone: "info", symbol: "■", label: "maintenance", isUsable: false, rank: 1, reason: left(backend) };
  }
  if (backend.state === "drain") {
    const label = backend.active > 0 ? "draining" : "drained";
    return { tone: "warn", symbol: "◆", label, isUsable: false, rank: 1, reason: left(backend) };
  }
  if (backend.resolve_error && backend.resolved_address === "") {
    return { tone: "bad", symbol: "▼", label: "no address", isUsable: false, rank: 3, reason: backend.resolve_error };
  }
  if (backend.ejected) {
    return { tone: "bad", symbol: "✖", label: "ejected", isUsable: false, rank: 3, reason: backend.last_failure ?? "its traffic failed" };
  }
  if (!backend.up) {
    return {
      tone: "bad", symbol: "▼", label: "down", isUsable: false, rank: 3,
      reason: backend.check_reason ?? backend.last_failure ?? "",
    };
  }
  if (backend.weight === 0) {
    return { tone: "neutral", symbol: "▽", label: "weight 0", isUsable: false, rank: 0, reason: "gets no new sessions" };
  }
  if (backend.slow_start_percent < 100) {
    return {
      tone: "ok", symbol: "△", label: `starting ${backend.slow_start_percent} %`, isUsable: true, rank: 0,
      reason: "slow start: so much of its weight counts",
    };
  }
  if (backend.check_status === "fail") {
    return { tone: "warn", symbol: "▲", label: "up, failing", isUsable: true, rank: 2, reason: backend.check_reason ?? "" };
  }
  if (!isChecked) {
    return { tone: "neutral", symbol: "△", label: "up, unchecked", isUsable: true, rank: 0, reason: "" };
  }
  return { tone: "ok", symbol: "▲", label: "up", isUsable: true, rank: 0, reason: "" };
}

const left = (backend) => (backend.active > 0 ? `${backend.active} still to end` : "");

/** State of a service. */
export function serviceState(service) {
  if (service.maintenance) {
    return { tone: "info", symbol: "■", label: "maintenance", rank: 1, reason: "whoever comes is closed at once" };
  }
  const states = service.backends.map((backend) => backendState(backend, service));
  const usable = states.filter((state) => state.isUsable).length;
  if (states.length === 0) {
    return service.routes?.length > 0
      ? { tone: "ok", symbol: "▲", label: "routes only", rank: 0, reason: "" }
      : { tone: "warn", symbol: "▽", label: "no backends", rank: 1, reason: "whoever comes is closed at once" };
  }
  const share = `${usable} of ${states.length} up`;
  if (usable === 0) return { tone: "bad", symbol: "▼", label: share, rank: 3, reason: "no backend can be used" };
  const worst = Math.max(...states.map((state) => state.rank));
  if (worst >= 2) return { tone: "warn", symbol: "▲", label: share, rank: 2, reason: "" };
  return { tone: usable < states.length ? "neutral" : "ok", symbol: "▲", label: share, rank: worst, reason: "" };
}

/** What a service has to do with its limits just now; null where it has nothing. */
export function limitState({ statistics, rates }) {
  if (rates.refused > 0) return { tone: "warn", symbol: "▌", label: "turns away", rank: 2, reason: `${rate(rates.refused)} of its clients` };
  if (statistics.queued > 0) {
    return { tone: "warn", symbol: "▌", label: "queue", rank: 2, reason: `${plural(statistics.queued, "client waits", "clients wait")} for a place` };
  }
  return null;
}

/** Clients that a service has turned away, by the reason; those that there were. */
export const REFUSALS = {
  refused: "at a limit or in maintenance", refused_per_client: "at the client's limit", queue_timeouts: "queue timeout",
  queue_overflows: "queue full", denied: "denied by address", refused_by_rate: "too fast", preread_failures: "bad preface",
  preread_timeouts: "preface too late",
};

export const refusals = (service) => Object.keys(REFUSALS).reduce((sum, name) => sum + (service[name] ?? 0), 0);
