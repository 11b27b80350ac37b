import { draw } from "./charts.js";
import { begin as beginEditor } from "./editor.js";

const SECONDS = 900, SHORTEST = 60, WINDOW = 10, SLOW_MS = 2500;
const $ = (id) => document.getElementById(id);
const samples = [];
let by = "hits";

export const counted = (value) => Math.round(value).toLocaleString("en");
export const percent = (share) => `${(100 * share).toFixed(share === 1 || share === 0 ? 0 : 1)}%`;
const short = (value) => (value >= 1e6 ? `${+(value / 1e6).toFixed(1)}M` : value >= 1e3 ? `${+(value / 1e3).toFixed(1)}k` : `${+value.toFixed(value < 10 ? 2 : 0)}`);
const size = (bytes) => { const units = ["B", "KB", "MB", "GB", "TB"]; let unit = 0; while (bytes >= 1024 && unit < 4) { bytes /= 1024; unit += 1; } return `${+bytes.toFixed(bytes < 10 && unit ? 1 : 0)} ${units[unit]}`; };
const milliseconds = (value) => (value === null || value === undefined ? "-" : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);

// The token stays in this tab.
export function headers(more = {}) {
  const token = sessionStorage.getItem("token");
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

export async function ask(path, body) {
  const options = body === undefined ? { headers: headers() } : { method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body) };
  const response = await fetch(path, options);
  const told = await response.json().catch(() => ({ error: `${response.status} ${response.statusText}` }));
  if (!response.ok && response.status !== 202) throw new Error(told.error ?? response.statusText);
  return told;
}

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function rows(place, found, cells, empty) {
  const width = $(place).closest("table").querySelectorAll("th").length;
  const made = found.map((each) => element("tr", {}, ...cells(each)));
  $(place).replaceChildren(...(made.length ? made : [element("tr", {}, element("td", { colSpan: width, className: "empty", textContent: empty }))]));
}
const cell = (text, className = "") => element("td", { textContent: text, className });

function problem(error) {
  $("problem").hidden = !error;
  $("problem").textContent = error ? `${error.message ?? error}` : "";
}

// Live: a sample a second.

function tile(name, value, more) {
  return element("div", {}, element("dt", { textContent: name }), element("dd", {}, value, element("small", { textContent: more })));
}

function show() {
  const last = samples.at(-1);
  if (!last) return;
  const recent = samples.slice(-60);
  const sum = (key, some = recent) => some.reduce((total, each) => total + each[key], 0);
  const asked = sum("requests"), hit = asked ? sum("hits") / asked : null;
  $("tiles").replaceChildren(
    tile("requests a second", counted(last.requests), `${short(asked / recent.length)} over a minute`),
    tile("hit rate", hit === null ? "-" : percent(hit), "over a minute"),
    tile("95th percentile", milliseconds(last.p95), `99th ${milliseconds(last.p99)}`),
    tile("errors (5xx)", counted(sum("errors")), "in a minute"),
    tile("to the client", `${size(last.body_bytes)}/s`, `${counted(last.connections)} connections, ${counted(last.exchanges)} running`),
    tile("store", last.store_limit_bytes ? percent(last.store_bytes / last.store_limit_bytes) : "-", `${size(last.store_bytes)}, ${counted(last.store_objects)} objects`),
  );
  const seconds = Math.max(SHORTEST, samples.length);
  const column = (key) => samples.map((each) => each[key]);
  draw($("chart-requests"), [
    { name: "all", values: column("requests") },
    { name: "from the store", values: column("hits") },
    { name: "to the origin", values: column("origin_requests") },
  ], { format: short, seconds });
  const busy = {};
  for (const each of samples) for (const [route, [requests]] of Object.entries(each.routes)) busy[route] = (busy[route] ?? 0) + requests;
  const routes = Object.keys(busy).sort((one, other) => busy[other] - busy[one]).slice(0, 5);
  draw($("chart-hits"), routes.map((route) => ({ name: route, values: samples.map((_, index) => {
    let requests = 0, hits = 0;
    for (let back = Math.max(0, index - WINDOW + 1); back <= index; back += 1) {
      const found = samples[back].routes[route];
      if (found) { requests += found[0]; hits += found[1]; }
    }
    return requests ? hits / requests : null;
  }) })), { most: 1, format: percent, seconds });
  draw($("chart-latency"), ["p50", "p95", "p99"].map((name) => ({ name, values: column(name) })), { format: short, seconds });
  draw($("chart-store"), [
    { name: "megabytes", values: samples.map((each) => each.store_bytes / 1048576) },
    { name: "evictions", values: column("evictions") },
  ], { format: short, seconds });
}

function take(sample) {
  samples.push(sample);
  if (samples.length > SECONDS) samples.shift();
}

// Not an EventSource, which can send no token.
async function live() {
  for (;;) {
    try {
      samples.splice(0, samples.length, ...(await ask("/-/api/history")).samples);
      show();
      const response = await fetch("/-/api/events", { headers: headers() });
      if (!response.ok) throw new Error((await response.json()).error);
      standing("good", "live");
      problem(null);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
        const events = (rest + chunk.value).split("\n\n");
        rest = events.pop();
        for (const event of events) {
          const data = event.split("\n").find((line) => line.startsWith("data: "));
          if (data) take(JSON.parse(data.slice(6)));
        }
        if (!document.hidden) show();
      }
      standing("bad", "the gateway has gone");
    } catch (error) {
      standing("bad", "no answer");
      problem(error);
    }
    await new Promise((done) => setTimeout(done, 2000));
  }
}

function standing(className, text) {
  $("standing").className = `pill ${className}`;
  $("standing").textContent = text;
}

// Every few seconds: what takes a question to each worker.

async function look() {
  const [stats, top, uncached, errors] = await Promise.all([ask("/-/api/stats"), ask(`/-/api/top?by=${by}`), ask("/-/api/uncacheable"), ask("/-/api/errors")]);
  $("since").textContent = `${counted(stats.requests)} requests since the start, ${percent(stats.hit_rate)} of them hits; ${stats.workers} ${stats.workers === 1 ? "worker" : "workers"}`;
  $("rules-standing").hidden = !stats.rules_error;
  $("rules-standing").className = "pill bad";
  $("rules-standing").textContent = "the rules file can't be used";
  $("rules-standing").title = stats.rules_error ?? "";
  rows("routes", stats.routes.toSorted((one, other) => other.requests - one.requests), (each) => [
    cell(each.route), cell(counted(each.requests), "number"), cell(percent(each.hit_rate), "number"), cell(size(each.body_bytes), "number"),
    cell(counted(each.statuses["5xx"] ?? 0), `number ${each.statuses["5xx"] ? "bad" : ""}`), cell(counted(each.limited), "number"),
  ], "Nobody has asked for anything yet.");
  rows("origins", stats.origins, (each) => [
    cell(each.origin),
    element("td", {}, ...Object.entries(each.endpoints).map(([server, workers]) => element("span", { className: workers ? "good" : "bad", textContent: `${server} ${workers ? "up" : "out"} ` }))),
    cell(each.p95 === null ? "-" : each.p95.toFixed(1), "number"), cell(counted(each.retries), "number"),
    cell(Object.entries(each.failures).map(([why, count]) => `${why} ${counted(count)}`).join(", ") || "none"),
  ], "No origin was asked yet.");
  rows("top", top.keys, (each) => [cell(each.url, "mono"), cell(each.route), cell(counted(each.hits), "number"), cell(counted(each.misses), "number"), cell(size(each.bytes), "number")], "Nothing yet.");
  rows("uncached", uncached.urls, (each) => [
    cell(each.url, "mono"), cell(counted(each.requests), "number"),
    element("td", {}, `${each.reason} (${each.route})`, element("small", { textContent: each.remedy })),
  ], "Everything that was asked for can be cached.");
  rows("errors", errors.failures, (each) => [
    cell(new Date(each.at * 1000).toLocaleTimeString("en-GB")), cell(`${each.method} ${each.url}`, "mono"), cell(each.route), cell(each.origin),
    cell(String(each.status), "number"), cell(each.error || "the origin's own answer"),
  ], "Nothing went wrong.");
}

async function looking() {
  for (;;) {
    if (!document.hidden) await look().catch(problem);
    await new Promise((done) => setTimeout(done, SLOW_MS));
  }
}

for (const button of document.querySelectorAll("[data-by]")) {
  button.addEventListener("click", () => {
    by = button.dataset.by;
    for (const each of document.querySelectorAll("[data-by]")) each.ariaPressed = String(each === button);
    look().catch(problem);
  });
}

// Purge and explain.

$("purge").addEventListener("submit", async (event) => {
  event.preventDefault();
  const kind = $("purge-kind").value, value = $("purge-value").value.trim();
  const asked = kind === "all" ? { all: true } : { [kind]: value };
  if (kind === "all") {
    if (value !== "all") { $("receipt").replaceChildren(element("p", { className: "bad", textContent: 'To purge everything, write "all" under Name.' })); return; }
    asked.confirm = "all";
  }
  if ($("purge-hard").checked) asked.mode = "hard";
  try {
    const told = await ask("/-/purge", asked);
    $("receipt").replaceChildren(
      element("p", { className: told.applied ? "good" : "bad", textContent: told.applied ? `Purged (${told.mode}) in ${told.ms.toFixed(1)} ms.` : "Not every worker has said that it knows." }),
      element("ul", {}, ...told.workers.map((each) => element("li", { textContent: `${each.name}: ${each.applied ? `${each.ms.toFixed(1)} ms` : "no word"}` }))),
    );
    look().catch(problem);
  } catch (error) {
    $("receipt").replaceChildren(element("p", { className: "bad", textContent: error.message }));
  }
});

$("explain").addEventListener("submit", async (event) => {
  event.preventDefault();
  const query = new URLSearchParams({ method: $("explain-method").value, target: $("explain-target").value.trim() });
  if ($("explain-host").value.trim()) query.append("header", `Host: ${$("explain-host").value.trim()}`);
  if ($("explain-response").value.trim()) query.append("response", $("explain-response").value.trim());
  for (const who of $("explain-as").value.split(",").map((each) => each.trim()).filter(Boolean)) query.append("as", who);
  try {
    const told = await ask(`/-/explain?${query}`);
    const stored = told.workers.map((worker) => element("li", { textContent: `${worker.name}: ${!worker.answered ? "no word" : worker.variants.length ? worker.variants.map((each) => `${each.status}, ${size(each.bytes)}, ${each.age.toFixed(0)} s old, ${each.invalid ? "to be validated" : each.fresh_for > 0 ? `fresh for ${each.fresh_for.toFixed(0)} s` : "stale"}`).join("; ") : "nothing stored"}` }));
    $("explanation").replaceChildren(element("pre", { className: "told", tabIndex: 0, textContent: told.text }), element("ul", {}, ...stored));
  } catch (error) {
    $("explanation").replaceChildren(element("p", { className: "bad", textContent: error.message }));
  }
});

// Token and theme.

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value.trim());
  $("token").value = "";
  look().then(() => problem(null)).catch(problem);
});
$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
});

live();
looking();
beginEditor();
