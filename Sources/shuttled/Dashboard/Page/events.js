// Owns the stream of events: reading it, and coming again behind the last event when it breaks. It is read by fetch, since
// EventSource sends no token.
// Leaves to others: showing events (timeline.js), what follows from them (main.js).

import { headers, Problem, problemOf } from "./api.js";

const RETRY_MILLISECONDS_MAX = 30000;
// The server sends a comment after 15 s of silence.
const SILENCE_MILLISECONDS_MAX = 40000;

export class EventFeed {
  /** `onEvent` gets {id, kind, data}; `onState` gets "live", "waiting" with a reason, or "refused" with the Problem. */
  constructor(onEvent, onState) {
    this.onEvent = onEvent;
    this.onState = onState;
    // Behind nothing: all that are kept.
    this.lastID = "0";
    this.run = null;
    this.pause = 1000;
  }

  start() {
    if (this.run) return;
    this.run = new AbortController();
    this.follow(this.run);
  }

  /** Ends the stream; start goes on behind the last event. */
  stop() {
    this.run?.abort();
    this.run = null;
  }

  async follow(run) {
    let wait = this.pause;
    while (!run.signal.aborted) {
      let reason = "the stream ended";
      try {
        await this.read(run, () => {
          wait = this.pause;
          this.onState("live");
        });
      } catch (error) {
        if (run.signal.aborted) return;
        if (error instanceof Problem && error.status === 401) {
          this.stop();
          this.onState("refused", error);
          return;
        }
        reason = error instanceof Problem ? error.message : "no connection";
        if (error.retryAfterSeconds) wait = error.retryAfterSeconds * 1000;
      }
      if (run.signal.aborted) return;
      this.onState("waiting", reason);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, wait);
        run.signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
      });
      wait = Math.min(wait * 2, RETRY_MILLISECONDS_MAX);
    }
  }

  /** Reads one stream to its end. */
  async read(run, onOpen) {
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    run.signal.addEventListener("abort", abort, { once: true });
    let silence = setTimeout(abort, SILENCE_MILLISECONDS_MAX);
    try {
      const response = await fetch(`/v1/events?last_event_id=${encodeURIComponent(this.lastID)}`, {
        headers: headers("text/event-stream"), cache: "no-store", credentials: "omit", redirect: "error",
        signal: attempt.signal,
      });
      if (!response.ok) throw await problemOf(response);
      onOpen();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const lines = new EventLines((event) => this.take(event), (id) => { this.lastID = id; });
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(abort, SILENCE_MILLISECONDS_MAX);
        lines.push(value);
      }
    } finally {
      clearTimeout(silence);
      run.signal.removeEventListener("abort", abort);
    }
  }

  take({ id, kind, text }) {
    let data;
    try {
      data = JSON.parse(text);
    } catch {
      return;
    }
    this.onEvent({ id, kind, data });
  }
}

/** Takes a stream apart (HTML, 9.2.6), as far as shuttled makes use of it. */
export class EventLines {
  constructor(onEvent, onID) {
    this.onEvent = onEvent;
    this.onID = onID;
    this.rest = "";
    this.clear();
  }

  clear() {
    this.kind = "message";
    this.data = [];
    this.id = null;
  }

  push(text) {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop();
    for (const line of lines) this.line(line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  line(line) {
    if (line === "") {
      if (this.id !== null) this.onID(this.id);
      if (this.data.length > 0) this.onEvent({ id: this.id, kind: this.kind, text: this.data.join("\n") });
      this.clear();
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.kind = value;
    else if (name === "data") this.data.push(value);
    else if (name === "id") this.id = value;
  }
}
