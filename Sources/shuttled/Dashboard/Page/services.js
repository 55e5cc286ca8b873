// Owns the list of services: the filter, the order, and that only what is near the visible part is drawn.
// Leaves to others: each of them (service-card.js).

import { make, setHidden, setText } from "./dom.js";
import { plural } from "./format.js";
import { backendState, limitState, refusals, serviceState } from "./model.js";
import { ServiceCard } from "./service-card.js";

const FILTER = "shuttle-filter";
/** More services than this begin closed. */
const OPEN_MAX = 20;
/** How far beyond the visible part services are drawn. */
const MARGIN = "1000px 0px";
/** Looks between two sortings by what changes. */
const LOOKS_BETWEEN_SORTS = 5;

const ORDERS = {
  name: { title: "Name", compare: (first, second) => compareNames(first, second) },
  problems: { title: "Problems first", by: (entry) => serviceState(entry.statistics).rank },
  sessions: { title: "Sessions", by: (entry) => entry.statistics.active },
  traffic: { title: "Traffic", by: (entry) => entry.rates.sent + entry.rates.received || 0 },
  errors: { title: "Errors", by: (entry) => entry.statistics.errors },
  refused: { title: "Turned away", by: (entry) => refusals(entry.statistics) },
};

const compareNames = (first, second) =>
  first.statistics.name < second.statistics.name ? -1 : first.statistics.name > second.statistics.name ? 1 : 0;

export class Services {
  constructor(model, place, { may, onBackend, onService }) {
    this.model = model;
    this.options = { may, onBackend, onService };
    this.cards = new Map();
    this.order = "name";
    this.areOpen = null;
    this.byNode = new WeakMap();
    this.observer = new IntersectionObserver((entries) => {
      for (const entry of entries) this.byNode.get(entry.target)?.near(entry.isIntersecting);
    }, { rootMargin: MARGIN });
    this.filter = make("input", {
      id: "filter", type: "search", placeholder: "name, address or state", spellcheck: "false", autocomplete: "off",
      "aria-describedby": "matches", oninput: () => this.remember(),
    });
    this.filter.value = localStorage.getItem(FILTER) ?? "";
    this.problems = make("input", { id: "problems", type: "checkbox", onchange: () => this.arrange() });
    this.sorting = make(
      "select", { id: "order", onchange: () => { this.order = this.sorting.value; this.arrange(); } },
      Object.entries(ORDERS).map(([key, order]) => make("option", { value: key }, order.title))
    );
    this.matches = make("p", { id: "matches", class: "muted", role: "status" });
    this.all = make("button", { type: "button", class: "small", onclick: () => this.openAll(!this.areOpen) });
    this.list = make("div", { class: "service-list" });
    this.nothing = make("p", { class: "panel muted", hidden: true });
    place.append(
      make(
        "div", { class: "bar", role: "search", "aria-label": "Services" },
        make("label", { class: "field" }, make("span", {}, "Filter"), this.filter),
        make("label", { class: "field check" }, this.problems, make("span", {}, "Problems only")),
        make("label", { class: "field" }, make("span", {}, "Order"), this.sorting),
        this.all, this.matches
      ),
      this.list, this.nothing
    );
  }

  remember() {
    if (this.filter.value === "") localStorage.removeItem(FILTER);
    else localStorage.setItem(FILTER, this.filter.value);
    this.arrange();
  }

  /** Shows what a word is about. */
  setFilter(text) {
    this.filter.value = text;
    this.remember();
    this.filter.focus();
  }

  /** Opens a service and goes to it. */
  show(name) {
    const card = this.cards.get(name);
    if (!card) return;
    if (card.node.hidden) {
      this.problems.checked = false;
      this.filter.value = "";
      this.remember();
    }
    card.open(true);
    card.node.scrollIntoView({ block: "start" });
    card.toggle.focus({ preventScroll: true });
  }

  openAll(areOpen) {
    this.areOpen = areOpen;
    for (const card of this.cards.values()) card.open(areOpen);
    this.updateText();
  }

  /** Takes up what the model knows. */
  update() {
    const { services } = this.model;
    this.areOpen ??= services.size <= OPEN_MAX;
    let isChanged = false;
    for (const [name, card] of this.cards) {
      if (services.has(name)) continue;
      this.observer.unobserve(card.node);
      card.node.remove();
      this.cards.delete(name);
      isChanged = true;
    }
    for (const [name, entry] of services) {
      let card = this.cards.get(name);
      if (!card) {
        card = new ServiceCard(name, { ...this.options, isOpen: this.areOpen });
        this.cards.set(name, card);
        this.byNode.set(card.node, card);
        isChanged = true;
      }
      card.take(entry);
    }
    const isDue = this.order !== "name" && this.model.looks % LOOKS_BETWEEN_SORTS === 0;
    // What changes by itself changes what is found and in which order, but not under somebody's hands.
    const isInUse = this.list.contains(document.activeElement);
    if (isChanged || ((isDue || this.filter.value !== "" || this.problems.checked) && !isInUse)) this.arrange();
  }

  /** Puts the services into their order and hides those that are not asked for. */
  arrange() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const order = ORDERS[this.order];
    const entries = [...this.model.services.values()].sort(
      order.compare ?? ((first, second) => order.by(second) - order.by(first) || compareNames(first, second))
    );
    let found = 0;
    let before = null;
    for (const entry of entries) {
      const card = this.cards.get(entry.statistics.name);
      const isFound = this.matchesWords(entry, words) && (!this.problems.checked || isProblem(entry));
      found += isFound ? 1 : 0;
      setHidden(card.node, !isFound);
      const place = before ? before.nextSibling : this.list.firstChild;
      if (place !== card.node) {
        this.list.insertBefore(card.node, place);
        this.observer.observe(card.node);
      }
      before = card.node;
    }
    this.found = found;
    this.updateText();
  }

  updateText() {
    const size = this.model.services.size;
    setText(this.all, this.areOpen ? "Close all" : "Open all");
    setText(this.matches, this.found === size ? plural(size, "service") : `${this.found} of ${plural(size, "service")}`);
    setHidden(this.nothing, this.found > 0);
    setText(this.nothing, size === 0
      ? "There are no services yet. PUT one, or read a configuration: /openapi.json has how."
      : "No service is like that.");
  }

  /** Whether every word is in something that is known of the service. */
  matchesWords({ statistics }, words) {
    if (words.length === 0) return true;
    const texts = [statistics.name, statistics.address, statistics.network ?? "", serviceState(statistics).label];
    for (const backend of statistics.backends) {
      const state = backendState(backend, statistics);
      texts.push(backend.name, backend.address, state.label, state.symbol, backend.backup ? "backup" : "");
    }
    const text = texts.join("\n").toLowerCase();
    return words.every((word) => text.includes(word));
  }
}

function isProblem(entry) {
  const service = entry.statistics;
  return serviceState(service).rank >= 1 || limitState(entry) !== null || service.backends.some((backend) => backendState(backend, service).rank >= 1);
}
