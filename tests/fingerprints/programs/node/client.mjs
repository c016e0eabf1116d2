// One request with a library of Node: `node client.mjs LIBRARY URL HEADERS`, the last as a JSON object.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";

const [library, url, text] = process.argv.slice(2);
const headers = JSON.parse(text);

const libraries = {
  async https() {
    const { get } = await import("node:https");
    await new Promise((resolve, reject) => get(url, { headers }, (answer) => answer.resume().on("end", resolve)).on("error", reject));
  },
  async http2() {
    const { connect } = await import("node:http2");
    const session = connect(url);
    const { pathname } = new URL(url);
    const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    const stream = session.request({ ":path": pathname, ...lower });
    await new Promise((resolve, reject) => stream.on("end", resolve).on("error", reject).resume());
    session.close();
  },
  fetch: async () => (await fetch(url, { headers })).text(),
  undici: async () => (await (await import("undici")).request(url, { headers })).body.text(),
  "undici-h2": async () => {
    const { Agent, request } = await import("undici");
    const dispatcher = new Agent({ allowH2: true, connect: { rejectUnauthorized: false } });
    await (await request(url, { headers, dispatcher })).body.text();
  },
  axios: async () => (await import("axios")).default.get(url, { headers }),
  got: async () => (await import("got")).got(url, { headers, https: { rejectUnauthorized: false } }),
  "got-h2": async () => (await import("got")).got(url, { headers, http2: true, https: { rejectUnauthorized: false } }),
  "got-scraping": async () =>
    (await import("got-scraping")).gotScraping({ url, headers, https: { rejectUnauthorized: false } }),
  "node-fetch": async () => (await (await import("node-fetch")).default(url, { headers })).text(),
  needle: async () => (await import("needle")).default("get", url, { headers, rejectUnauthorized: false }),
  superagent: async () => (await import("superagent")).default.get(url).set(headers).disableTLSCerts(),
  impit: async (browser) => {
    const { Impit } = await import("impit");
    await (await new Impit({ browser, ignoreTlsErrors: true }).fetch(url, { headers })).text();
  },
  wreq: async (browser) => {
    const { fetch: imitate } = await import("wreq-js");
    await (await imitate(url, { browser, os: "windows", headers, insecure: true })).text();
  },
};

const [name, profile] = library.split(":");
await libraries[name](profile);
