// Owns the page at work: who is there, which view is seen, and when the API is asked. It asks for statistics once a second
// at most, less often where an answer takes long, and not at all while nobody looks.
// Leaves to others: the views, each in a file of its own.

import { ChangeDialog } from "./actions.js";
import { get, getText, Problem, token, Unreachable } from "./api.js";
import { changeBackend, changeService, restore } from "./change-forms.js";
import { ConfigurationView } from "./configuration.js";
import { make, setAttribute, setHidden, setText } from "./dom.js";
import { EventFeed } from "./events.js";
import { Model } from "./model.js";
import { Notices } from "./notices.js";
import { Overview, readinessChecks } from "./overview.js";
import { Rings } from "./rings.js";
import { Services } from "./services.js";
import { Sessions } from "./sessions.js";
import { describe, Timeline } from "./timeline.js";

const LOOK_MILLISECONDS = 1000;
/** A look may take this part of the time at most, for the server's sake. */
const BUSY_SHARE = 0.25;
/** Before it is asked again who this is. */
const RETRY_MILLISECONDS = 2000;
const READINESS_MILLISECONDS = 5000;
const RINGS_MILLISECONDS = 2000;
const VIEWS = ["overview", "sessions", "events", "rings", "configuration"];
const THEME = "shuttle-theme";
/** Events that are said aloud, and how often at most. */
const ANNOUNCED = new Set(["backend-down", "backend-up", "reverted", "revert-failed", "listen-failed", "stop"]);
const ANNOUNCE_MILLISECONDS = 3000;

const byID = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.may = { operate: false, write: false };
    this.model = new Model();
    this.notices = new Notices(byID("notices"), (text) => this.announce(text));
    this.dialog = new ChangeDialog(byID("dialog"), (text) => this.changed(text));
    this.overview = new Overview(this.model, {
      tiles: byID("tiles"), health: byID("health"), onFilter: (word) => this.services.setFilter(word),
      onShow: (name) => this.services.show(name),
    });
    this.services = new Services(this.model, byID("services"), {
      may: this.may,
      onBackend: (service, backend) => this.attempt(() => changeBackend(this.dialog, service, backend)),
      onService: (service) => this.attempt(() => changeService(this.dialog, service)),
    });
    this.timeline = new Timeline(byID("events"));
    this.rings = new Rings(byID("rings"));
    this.sessions = new Sessions(byID("sessions"), (error) => this.failed(error));
    this.configuration = new ConfigurationView(byID("configuration"), {
      may: this.may, onRestore: (entry) => restore(this.dialog, entry), onError: (error) => this.failed(error),
      names: () => [...this.model.services.keys()],
    });
    this.feed = new EventFeed((event) => this.happened(event), (state, reason) => this.feedIs(state, reason));
    this.isSignedIn = false;
    /** Since when there is no answer. */
    this.silentSince = null;
    this.timers = {};
    this.announcedAt = 0;
  }

  start() {
    this.startTheme();
    byID("sign-in-form").addEventListener("submit", (event) => {
      event.preventDefault();
      token.set(byID("token").value.trim());
      this.signIn();
    });
    byID("sign-out").addEventListener("click", () => {
      token.forget();
      // Nothing of what was seen stays.
      location.reload();
    });
    addEventListener("hashchange", () => this.show());
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.resume()));
    this.signIn();
  }

  // MARK: Who is there

  /** Asks who this is; without a token that is let in, for one. */
  async signIn() {
    try {
      const { value } = await get("/v1/whoami");
      this.caller = value;
    } catch (error) {
      if (error instanceof Problem && error.status === 401) this.signOut(token.get() ? error : null);
      else if (this.failed(error)) setTimeout(() => this.signIn(), RETRY_MILLISECONDS);
      return;
    }
    byID("token").value = "";
    byID("sign-in-problem").replaceChildren();
    this.isSignedIn = true;
    this.notices.setSilence(null);
    this.silentSince = null;
    this.may.operate = this.caller.role !== "read";
    this.may.write = this.caller.role === "write";
    this.notices.mayDecide = this.may.operate;
    const who = byID("caller");
    setText(who, this.caller.name === null ? this.caller.role : `${this.caller.name} (${this.caller.role})`);
    setHidden(who, this.caller.name === null);
    setHidden(byID("sign-out"), token.get() === null);
    setHidden(byID("navigation"), false);
    this.configuration.updateRole();
    await this.describe();
    this.show();
    this.resume();
  }

  /** Nobody is let in, or not any more. */
  signOut(error) {
    this.isSignedIn = false;
    this.pause();
    if (error) token.forget();
    this.dialog.close();
    setHidden(byID("caller"), true);
    setHidden(byID("sign-out"), true);
    setHidden(byID("navigation"), true);
    this.connection("neutral", "no token");
    byID("sign-in-problem").replaceChildren(...(error ? [make("p", { class: "problem" }, error.detail)] : []));
    for (const name of VIEWS) setHidden(byID(`view-${name}`), true);
    setHidden(byID("view-sign-in"), false);
    byID("token").focus();
  }

  /** What this shuttled has, by its own description. */
  async describe() {
    try {
      const { value } = await get("/openapi.json");
      setText(byID("version"), value.info.version);
      setHidden(byID("navigation").querySelector('a[href="#sessions"]').parentNode, !("/v1/recent" in value.paths));
    } catch (error) {
      this.failed(error);
    }
  }

  // MARK: What is seen

  get view() {
    const [name] = location.hash.slice(1).split("/");
    return VIEWS.includes(name) ? name : "overview";
  }

  show() {
    if (!this.isSignedIn) return;
    const view = this.view;
    setHidden(byID("view-sign-in"), true);
    for (const name of VIEWS) setHidden(byID(`view-${name}`), name !== view);
    for (const link of byID("navigation").querySelectorAll("a")) {
      setAttribute(link, "aria-current", link.hash === `#${view}` ? "page" : null);
    }
    document.title = view === "overview" ? "shuttle" : `${view} · shuttle`;
    if (view === "overview" && this.model.totals) this.draw();
    this.timeline.show(view === "events");
    if (view === "configuration") this.configuration.load();
    if (view === "sessions") this.sessions.load();
    this.schedule("rings", view === "rings" ? 0 : null, () => this.lookAtRings());
  }

  startTheme() {
    const select = byID("theme");
    const use = (theme) => setAttribute(document.documentElement, "data-theme", theme === "auto" ? null : theme);
    select.value = localStorage.getItem(THEME) ?? "auto";
    if (select.value === "") select.value = "auto";
    use(select.value);
    select.addEventListener("change", () => {
      use(select.value);
      if (select.value === "auto") localStorage.removeItem(THEME);
      else localStorage.setItem(THEME, select.value);
    });
  }

  /** Says something to those who do not see it. */
  announce(text) {
    setText(byID("announcements"), text);
  }

  connection(tone, text) {
    setAttribute(byID("connection"), "class", `badge ${tone}`);
    setText(byID("connection"), text);
  }

  // MARK: When the API is asked

  /** Calls `action` after so many milliseconds, in place of what was to be called; null is never. */
  schedule(name, milliseconds, action) {
    clearTimeout(this.timers[name]);
    this.timers[name] = milliseconds === null ? undefined : setTimeout(action, milliseconds);
  }

  pause() {
    for (const name of Object.keys(this.timers)) this.schedule(name, null);
    this.feed.stop();
    this.isWatching = false;
  }

  resume() {
    if (!this.isSignedIn || document.hidden || this.isWatching) return;
    this.isWatching = true;
    if (this.model.totals) this.model.gap();
    this.schedule("look", 0, () => this.look());
    this.schedule("readiness", 0, () => this.lookAtReadiness());
    if (this.view === "rings") this.schedule("rings", 0, () => this.lookAtRings());
    this.feed.start();
    this.notices.loadPending().catch((error) => this.failed(error));
  }

  async look() {
    const began = performance.now();
    let value;
    try {
      ({ value } = await get("/_stats"));
    } catch (error) {
      if (!this.isWatching || !this.failed(error)) return;
      this.model.gap();
      if (this.view === "overview" && this.model.totals) this.overview.update();
      this.schedule("look", LOOK_MILLISECONDS, () => this.look());
      return;
    }
    if (!this.isWatching) return;
    const came = performance.now();
    this.model.take(value, came);
    this.notices.setSilence(null);
    if (this.silentSince !== null) this.schedule("readiness", 0, () => this.lookAtReadiness());
    this.silentSince = null;
    this.connection("ok", "live");
    if (this.view === "overview") this.draw();
    const next = Math.max(LOOK_MILLISECONDS - (performance.now() - began), (came - began) / BUSY_SHARE - (came - began));
    this.schedule("look", next, () => this.look());
  }

  draw() {
    this.overview.update();
    this.services.update();
    // A link to a service, once.
    const [, name] = location.hash.split("/");
    if (name && !this.isLed) this.services.show([...this.model.services.keys()].find((one) => encodeURIComponent(one) === name));
    this.isLed = true;
  }

  async lookAtReadiness() {
    try {
      const { text } = await getText("/readyz?verbose");
      this.overview.updateReadiness(readinessChecks(text));
    } catch (error) {
      if (!this.failed(error)) return;
    }
    if (this.isWatching) this.schedule("readiness", READINESS_MILLISECONDS, () => this.lookAtReadiness());
  }

  async lookAtRings() {
    try {
      const { value } = await get("/v1/rings");
      this.rings.update(value);
    } catch (error) {
      if (!this.failed(error)) return;
    }
    if (this.isWatching && this.view === "rings") this.schedule("rings", RINGS_MILLISECONDS, () => this.lookAtRings());
  }

  /** Takes up that a request failed; false where nothing more is to be asked. */
  failed(error) {
    if (error instanceof Problem && error.status === 401) {
      if (this.isSignedIn) this.signOut(error);
      return false;
    }
    if (error instanceof Problem) this.notices.refused(error);
    else if (error instanceof Unreachable) this.silent(error);
    // A fault of this page: it is for the console.
    else throw error;
    return true;
  }

  silent(error) {
    this.silentSince ??= Date.now();
    this.connection("bad", "no answer");
    this.overview.updateReadiness(null);
    this.notices.setSilence(this.silentSince, error.message);
  }

  async attempt(action) {
    try {
      await action();
    } catch (error) {
      this.failed(error);
    }
  }

  // MARK: What happens

  changed(text) {
    this.notices.done(text);
    if (this.view === "configuration") this.configuration.load();
  }

  happened(event) {
    if (event.kind === "missed") this.timeline.clear();
    this.timeline.add(event);
    const isNew = Date.parse(event.data.time) > Date.now() - 30000;
    if (ANNOUNCED.has(event.kind) && isNew && Date.now() - this.announcedAt > ANNOUNCE_MILLISECONDS) {
      this.announcedAt = Date.now();
      this.announce(`${event.kind}: ${describe(event.kind, event.data)}`);
    }
    if (["confirm-pending", "confirmed", "reverted"].includes(event.kind)) {
      this.schedule("pending", 0, () => this.notices.loadPending().catch((error) => this.failed(error)));
    }
    if (["change", "reverted"].includes(event.kind) && this.view === "configuration") {
      this.schedule("configuration", 300, () => this.configuration.load());
    }
  }

  feedIs(state, reason) {
    if (state === "live") this.timeline.setState("live");
    else if (state === "refused") this.failed(reason);
    else this.timeline.setState(`not followed (${reason}); trying again, nothing is lost`);
  }
}

new Page().start();
