// Owns requests to the admin API: the token, and what becomes of refusals and silence.
// Leaves to others: which requests, and events (events.js).

const TOKEN = "shuttle-token";
const READ_MILLISECONDS = 15000;
// A change is answered when it is on disk and taken up, and an address may be waited for.
const CHANGE_MILLISECONDS = 60000;

/** A refusal, in the terms of problem+json. */
export class Problem extends Error {
  constructor(status, document, retryAfterSeconds = null) {
    super(document.detail ?? document.title ?? `status ${status}`);
    this.status = status;
    this.title = document.title ?? `Status ${status}`;
    this.detail = document.detail ?? "";
    this.errors = Array.isArray(document.errors) ? document.errors : [];
    this.type = document.type ?? "";
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** No answer, or none that can be read. */
export class Unreachable extends Error {}

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

export function headers(accept) {
  const fields = { Accept: accept };
  const shown = token.get();
  if (shown) fields.Authorization = `Bearer ${shown}`;
  return fields;
}

/** The path of a service or of one of its backends, below `root`. */
export const path = (...names) => names.map((name) => `/${encodeURIComponent(name)}`).join("");

/** A refusal's answer as a Problem. */
export async function problemOf(response) {
  let document = {};
  try {
    const text = await response.text();
    document = (response.headers.get("content-type") ?? "").includes("json") ? JSON.parse(text) : { detail: text.trim() };
  } catch {
    // What is no JSON says nothing more than its status.
  }
  const retryAfter = Number(response.headers.get("retry-after"));
  return new Problem(response.status, document, retryAfter > 0 ? retryAfter : null);
}

async function answer(target, options, milliseconds) {
  try {
    return await fetch(target, {
      cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(milliseconds), ...options,
    });
  } catch (error) {
    const isLate = error.name === "TimeoutError";
    throw new Unreachable(isLate ? `no answer within ${milliseconds / 1000} s` : "no connection to shuttled");
  }
}

async function read(response, convert) {
  try {
    return await convert(response);
  } catch {
    throw new Unreachable("the answer broke off");
  }
}

/** Reads JSON: the value and its version. */
export async function get(target) {
  const response = await answer(target, { headers: headers("application/json") }, READ_MILLISECONDS);
  if (!response.ok) throw await problemOf(response);
  return { value: await read(response, (response) => response.json()), version: response.headers.get("etag") };
}

/** Reads text of any status: health is told by it. */
export async function getText(target) {
  const response = await answer(target, { headers: headers("text/plain, application/json;q=0.9") }, READ_MILLISECONDS);
  if (response.status === 401) throw await problemOf(response);
  return { text: await read(response, (response) => response.text()), status: response.status };
}

/** Makes a change. `tried` is the version of what was tried: at another one nothing is changed. */
export async function change(method, target, body, { tried = null, confirm = null } = {}) {
  const query = confirm ? `?confirm=${confirm}` : "";
  const response = await send(method, target + query, body, {
    Prefer: "return=minimal", ...(tried ? { "If-Match": tried } : {}),
  });
  return { confirmID: response.headers.get("confirm-id"), confirmUntil: response.headers.get("confirm-until") };
}

/** Says what a change would come to. */
export async function preview(method, target, body) {
  const response = await send(method, `${target}?dry_run=1`, body, {});
  return { value: await read(response, (response) => response.json()), version: response.headers.get("etag") };
}

async function send(method, target, body, extra) {
  const fields = { ...headers("application/json"), ...extra };
  const options = { method, headers: fields };
  if (body !== null) {
    fields["Content-Type"] = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await answer(target, options, CHANGE_MILLISECONDS);
  if (!response.ok) throw await problemOf(response);
  return response;
}
