// Owns what stands above every view for as long as it holds: no answer, a change that waits to be confirmed, what was
// done or refused.
// Leaves to others: when it holds (main.js).

import { change, get } from "./api.js";
import { problemNode } from "./actions.js";
import { make, setText } from "./dom.js";
import { seconds } from "./format.js";

const DONE_MILLISECONDS = 6000;

export class Notices {
  constructor(place, announce) {
    this.place = place;
    this.announce = announce;
    this.silence = null;
    this.pending = null;
    this.refusals = new Set();
  }

  /** No answer since a time; null when there is one again. */
  setSilence(since, reason) {
    if (since === null) {
      if (this.silence) this.announce("shuttled answers again");
      this.silence?.remove();
      this.silence = null;
      return;
    }
    if (!this.silence) {
      this.silence = make("div", { class: "notice bad" });
      this.place.prepend(this.silence);
      this.announce(`No answer from shuttled: ${reason}`);
    }
    setText(this.silence, `✕ No answer for ${seconds((Date.now() - since) / 1000)}: ${reason}. What is shown is from before; trying again.`);
  }

  /** Says what was done, for a while. */
  done(text) {
    const notice = make("div", { class: "notice ok" }, `✓ ${text}`);
    this.place.append(notice);
    this.announce(text);
    setTimeout(() => notice.remove(), DONE_MILLISECONDS);
  }

  /** Says what was refused, until it is read; once, however often it is. */
  refused(error) {
    const text = `${error.title}\n${error.detail}`;
    if (this.refusals.has(text)) return;
    this.refusals.add(text);
    const close = () => {
      this.refusals.delete(text);
      notice.remove();
    };
    const notice = make("div", { class: "notice bad", role: "alert" }, problemNode(error), make("button", { type: "button", class: "small", onclick: close }, "Close"));
    this.place.append(notice);
  }

  // MARK: A change that waits to be confirmed

  /** Asks whether there is one. */
  async loadPending() {
    const { value } = await get("/v1/confirm");
    this.pending?.node.remove();
    clearInterval(this.pending?.timer);
    this.pending = null;
    const [waiting] = value.pending;
    if (!waiting) return;
    const until = Date.now() + waiting.remaining_milliseconds;
    const left = make("span");
    const tell = () => setText(left, `${seconds(Math.max(0, until - Date.now()) / 1000)}`);
    const decide = async (method, text) => {
      try {
        await change(method, `/v1/confirm/${waiting.id}`, null);
        this.done(text);
        await this.loadPending();
      } catch (error) {
        this.refused(error);
      }
    };
    const node = make(
      "div", { class: "notice warn" },
      make("p", {}, "◷ Change ", `${waiting.id} (${waiting.request}, by ${waiting.token ?? waiting.peer}) is taken back in `, left, " unless it is confirmed."),
      make("ul", { class: "diff" }, waiting.diff.map((line) => make("li", {}, line))),
      this.mayDecide
        ? make(
          "div", { class: "buttons" },
          make("button", { type: "button", class: "small", onclick: () => decide("DELETE", `Change ${waiting.id} was taken back`) }, "Take it back now"),
          make("button", { type: "button", class: "small primary", onclick: () => decide("POST", `Change ${waiting.id} stays`) }, "Keep it")
        ) : null
    );
    tell();
    this.pending = { node, timer: setInterval(tell, 1000) };
    this.place.append(node);
  }
}
