// The page: what is asked when, and what happens when somebody presses something.
"use strict";

const FAST_SECONDS = 3;
const SLOW_EVERY = 3; // of the fast looks
const KEPT_RECORDS = 400;
const SHOWN_RECORDS = 80;

const session = {read: false, write: false};
const view = {window: "hour", list: "clients", top: null, shadow: null, isOn: false};
const feed = {records: [], held: [], isHeld: false, abort: null, skipped: 0};
const looking = {timer: 0, number: 0, isBusy: false};

async function readSession() {
  const found = await api.ask("session");
  Object.assign(session, found);
  byId("panic").hidden = byId("ban").hidden = !found.read;
  byId("token").textContent = api.token === null ? "Sign in" : found.write ? "Signed in" : "Reading";
  setText(byId("version"), `proxyguard ${found.version}`);
  if (!found.read) throw new ApiProblem(401, "a token is needed to read", 0);
}

function notice(text) {
  byId("notice").hidden = !text;
  setText(byId("notice"), text);
}

/** Ask for what is shown; what seldom changes every third time. */
async function look() {
  if (looking.isBusy) return;
  looking.isBusy = true;
  let pause = FAST_SECONDS;
  try {
    if (!session.read) await readSession();
    const [status, top] = await Promise.all([api.ask("status"), api.ask(`top?window=${view.window}`)]);
    view.top = top;
    view.isOn = status.shadow !== null;
    setText(byId("panic"), view.isOn ? "Act again…" : "Stop acting…");
    showState(status);
    showTiles(top, status);
    showHealth(status);
    showEconomy(status.economy);
    showTalkers(top, view.list, orderBan);
    showChart(top.history, view.window);
    if (looking.number % SLOW_EVERY === 0) {
      const [rules, shadow, restrictions, bans, changes] = await Promise.all([api.ask("rules"), api.ask("shadow"), api.ask("restrictions"), api.ask("bans"), api.ask("changes")]);
      showRules(rules.rules, shadow, {pause: orderPause, resume: orderResume, promote: orderPromote});
      showRestrictions(restrictions.restrictions, orderEnd);
      showBans(bans, orderLift);
      showChanges(changes.changes);
    }
    looking.number += 1;
    notice("");
    document.body.dataset.looks = String(looking.number);
  } catch (problem) {
    pause = Math.max(FAST_SECONDS, problem.retryAfter || 0);
    byId("state").className = "state bad";
    setText(byId("state-text"), problem.status === 401 ? "Not signed in" : problem.status === 429 ? "Busy" : "No answer");
    if (problem.status === 401) {
      session.read = session.write = false;
      const isWrong = api.token !== null;
      api.token = null;
      pause = 15;
      if (!byId("dialog").open) signIn(isWrong ? "The token is not valid any more." : "");
    } else notice(problem.status ? problem.message : "The instance does not answer. What you see is old.");
    if (!(problem instanceof ApiProblem)) console.error(problem);
  } finally {
    looking.isBusy = false;
    clearTimeout(looking.timer);
    if (!document.hidden) looking.timer = setTimeout(look, pause * 1000);
  }
}

function refreshSoon() {
  looking.number = 0;
  clearTimeout(looking.timer);
  looking.timer = setTimeout(look, 150);
}

function isWanted(record) {
  const kind = byId("feed-kind").value;
  if (kind && kindOf(record) !== kind && !(kind === "shadow" && record.shadow.length)) return false;
  const words = byId("feed-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return true;
  const text = [record.client, record.method, record.host, record.path, record.rule, record.action, record.status, record.user_agent, record.fault, record.reference, ...record.shadow].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function showFeed() {
  const shown = feed.records.filter(isWanted).slice(-SHOWN_RECORDS).reverse();
  showItems(byId("feed"), shown, (record) => `${record.reference} ${record.time}`, (record) => feedItem(record, lookUp), () => {});
  byId("feed-empty").hidden = shown.length > 0;
  if (feed.records.length) setText(byId("feed-empty"), "No decision fits the filter.");
}

function addRecords(data) {
  const target = feed.isHeld ? feed.held : feed.records;
  target.push(...data.records);
  target.splice(0, target.length - KEPT_RECORDS);
  feed.skipped += data.skipped;
  if (!feed.isHeld) showFeed();
  setText(byId("feed-state"), feed.isHeld ? `held; ${count(feed.held.length)} wait` : feed.skipped ? `live; ${count(feed.skipped)} were too many to show` : "live");
}

/** Follow the live feed, and come back when it ends. */
async function follow() {
  for (let pause = 1; ; pause = Math.min(30, pause * 2)) {
    if (session.read && !document.hidden) {
      feed.abort = new AbortController();
      try {
        await api.stream(feed.abort.signal, () => { pause = 1; feed.records = []; setText(byId("feed-state"), "live"); }, (name, data) => { if (name === "records") addRecords(data); });
        setText(byId("feed-state"), "ended, coming back");
      } catch (problem) {
        setText(byId("feed-state"), problem.status === 503 ? "no room: all streams are taken" : "not connected");
        pause = Math.max(pause, problem.retryAfter || 0);
      }
    } else pause = 1;
    await new Promise((resolve) => setTimeout(resolve, Math.min(pause, session.read ? 30 : 1) * 1000));
  }
}

function restartFeed() {
  feed.abort?.abort();
}

async function lookUp(reference) {
  byId("reference").value = reference;
  const found = byId("found");
  found.replaceChildren(make("p", {class: "empty", text: "Looking in the audit log …"}));
  try {
    showFound(await api.ask(`references/${encodeURIComponent(reference)}`));
  } catch (problem) {
    found.replaceChildren(make("p", {class: "fault", text: problem.message}));
  }
}

function press(buttons, chosen) {
  for (const each of buttons) each.setAttribute("aria-pressed", String(each === chosen));
}

function prepare() {
  setText(byId("where"), location.host);
  const windows = [...document.querySelectorAll("[data-window]")];
  for (const each of windows) each.addEventListener("click", () => { press(windows, each); view.window = each.dataset.window; looking.number = 1; clearTimeout(looking.timer); look(); });
  const lists = [...document.querySelectorAll("[data-list]")];
  for (const each of lists) each.addEventListener("click", () => { press(lists, each); view.list = each.dataset.list; if (view.top) showTalkers(view.top, view.list, orderBan); });
  byId("panic").addEventListener("click", () => orderSwitch(view.isOn));
  byId("ban").addEventListener("click", () => orderBan());
  byId("token").addEventListener("click", () => signIn());
  byId("dialog-cancel").addEventListener("click", () => byId("dialog").close());
  byId("dialog-form").addEventListener("submit", (event) => { event.preventDefault(); if (dialog.do) dialog.do(); });
  byId("dialog").addEventListener("close", () => byId("dialog-body").replaceChildren());
  byId("reference-form").addEventListener("submit", (event) => { event.preventDefault(); lookUp(byId("reference").value.trim()); });
  byId("feed-filter").addEventListener("input", showFeed);
  byId("feed-kind").addEventListener("change", showFeed);
  byId("feed-pause").addEventListener("click", () => {
    feed.isHeld = !feed.isHeld;
    byId("feed-pause").setAttribute("aria-pressed", String(feed.isHeld));
    if (!feed.isHeld) { feed.records.push(...feed.held); feed.held = []; }
    addRecords({records: [], skipped: 0});
  });
  document.addEventListener("visibilitychange", () => { if (document.hidden) restartFeed(); else refreshSoon(); });
  const redraw = () => { if (view.top) showChart(view.top.history, view.window); };
  new ResizeObserver(redraw).observe(byId("chart"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  look();
  follow();
}

prepare();
