// The API of the instance. The token is kept for this tab and sent in a header: it is in no URL, no cookie, no log.
"use strict";

const API = new URL("../api/v1/", document.baseURI);
const TOKEN = "proxyguard-token";
const WAIT_SECONDS = 15;

class ApiProblem extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

const api = {
  get token() { try { return sessionStorage.getItem(TOKEN); } catch { return this.kept ?? null; } },
  set token(value) {
    this.kept = value;
    try { value === null ? sessionStorage.removeItem(TOKEN) : sessionStorage.setItem(TOKEN, value); } catch { /* kept in memory */ }
  },

  headers(more = {}) {
    return this.token === null ? more : {...more, Authorization: `Bearer ${this.token}`};
  },

  /** The answer to a question or an order. Throws ApiProblem. */
  async ask(path, body) {
    const options = {headers: this.headers(), cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(WAIT_SECONDS * 1000)};
    if (body !== undefined) {
      options.method = "POST";
      options.headers = this.headers({"Content-Type": "application/json"});
      options.body = JSON.stringify(body);
      options.signal = AbortSignal.timeout(300_000); // a reload of many rules takes its time
    }
    let response;
    try {
      response = await fetch(new URL(path, API), options);
    } catch {
      throw new ApiProblem(0, "the instance does not answer", 5);
    }
    let answer = null;
    try { answer = await response.json(); } catch { /* said below */ }
    if (!response.ok || answer === null) {
      throw new ApiProblem(response.status, answer?.detail || answer?.title || `answered ${response.status}`, Number(response.headers.get("Retry-After") ?? 0));
    }
    return answer;
  },

  /** Read the live feed until `signal` or its end; calls `onEvent(name, data)`. Server-sent events by fetch, as those of EventSource carry no header. */
  async stream(signal, onOpen, onEvent) {
    const response = await fetch(new URL("events", API), {headers: this.headers({Accept: "text/event-stream"}), cache: "no-store", credentials: "omit", signal});
    if (!response.ok) throw new ApiProblem(response.status, `answered ${response.status}`, Number(response.headers.get("Retry-After") ?? 0));
    onOpen();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const {value, done} = await reader.read();
      if (done) return;
      rest += value;
      for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
        const block = rest.slice(0, end);
        rest = rest.slice(end + 2);
        let name = "message";
        const data = [];
        for (const line of block.split("\n")) {
          if (line.startsWith("event: ")) name = line.slice(7);
          else if (line.startsWith("data: ")) data.push(line.slice(6));
        }
        if (data.length) onEvent(name, JSON.parse(data.join("\n")));
      }
    }
  },
};
