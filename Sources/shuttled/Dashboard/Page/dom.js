// Owns making and changing elements. Every text goes in as text: nothing here, nor in any other file, parses HTML, and
// the page's policy (require-trusted-types-for) has the browser refuse it.
// Leaves to others: what is shown.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes, listeners (`onclick`), and children, which are nodes or texts; null is left out. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function makeSVG(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), value);
    } else if (value === true) {
      node.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, value);
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets a text only where it is another one, so that what stays as it is costs no layout. */
export function setText(node, text) {
  const value = String(text);
  if (node.shown !== value) {
    node.shown = value;
    node.textContent = value;
  }
}

export function setAttribute(node, name, value) {
  if (value === null || value === undefined) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, value);
  }
}

export function setHidden(node, isHidden) {
  if (node.hidden !== isHidden) node.hidden = isHidden;
}

/** A state, told by a symbol and a word as well as by its colour. */
export function badge(state) {
  const node = make("span", { class: "badge" }, make("span", { "aria-hidden": "true", class: "symbol" }), make("span"));
  setBadge(node, state);
  return node;
}

export function setBadge(node, { tone, symbol, label }) {
  setAttribute(node, "class", `badge ${tone}`);
  setText(node.firstChild, symbol);
  setText(node.lastChild, label);
}

/** A table for screens of every width: on narrow ones each row is a card, so the roles are said and not left to display. */
export function table(caption, columns) {
  const body = make("tbody", { role: "rowgroup" });
  const heads = columns.map((column) =>
    make("th", { scope: "col", role: "columnheader", class: column.class ?? null }, column.title)
  );
  const node = make(
    "table", { role: "table" }, make("caption", { class: "unseen" }, caption),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, heads)), body
  );
  return { node, body };
}

/** A cell of such a table; its column's title is shown beside it on narrow screens. */
export function cell(column, ...children) {
  return make("td", { role: "cell", "data-label": column.title, class: column.class ?? null }, ...children);
}

/** A row's first cell, which names it. */
export function rowHead(column, ...children) {
  return make("th", { scope: "row", role: "rowheader", "data-label": column.title, class: column.class ?? null }, ...children);
}
