// Owns what can be chosen of a backend, a service and the history, and the change that it comes to.
// Leaves to others: trying and making it (actions.js).

import { get, path } from "./api.js";
import { make } from "./dom.js";

const STATES = [
  ["ready", "Ready", "takes new sessions"],
  ["drain", "Drain", "nothing new; sessions run on"],
  ["maintenance", "Maintenance", "the same, said of one that is worked on"],
];

let forms = 0;

/** A choice of one of several, each with a note. */
function choice(title, options, chosen) {
  forms += 1;
  const name = `choice-${forms}`;
  const inputs = options.map(([value]) => make("input", { type: "radio", name, value, checked: value === chosen }));
  const node = make(
    "fieldset", {}, make("legend", {}, title),
    options.map(([, label, note], index) => make("label", { class: "choice" }, inputs[index], make("span", {}, label), make("span", { class: "muted" }, note)))
  );
  return { node, get value() { return inputs.find((input) => input.checked)?.value; } };
}

/** Opens the dialog of a backend: its state and weight. */
export async function changeBackend(dialog, service, backend) {
  const { value } = await get(`/v1/services${path(service)}/backends${path(backend)}`);
  const now = value.state ?? "ready";
  const state = choice("State", STATES, now);
  const weight = make("input", { type: "number", min: "0", max: "256", step: "1", required: true, value: value.weight, inputmode: "numeric" });
  dialog.open({
    title: `Backend ${service}/${backend}`, method: "PATCH", target: path(service, backend),
    fields: make("div", { class: "fields" }, state.node, make("label", { class: "field" }, make("span", {}, "Weight (0 to 256)"), weight)),
    body: () => {
      if (!weight.checkValidity()) return undefined;
      const body = {};
      if (state.value !== now) body.state = state.value;
      if (Number(weight.value) !== value.weight) body.weight = Number(weight.value);
      return Object.keys(body).length === 0 ? undefined : body;
    },
    onReload: () => changeBackend(dialog, service, backend),
  });
}

/** Opens the dialog of a service: whether it takes clients, and what its backends weigh. */
export async function changeService(dialog, service) {
  const { value } = await get(`/v1/services${path(service)}`);
  const now = value.maintenance ? "maintenance" : "ready";
  const state = choice(
    "New clients",
    [["ready", "Let in", "as ever"], ["maintenance", "Maintenance", "closed at once; sessions run on"]], now
  );
  const weights = value.backends.map((backend) => ({
    backend, input: make("input", { type: "number", min: "0", max: "256", step: "1", required: true, value: backend.weight, inputmode: "numeric" }),
  }));
  dialog.open({
    title: `Service ${service}`, method: "PATCH", target: path(service),
    fields: make(
      "div", { class: "fields" }, state.node,
      weights.length === 0 ? null
        : make("fieldset", { class: "weights" }, make("legend", {}, "Weights (0 to 256)"), weights.map(({ backend, input }) => make("label", { class: "field" }, make("span", {}, backend.name), input)))
    ),
    body: () => {
      if (weights.some(({ input }) => !input.checkValidity())) return undefined;
      const body = {};
      if (state.value !== now) body.maintenance = state.value === "maintenance";
      const changed = weights.filter(({ backend, input }) => Number(input.value) !== backend.weight);
      if (changed.length > 0) body.backends = Object.fromEntries(changed.map(({ backend, input }) => [backend.name, { weight: Number(input.value) }]));
      return Object.keys(body).length === 0 ? undefined : body;
    },
    onReload: () => changeService(dialog, service),
  });
}

/** Opens the dialog that makes the configuration what it was after a change. */
export function restore(dialog, entry) {
  dialog.open({ title: `Go back to change ${entry.id}`, method: "POST", target: `/v1/history/${entry.id}/restore` });
}
