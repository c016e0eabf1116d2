// Small helpers: elements, tables that keep their rows, words for numbers and times. Whatever a client chose becomes text, never markup.
"use strict";

const byId = (id) => document.getElementById(id);

/** An element with properties (class, text, on: handlers, anything else an attribute) and children. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Show items as children of a parent. Those of a known key keep their element, so that focus and selection stay where they are;
 * `build` makes one, `update` changes it.
 */
function showItems(parent, items, keyOf, build, update) {
  const known = parent.itemElements ?? new Map();
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const next = new Map();
  let place = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    if (next.has(key)) continue;
    const element = known.get(key) ?? build(item);
    element.item = item;
    update(element, item);
    next.set(key, element);
    if (element === place) place = place.nextSibling;
    else parent.insertBefore(element, place);
  }
  for (const [key, element] of known) if (!next.has(key)) element.remove();
  parent.itemElements = next;
  if (focused && focused !== document.activeElement && parent.contains(focused)) focused.focus({preventScroll: true});
}

const whole = new Intl.NumberFormat("en-US", {maximumFractionDigits: 0});
const oneDecimal = new Intl.NumberFormat("en-US", {minimumFractionDigits: 1, maximumFractionDigits: 1});

const count = (value) => whole.format(value);
const rate = (value) => (value >= 100 ? whole : oneDecimal).format(value);

/** A share as a percentage; a small one is not shown as none. */
function percent(share) {
  if (share > 0 && share < 0.001) return "<0.1%";
  return share === 0 || share === 1 ? `${share * 100}%` : `${oneDecimal.format(share * 100)}%`;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (bytes >= 1000 && at < units.length - 1) { bytes /= 1024; at += 1; }
  return `${at && bytes < 100 ? oneDecimal.format(bytes) : whole.format(bytes)} ${units[at]}`;
}

function span(seconds) {
  const rest = Math.max(0, Math.round(seconds));
  const [d, h, m, s] = [Math.floor(rest / 86400), Math.floor(rest / 3600) % 24, Math.floor(rest / 60) % 60, rest % 60];
  if (d) return h ? `${d}d ${h}h` : `${d}d`;
  if (h) return m ? `${h}h ${m}m` : `${h}h`;
  if (m) return s && m < 10 ? `${m}m ${s}s` : `${m}m`;
  return `${s}s`;
}

const two = (number) => String(number).padStart(2, "0");

/** A time of today as 14:05:09, another with its date; UTC, as in every log. */
function clock(seconds, withSeconds = true) {
  const at = new Date(seconds * 1000);
  const time = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}${withSeconds ? `:${two(at.getUTCSeconds())}` : ""}`;
  const isToday = at.toISOString().slice(0, 10) === new Date().toISOString().slice(0, 10);
  return isToday ? time : `${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())} ${time}`;
}

const now = () => Date.now() / 1000;

/** A word as one argument of a shell. */
const shellWord = (text) => (/^[\w.:/@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
