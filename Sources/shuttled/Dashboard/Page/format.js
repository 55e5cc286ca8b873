// Owns how figures are written: bytes, counts, rates, times. Leaves to others: which figures.

/** Between a figure and its unit, which stay on one line. */
const GAP = "\u00a0";
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function scaled(value, units, step) {
  let index = 0;
  while (value >= step && index < units.length - 1) {
    value /= step;
    index += 1;
  }
  const digits = index === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  // What rounds up to a step of its own is that.
  if (Number(value.toFixed(digits)) >= step && index < units.length - 1) return `1.00${GAP}${units[index + 1]}`;
  return units[index] === "" ? value.toFixed(digits) : `${value.toFixed(digits)}${GAP}${units[index]}`;
}

/** A number that may be unknown (null, NaN) is a dash. */
const known = (value, write) => (value === null || value === undefined || Number.isNaN(value) ? "–" : write(value));

export const bytes = (value) => known(value, (value) => scaled(value, ["B", "kB", "MB", "GB", "TB", "PB"], 1000));
export const byteRate = (value) => known(value, (value) => `${bytes(value)}/s`);
export const count = (value) =>
  known(value, (value) => (value < 1e6 ? grouped.format(value) : scaled(value, ["", "k", "M", "G", "T"], 1000)));
export const exact = (value) => known(value, (value) => grouped.format(value));

/** Events a second. */
export const rate = (value) =>
  known(value, (value) => (value === 0 ? "0/s" : value < 10 ? `${value.toFixed(1)}/s` : `${count(value)}/s`));

export const microseconds = (value) =>
  known(value, (value) =>
    value < 1000 ? `${Math.round(value)}${GAP}µs` : value < 1e6 ? `${(value / 1000).toFixed(value < 1e4 ? 1 : 0)}${GAP}ms`
    : seconds(value / 1e6)
  );

export function seconds(value) {
  if (value < 60) return `${value.toFixed(value < 10 ? 1 : 0)}${GAP}s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
  if (value < 86400) return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`;
  return `${Math.floor(value / 86400)} d ${Math.floor((value % 86400) / 3600)} h`;
}

/** How long ago a time of the API was; by this machine's clock, which may differ from the server's. */
export function ago(text) {
  const passed = (Date.now() - Date.parse(text)) / 1000;
  return passed < 1 ? "now" : `${seconds(passed)} ago`;
}

const pad = (value, digits = 2) => String(value).padStart(digits, "0");

/** A time of the API in this machine's zone; with the day where it is not today. */
export function clock(text) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return text;
  const clock = `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}`;
  return time.toDateString() === new Date().toDateString()
    ? clock : `${time.getFullYear()}-${pad(time.getMonth() + 1)}-${pad(time.getDate())} ${clock}`;
}

export const plural = (number, one, many = `${one}s`) => `${exact(number)} ${number === 1 ? one : many}`;
