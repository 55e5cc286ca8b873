// Owns changes: a dialog that says what would change before it does it, and then does that and nothing else.
// Leaves to others: requests (api.js), what is chosen in the dialog (change-forms.js).

import { change, preview, Problem } from "./api.js";
import { diffLines } from "./configuration.js";
import { make, setText } from "./dom.js";
import { plural } from "./format.js";

/** Pause in input before it is tried. */
const TRY_MILLISECONDS = 200;

const BACK = [["", "It stays"], ["60s", "Taken back after 1 min unless confirmed"], ["5m", "Taken back after 5 min unless confirmed"]];

export class ChangeDialog {
  /** `onDone` is called with what was changed, in words. */
  constructor(dialog, onDone) {
    this.dialog = dialog;
    this.onDone = onDone;
    this.attempt = 0;
    dialog.addEventListener("close", () => { this.attempt += 1; });
  }

  /**
   * Asks for one change. `fields` is a node or null; `body` gives what would be sent, null where nothing is sent, or
   * undefined where what was chosen cannot be; `onReload` reads again what was changed meanwhile.
   */
  open({ title, method, target, fields = null, body = () => null, onReload }) {
    Object.assign(this, { method, target, body, title, onReload });
    this.back = make("select", { onchange: () => this.retry() }, BACK.map(([value, text]) => make("option", { value }, text)));
    this.outcome = make("div", { class: "outcome", role: "status" });
    this.problem = make("div", { role: "alert" });
    this.apply = make("button", { type: "submit", class: "primary", disabled: true }, "Apply");
    const cancel = make("button", { type: "button", onclick: () => this.dialog.close() }, "Cancel");
    const form = make(
      "form",
      { onsubmit: (event) => { event.preventDefault(); this.make(); }, oninput: () => this.retry() },
      make("h2", { id: "dialog-title" }, title), fields,
      make("label", { class: "field" }, make("span", {}, "Afterwards"), this.back),
      make("h3", {}, "What will change"), this.outcome, this.problem, make("div", { class: "buttons" }, cancel, this.apply)
    );
    this.dialog.replaceChildren(form);
    if (!this.dialog.open) this.dialog.showModal();
    this.retry();
  }

  close() {
    this.dialog.close();
  }

  /** Tries what is chosen now, once it has been so for a moment. */
  retry() {
    const attempt = (this.attempt += 1);
    this.apply.disabled = true;
    this.problem.replaceChildren();
    setTimeout(() => { if (attempt === this.attempt) this.tryOut(attempt); }, TRY_MILLISECONDS);
  }

  async tryOut(attempt) {
    const body = this.body();
    if (body === undefined) {
      this.outcome.replaceChildren(make("p", { class: "muted" }, "Choose what to change."));
      return;
    }
    try {
      const { value, version } = await preview(this.method, this.target, body);
      if (attempt !== this.attempt) return;
      this.tried = version;
      this.sent = body;
      this.lines = value.diff;
      this.outcome.replaceChildren(...outcome(value));
      this.apply.disabled = !value.changed;
    } catch (error) {
      if (attempt !== this.attempt) return;
      this.outcome.replaceChildren();
      this.show(error);
    }
  }

  /** Makes what was tried: where it would be something else by now, it is refused. */
  async make() {
    if (this.apply.disabled) return;
    this.apply.disabled = true;
    setText(this.apply, "Applying…");
    try {
      const { confirmID } = await change(this.method, this.target, this.sent, { tried: this.tried, confirm: this.back.value || null });
      this.dialog.close();
      this.onDone(confirmID ? `${this.title}: done, waits to be confirmed` : `${this.title}: done`);
    } catch (error) {
      this.show(error);
    }
    setText(this.apply, "Apply");
  }

  show(error) {
    this.problem.replaceChildren(problemNode(error));
    if (error instanceof Problem && error.status === 412) {
      this.problem.append(make("button", { type: "button", onclick: () => (this.onReload ? this.onReload() : this.retry()) }, "Look again"));
    }
  }
}

/** A refusal, whole. */
export function problemNode(error) {
  if (!(error instanceof Problem)) return make("div", { class: "problem" }, make("p", {}, make("strong", {}, error.message)));
  return make(
    "div", { class: "problem" },
    make("p", {}, make("strong", {}, `${error.title} (${error.status})`)),
    error.detail ? make("p", {}, error.detail) : null,
    error.errors.length === 0 ? null
      : make("ul", {}, error.errors.map((one) => make("li", {}, one.pointer ? make("code", {}, one.pointer) : null, one.pointer ? ": " : "", one.detail ?? "")))
  );
}

/** What a preview says. */
function outcome(value) {
  if (!value.changed) return [make("p", { class: "muted" }, "Nothing: it is so already.")];
  const { effects } = value;
  const lines = [];
  const say = (text) => lines.push(make("li", {}, text));
  for (const one of effects.listeners.opened) say(`${one.address} is listened on for ${one.service}`);
  for (const one of effects.listeners.closed) say(`${one.address} is closed (${one.service})`);
  for (const one of effects.listeners.changed) say(`${one.address} passes from ${one.from} to ${one.to}`);
  for (const one of [...effects.services.removed, ...effects.backends.removed, ...effects.backends.drained]) {
    if (one.active > 0) say(`${one.backend ? `${one.service}/${one.backend}` : one.service}: its ${plural(one.active, "session")} ${one.sessions}`);
  }
  if (effects.sessions_affected === 0) say("No session is affected.");
  for (const text of value.not_checked) say(`Not known before it is tried: ${text}`);
  return [diffLines(value.diff), make("ul", { class: "effects" }, lines)];
}
