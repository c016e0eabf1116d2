// Orders: each asks first, shows the command that does the same, and says what became of it.
"use strict";

const dialog = {do: null};

function field(id, label, input) {
  input.id = id;
  input.name = id;
  return make("div", {class: "field"}, make("label", {for: id, text: label}), input);
}

const choices = (options, chosen) => make("select", {}, ...options.map(([value, text]) => make("option", {value, text, selected: value === chosen})));

const DURATIONS = [["600", "10 minutes"], ["1800", "30 minutes"], ["3600", "1 hour"], ["14400", "4 hours"], ["86400", "1 day"]];
const BAN_DURATIONS = [...DURATIONS, ["604800", "7 days"]];
const asDuration = (seconds) => (seconds % 86400 === 0 ? `${seconds / 86400}d` : seconds % 3600 === 0 ? `${seconds / 3600}h` : `${seconds / 60}m`);

/** Ask for an order. `parts`: what is shown; `command(values)`: the same by command; `act(values)`: do it. */
function askFor({title, text, parts = [], command = null, button = "Do it", isDangerous = false, act, needsToken = true}) {
  const may = !needsToken || session.write;
  byId("dialog-title").textContent = title;
  const shown = command ? make("pre", {tabindex: "0"}) : null;
  const values = () => Object.fromEntries([...byId("dialog-body").querySelectorAll("input, select")].map((each) => [each.name, each.type === "checkbox" ? each.checked : each.value]));
  const refresh = () => { if (shown) shown.textContent = command(values()); };
  const copy = shown ? make("button", {type: "button", class: "button small", text: "Copy", on: {click: () => copied(shown, copy)}}) : null;
  byId("dialog-body").replaceChildren(
    ...(text ? [make("p", {text})] : []), ...parts,
    ...(shown ? [make("p", {class: "small muted", text: may ? "The same by command:" : "You may only read here. By command:"}), make("div", {class: "command"}, shown, copy)] : []));
  byId("dialog-body").oninput = refresh;
  refresh();
  byId("dialog-fault").textContent = "";
  const submit = byId("dialog-do");
  submit.textContent = button;
  submit.className = `button primary ${isDangerous ? "danger" : ""}`;
  submit.hidden = !may || act === undefined;
  submit.disabled = false;
  dialog.do = async () => {
    submit.disabled = true;
    try {
      await act(values());
      byId("dialog").close();
      refreshSoon();
    } catch (problem) {
      byId("dialog-fault").textContent = problem.message;
      submit.disabled = false;
    }
  };
  if (!byId("dialog").open) byId("dialog").showModal();
}

async function copied(element, button) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(element); // no clipboard without HTTPS: it is selected, to be copied by hand
  }
}

function orderBan(key = "") {
  askFor({
    title: "Ban", button: "Ban", isDangerous: true,
    parts: [
      field("key", "Whom: a pseudonym, an address, a network, a value (header.NAME=VALUE)", make("input", {type: "text", value: key, required: true, maxlength: "300", autocomplete: "off", spellcheck: "false"})),
      field("seconds", "For how long", choices(BAN_DURATIONS, "3600")),
      field("then", "What they get", choices([["reject", "a refusal"], ["tarpit", "a tarpit: an answer that does not end"], ["drop", "nothing: connections are closed at once"]], "reject")),
      field("note", "Why", make("input", {type: "text", maxlength: "500", autocomplete: "off"})),
    ],
    command: (values) => `proxyguard bans add ${shellWord(values.key || "WHO")} --for ${asDuration(Number(values.seconds))}${values.then === "reject" ? "" : ` --then ${values.then}`}${values.note ? ` --note ${shellWord(values.note)}` : ""}`,
    act: (values) => api.ask("bans", {...values, seconds: Number(values.seconds)}),
  });
}

function orderLift(ban) {
  askFor({
    title: "Lift a ban", button: "Lift the ban", text: `${ban.key} may ask again, and how often it was banned is forgotten.`,
    command: () => `proxyguard bans remove ${shellWord(ban.key)}`,
    act: async () => { if (!(await api.ask("bans/lift", {key: ban.key})).done) throw new Error("it was banned no longer"); },
  });
}

function pauseParts() {
  return [field("seconds", "For how long", choices(DURATIONS, "1800")), field("why", "Why", make("input", {type: "text", maxlength: "500", autocomplete: "off"}))];
}

const pauseWords = (values) => ` --for ${asDuration(Number(values.seconds))}${values.why ? ` --why ${shellWord(values.why)}` : ""}`;

function orderPause(rule) {
  askFor({
    title: `Pause ${rule.rule}`, button: "Pause", text: "It only records meanwhile, and acts again by itself. Bans that it made stay.", parts: pauseParts(),
    command: (values) => `proxyguard pause ${rule.rule}${pauseWords(values)}`,
    act: (values) => api.ask("rules/pause", {rules: [rule.rule], seconds: Number(values.seconds), why: values.why}),
  });
}

function orderResume(rule) {
  askFor({title: `Resume ${rule.rule}`, button: "Resume", text: "It acts again now.", command: () => `proxyguard resume ${rule.rule}`, act: () => api.ask("rules/resume", {rules: [rule.rule]})});
}

async function orderPromote(rule) {
  const evidence = make("p", {class: "evidence", text: session.write ? "Looking at what it would have stopped …" : `In shadow it would have decided ${count(rule.would_have)} requests since the start.`});
  const force = make("input", {type: "checkbox", name: "force", id: "force"});
  askFor({
    title: `Promote ${rule.rule}`, button: "Let it act", isDangerous: true,
    parts: [evidence, ...(session.write ? [make("div", {class: "check"}, force, make("label", {for: "force", text: "whatever it would stop (--force)"}))] : [])],
    command: (values) => `proxyguard promote ${rule.rule}${values.force ? " --force" : ""}`,
    act: (values) => api.ask("rules/promote", {rule: rule.rule, force: values.force}),
  });
  if (!session.write) return;
  try {
    const {detail} = await api.ask("rules/promote", {rule: rule.rule, dry_run: true});
    evidence.textContent = [...(detail.would === "nothing" ? [] : [`It would be ${detail.would === "promote" ? "promoted" : "refused"}:`]), ...detail.lines, detail.watch].join("\n");
  } catch (problem) {
    evidence.textContent = problem.message;
  }
}

function orderEnd(restriction) {
  askFor({title: `End ${restriction.name}`, button: "End it", text: "It ends now for everybody.", command: () => `proxyguard restrict end ${restriction.name}`, act: () => api.ask("restrictions/end", {name: restriction.name})});
}

function orderSwitch(isOn) {
  if (isOn) {
    askFor({title: "Let rules act again", button: "Act again", text: "Rules, bans, tarpits and restrictions act again at once.", command: () => "proxyguard shadow off", act: () => api.ask("shadow/off", {})});
    return;
  }
  askFor({
    title: "Stop acting: the panic switch", button: "Stop acting", isDangerous: true, parts: pauseParts(),
    text: "From now on everything is decided and recorded, and nothing is refused, held or banned. It ends by itself.",
    command: (values) => `proxyguard shadow on${pauseWords(values)}`,
    act: (values) => api.ask("shadow/on", {seconds: Number(values.seconds), why: values.why}),
  });
}

function signIn(fault = "") {
  if (api.token !== null && !fault) {
    askFor({title: "Sign out", button: "Sign out", needsToken: false, text: "The token of this tab is forgotten.", act: async () => { api.token = null; await readSession(); restartFeed(); }});
    return;
  }
  askFor({
    title: "Sign in", button: "Sign in", needsToken: false,
    text: "With the token of the setting admin_token you may act, with that of admin_read_token you may read. It is kept until this tab is closed.",
    parts: [field("token-given", "Token", make("input", {type: "password", required: true, autocomplete: "current-password", maxlength: "1024"}))],
    act: async (values) => {
      const before = api.token;
      api.token = values["token-given"].trim();
      try {
        await readSession();
      } catch (problem) {
        api.token = before;
        throw problem;
      }
      restartFeed();
    },
  });
  byId("dialog-fault").textContent = fault;
}
