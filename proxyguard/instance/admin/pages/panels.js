// One function for each panel: from the answer of the API to what is seen. Nothing here asks or orders.
"use strict";

const REFUSING = new Set(["reject", "tarpit", "maze", "drop", "ban"]);

const HEADINGS = {clients: "client (a pseudonym of today)", networks: "network", user_agents: "user agent", paths: "paths of a kind", rules: "rule that decided", referers: "referring host", sites: "site"};

const cells = (...kinds) => kinds.map((kind) => make("td", kind ? {class: kind} : {}));

function showTiles(top, status) {
  setText(byId("tile-rate"), rate(top.requests_per_second));
  setText(byId("tile-rate-more"), `${count(top.requests)} in the last ${span(top.seconds)}`);
  setText(byId("tile-refused"), percent(top.refused_share));
  setText(byId("tile-refused-more"), `${count(top.refused)} requests`);
  setText(byId("tile-bytes"), size(top.bytes));
  setText(byId("tile-bytes-more"), `site busy for ${span(top.upstream_seconds)}`);
  setText(byId("tile-tarpits"), count(status.tarpits));
  setText(byId("tile-tarpits-more"), `${span(status.tarpit_seconds)} of theirs wasted`);
  const down = status.upstreams.filter((each) => each.state !== "up");
  byId("tile-site").classList.toggle("bad", down.length > 0);
  setText(byId("tile-up"), status.upstreams.length === 0 ? "–" : down.length === 0 ? "Up" : down.length === status.upstreams.length ? "Down" : `${down.length} down`);
  setText(byId("tile-up-more"), `${count(status.upstream_errors_last_minute)} errors in the last minute`);
}

function showState(status) {
  const state = byId("state");
  let kind = "good", text = status.mode === "enforce" ? "Rules act" : "Records only (mode: shadow)";
  if (status.mode !== "enforce") kind = "warn";
  if (!status.ready) [kind, text] = ["bad", "Not ready"];
  if (status.shadow) [kind, text] = ["bad", `NOTHING ACTS until ${clock(status.shadow.until, false)} UTC`];
  state.className = `state ${kind}`;
  setText(byId("state-text"), text);
  state.title = status.shadow ? `by ${status.shadow.by || "an unknown user"}: ${status.shadow.why || "no reason given"}` : "";
  document.title = status.shadow ? "NOTHING ACTS · proxyguard" : "proxyguard";
}

function showHealth(status) {
  const rows = [];
  const add = (name, text, kind = "good") => rows.push({name, text, kind});
  for (const each of status.upstreams) {
    const name = each.upstream.includes(each.address) ? each.upstream : `${each.upstream} at ${each.address}`;
    add(name, each.state === "up" ? "up" : `${each.state} since ${clock(each.since, false)} (${each.why}), ${count(each.hurt)} refused for it`, each.state === "up" ? "good" : "bad");
  }
  if (status.store.up !== null) add("store", `${status.store.up ? "up" : "DOWN"} since ${clock(status.store.since, false)}`, status.store.up ? "good" : "bad");
  else add("store", "in this instance");
  const reload = status.reload;
  if (reload.result) add("last reload", `${reload.result}, ${clock(reload.time, false)}`, ["refused", "failed"].includes(reload.result) ? "bad" : "good");
  for (const text of status.certificates) add("certificate", text, text.startsWith("ENDED") ? "bad" : "good");
  const faults = Object.values(status.internal_errors).reduce((sum, each) => sum + each, 0);
  add("faults of ours", count(faults), faults ? "bad" : "good");
  const waiting = Object.keys(status.promotions.watched ?? {}).length;
  if (waiting) add("rules watched", count(waiting), "warn");
  for (const each of status.promotions.rolled_back ?? []) add("rolled back", `${each.rule}, ${clock(each.time, false)}`, "warn");
  add("workers", count(Math.max(1, status.workers.length)), "");
  add("connections", count(status.connections), "");
  add("running for", span(status.uptime_seconds), "");
  const list = byId("health");
  const parts = rows.flatMap((row) => [make("dt", {text: row.name}), make("dd", {}, row.kind ? make("span", {class: `badge ${row.kind}`, text: row.text}) : row.text)]);
  const said = JSON.stringify(rows);
  if (list.said !== said) list.replaceChildren(...parts);
  list.said = said;
}

function showTalkers(top, listName, onBan) {
  const rows = top[listName].slice(0, 50);
  const most = Math.max(1, ...rows.map((row) => row.requests));
  setText(byId("talkers-name"), HEADINGS[listName]);
  byId("talkers-empty").hidden = rows.length > 0;
  const canBan = listName === "clients" || listName === "networks";
  showItems(byId("talkers"), rows, (row) => `${listName} ${row.name}`, (row) => {
    const made = make("tr", {}, ...cells("name", "num", "num", "num narrow-off", "act"));
    if (canBan) made.cells[4].append(make("button", {type: "button", class: "button small writes", text: "Ban…", "aria-label": `Ban ${row.name}`, on: {click: () => onBan(made.item.name)}}));
    return made;
  }, (row, item) => {
    const more = item.requests_at_most - item.requests;
    const texts = [item.name, count(item.requests) + (more ? ` +${count(more)}` : ""), item.requests ? percent(item.refused / item.requests) : "–", size(item.bytes)];
    texts.forEach((text, at) => setText(row.cells[at], text));
    row.cells[0].title = item.name;
    row.cells[0].style.setProperty("--part", `${(100 * item.requests) / most}%`);
    row.cells[2].classList.toggle("hot", item.refused * 2 > item.requests);
  });
}

function showRules(rules, shadow, actions) {
  const found = new Map(shadow.rules.map((each) => [each.rule, each]));
  const modes = {enforce: 0, shadow: 0, off: 0};
  for (const each of rules) modes[each.mode] += 1;
  setText(byId("rules-sum"), `${modes.enforce} act, ${modes.shadow} in shadow, ${modes.off} off`);
  const order = {shadow: 1, enforce: 0, off: 2};
  const busy = (each) => each.decided + each.would_have;
  const sorted = [...rules].sort((one, other) => order[one.mode] - order[other.mode] || busy(other) - busy(one));
  showItems(byId("rules"), sorted, (each) => `${each.rule} ${each.mode} ${each.paused}`, (each) => {
    const row = make("tr", {}, ...cells("name", "", "narrow-off", "num", "num narrow-off", "act"));
    const add = (text, label, handler) => row.cells[5].append(make("button", {type: "button", class: "button small", text, "aria-label": label, on: {click: () => handler(row.item)}}));
    if (each.paused) add("Resume", `Resume ${each.rule}`, actions.resume);
    else if (each.mode === "shadow") add("Promote…", `Promote ${each.rule}`, actions.promote);
    else if (each.mode === "enforce") add("Pause…", `Pause ${each.rule}`, actions.pause);
    return row;
  }, (row, each) => {
    setText(row.cells[0], each.rule);
    row.cells[0].title = each.rule;
    const mode = each.paused ? "paused" : each.mode === "enforce" ? "in force" : each.mode;
    if (row.cells[1].textContent !== mode) row.cells[1].replaceChildren(make("span", {class: `badge ${each.paused ? "bad" : each.mode === "enforce" ? "good" : each.mode === "shadow" ? "shadow" : ""}`, text: mode}));
    setText(row.cells[2], each.action);
    setText(row.cells[3], each.decided ? count(each.decided) : "–");
    const hits = found.get(each.rule);
    setText(row.cells[4], each.would_have ? count(each.would_have) : "–");
    row.cells[4].title = hits ? `${count(hits.clients)} clients, ${count(hits.protected_clients)} of protected classes` : "";
  });
}

function showRestrictions(restrictions, onEnd) {
  byId("restrictions-empty").hidden = restrictions.length > 0;
  const sorted = [...restrictions].sort((one, other) => other.on - one.on || one.name.localeCompare(other.name));
  showItems(byId("restrictions"), sorted, (each) => `${each.name} ${each.on}`, (each) => {
    const end = each.on ? make("button", {type: "button", class: "button small", text: "End…", "aria-label": `End ${each.name}`, on: {click: () => onEnd(item.item)}}) : null;
    const item = make("li", {}, make("div", {class: "top"}, make("b", {text: each.name}), make("span", {class: `badge ${each.on ? "bad" : ""}`, text: each.on ? "on" : "off"}), end), make("p", {class: "muted small"}), make("p", {class: "small"}));
    return item;
  }, (item, each) => {
    const what = Object.entries(each.classes).map(([name, limit]) => `${name} ${limit}`).join(", ") || (each.shedding.length ? `refuses ${each.shedding.join(", ")}` : "sheds load");
    const ends = each.on && each.ends ? `ends ${clock(each.ends, false)} UTC, in ${span(each.ends - now())}` : each.reason;
    setText(item.children[1], each.on ? `${ends}; ${each.reason}` : ends);
    setText(item.children[2], `${what}${each.on ? `; ${count(each.refused)} refused` : ""}`);
  });
}

function showBans(answer, onLift) {
  setText(byId("tile-bans"), count(answer.total));
  const hits = answer.bans.reduce((sum, each) => sum + each.hits, 0);
  setText(byId("tile-bans-more"), `${count(hits)} times they came back`);
  byId("bans-empty").hidden = answer.total > 0;
  byId("bans-table").hidden = answer.total === 0;
  showItems(byId("bans"), answer.bans, (each) => each.key, (each) => {
    const row = make("tr", {}, ...cells("wrap", "wrap", "narrow-off", "num narrow-off", "num", "act"));
    row.cells[5].append(make("button", {type: "button", class: "button small", text: "Lift…", "aria-label": `Lift the ban of ${each.key}`, on: {click: () => onLift(row.item)}}));
    return row;
  }, (row, each) => {
    const why = each.rule === "operator" ? `an operator${each.note ? `: ${each.note}` : ""}` : `${each.rule}: ${each.reason}${each.strikes > 1 ? ` (${each.strikes} times)` : ""}`;
    [each.key, why, each.then, each.hits ? `${count(each.hits)}, last ${clock(each.last_seen)}` : "–", span(each.until - now())].forEach((text, at) => setText(row.cells[at], text));
  });
}

function showEconomy(economy) {
  const isKnown = economy.items !== undefined;
  byId("economy").hidden = !isKnown;
  byId("economy-empty").hidden = isKnown;
  setText(byId("economy-spent"), isKnown ? spent(economy) : "");
  const items = Object.entries(economy.items ?? {}).sort((one, other) => other[1] - one[1]);
  showItems(byId("items"), items, ([what]) => what, () => make("tr", {}, ...cells("wrap", "num")), (row, [what, answers]) => {
    [what, count(answers)].forEach((text, at) => setText(row.cells[at], text));
  });
  const from = (each) => `${each.networks}, ${each.with_cookies ? "with" : "without"} cookies`;
  showItems(byId("prices"), economy.for_1000_cold ?? [], from, () => make("tr", {}, ...cells("wrap", "wrap", "num")), (row, each) => {
    const needed = Object.entries(each.needed).map(([what, number]) => `${count(number)} ${what}`).join(", ") || "no limit";
    [from(each), needed, each.of_site === null ? "–" : count(each.of_site)].forEach((text, at) => setText(row.cells[at], text));
  });
}

function spent(economy) {
  const {mazes} = economy;
  const inMazes = mazes.pages ? ` and ${span(mazes.held_seconds)} in ${count(mazes.pages)} pages of mazes` : "";
  const forMazes = mazes.pages ? ` and ${oneDecimal.format(mazes.cpu_seconds)} s for mazes` : "";
  return `${span(economy.tarpit_seconds)} of theirs in tarpits${inMazes}, ${size(economy.refused_bytes)} of answers, ${oneDecimal.format(economy.check_seconds)} s of ours for checks${forMazes}`;
}

function showChanges(changes) {
  byId("changes-empty").hidden = changes.length > 0;
  byId("changes-table").hidden = changes.length === 0;
  showItems(byId("changes"), changes.slice(0, 50), (each) => `${each.time} ${each.order}`, () => make("tr", {}, ...cells("", "", "wrap", "narrow-off")), (row, each) => {
    [clock(each.time), each.done ? each.order : `${each.order} (refused)`, each.what, each.by].forEach((text, at) => setText(row.cells[at], text));
  });
}

const isRefused = (record) => REFUSING.has(record.action);

function kindOf(record) {
  if (record.fault) return "fault";
  if (isRefused(record)) return "refused";
  return record.shadow.length ? "shadow" : "passed";
}

function feedItem(record, onReference) {
  const kind = kindOf(record);
  const verdict = kind === "shadow" ? record.shadow.join(", ") : `${record.rule || "no rule"}${record.fault ? ` · ${record.fault}` : ""}`;
  return make("li", {},
    make("time", {class: "muted", text: clock(record.time), datetime: new Date(record.time * 1000).toISOString()}),
    make("span", {class: `badge ${kind === "fault" ? "bad" : kind}`, text: record.action || "–"}),
    make("span", {class: "line", text: `${record.method} ${record.host}${record.path}`, title: `${record.method} ${record.host}${record.path}`}),
    make("button", {type: "button", class: "link", text: record.status ? String(record.status) : "–", title: `Look up ${record.reference}`, "aria-label": `Look up ${record.reference}, answered ${record.status}`, on: {click: () => onReference(record.reference)}}),
    make("span", {class: "sub", text: `${record.client} · ${verdict} · ${record.user_agent || "no user agent"}`, title: record.user_agent}));
}

function showFound(found) {
  const record = found.record;
  const facts = [["time", typeof record.time === "number" ? `${clock(record.time)} UTC` : record.time], ["request", `${record.method ?? ""} ${record.host ?? ""}${record.path ?? ""}`], ["client", record.client], ["user agent", record.user_agent], ["answered", record.status], ["reason", record.reason], ["class", record.class], ["score", record.score || null], ["tags", record.tags?.join(", ")], ["shadow", record.shadow?.join(", ")], ["fault", record.fault], ["upstream", record.upstream], ["came from", record.referer_host], ["network", record.network], ["country", record.country], ["AS number", record.asn], ["identity", record.identity && `${record.identity} (${record.verified === true ? "verified" : record.verified === false ? "it is not" : "not verified"})`], ["robots.txt group", record.robots]];
  const list = make("dl", {}, ...facts.filter(([, value]) => value !== undefined && value !== null && value !== "").flatMap(([name, value]) => [make("dt", {text: name}), make("dd", {text: String(value)})]));
  const parts = [make("p", {class: "verdict", text: `${record.action ?? "?"} by ${record.rule || "no rule"}${record.mode === "shadow" ? " (in shadow: nothing was done)" : ""}`}), list];
  if (found.tests.length) {
    const words = {true: ["holds", "good"], false: ["does not hold", "bad"], null: ["not recorded", ""]};
    parts.push(make("h3", {class: "small muted", text: "Conditions of the rule, as it is now"}), make("ul", {}, ...found.tests.map((each) => make("li", {}, make("span", {class: `badge ${words[each.holds][1]}`, text: words[each.holds][0]}), make("code", {text: each.test})))));
  }
  if (found.rule) parts.push(make("p", {class: "small muted", text: found.rule.place}), make("pre", {tabindex: "0", text: found.rule.text}));
  byId("found").replaceChildren(...parts);
}
