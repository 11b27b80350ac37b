import { ask, element } from "./console.js";

const $ = (id) => document.getElementById(id);
const PAUSE_MS = 400;
let base = null, timer = 0, asked = 0, proposed = null;

function lines() {
  const count = $("rules-text").value.split("\n").length;
  $("rules-lines").textContent = Array.from({ length: count }, (_, number) => number + 1).join("\n");
  $("rules-lines").scrollTop = $("rules-text").scrollTop;
}

function verdict(className, text) {
  $("rules-verdict").className = className;
  $("rules-verdict").textContent = text;
}

// Put the cursor where a finding is.
function go(line, column) {
  const text = $("rules-text"), before = text.value.split("\n").slice(0, line - 1).join("\n");
  const at = before.length + (line > 1 ? 1 : 0) + column - 1;
  text.focus();
  text.setSelectionRange(at, at);
  text.scrollTop = Math.max(0, (line - 8) * parseFloat(getComputedStyle(text).lineHeight));
}

function findings(found) {
  $("rules-findings").replaceChildren(...found.map((each) => {
    const where = each.line === null ? "" : `line ${each.line}, column ${each.column}: `;
    const words = `${each.severity}: ${where}${each.text}${each.hint ? ` (${each.hint})` : ""}`;
    const item = element("li", { className: each.severity === "error" ? "bad" : "warn" });
    item.append(each.line === null ? words : element("button", { type: "button", textContent: words, onclick: () => go(each.line, each.column) }));
    return item;
  }));
}

function policy(routes) {
  const seconds = (value) => (value % 3600 === 0 && value ? `${value / 3600} h` : value % 60 === 0 && value ? `${value / 60} min` : `${value} s`);
  $("policy").replaceChildren(...routes.map((each) => element("tr", {},
    element("td", { textContent: each.name }),
    element("td", { className: "mono", textContent: `${each.methods.join(" ")} ${each.paths.join(" ") || "every path"}`.trim() }),
    element("td", { textContent: !each.cache.enabled ? "off" : each.cache.ttl === "origin" ? "as the origin says" : seconds(each.cache.ttl) }),
    element("td", { textContent: each.cache.enabled ? each.cache.scope : "-" }),
    element("td", { textContent: each.origin }),
  )));
}

async function check() {
  const mine = ++asked;
  try {
    const told = await ask("/-/api/rules/check", { text: $("rules-text").value });
    if (mine !== asked) return;
    findings(told.findings);
    const tests = told.tests ? `, ${told.tests_passed} of ${told.tests} tests passed` : "";
    verdict(told.ok ? "good" : "bad", told.ok ? `Good: ${told.routes.length} routes${tests}.` : `Can't be used${tests}.`);
  } catch (error) {
    verdict("bad", error.message);
  }
}

// What was asked before says nothing about what follows.
function forget() {
  clearTimeout(timer);
  asked += 1;
}

async function propose() {
  forget();
  const text = $("rules-text").value;
  try {
    const told = await ask("/-/api/rules/propose", { text, base });
    findings(told.check.findings);
    proposed = told.check.ok && told.version !== base ? text : null;
    $("rules-apply").disabled = proposed === null;
    if (!told.check.ok) { verdict("bad", "Can't be used."); $("rules-changes").replaceChildren(); return; }
    verdict("good", told.changes.length ? `${told.changes.length} values would change.` : "The policy stays as it is.");
    const rows = told.changes.map((each) => element("tr", {}, element("td", { textContent: each.route }), element("td", { textContent: each.key }), element("td", { textContent: each.before ?? "-" }), element("td", { textContent: each.after ?? "-" })));
    const head = element("tr", {}, ...["route", "what", "now", "then"].map((name) => element("th", { scope: "col", textContent: name })));
    $("rules-changes").replaceChildren(...(rows.length ? [element("table", { ariaLabel: "What would change" }, element("thead", {}, head), element("tbody", {}, ...rows))] : []));
  } catch (error) {
    verdict("bad", error.message);
  }
}

async function load() {
  forget();
  const told = await ask("/-/api/rules");
  base = told.version;
  $("rules-file").textContent = `${told.file}, version ${told.version}${told.in_force ? ", in force" : ", not in force"}`;
  $("rules-text").value = told.text;
  proposed = null;
  $("rules-apply").disabled = true;
  $("rules-changes").replaceChildren();
  lines();
  policy(told.routes);
  const { versions } = await ask("/-/api/rules/versions");
  $("rules-version").replaceChildren(...versions.map((each) => element("option", { value: each.version, textContent: `${each.version}, replaced ${new Date(each.replaced).toLocaleString("en-GB")}` })));
  $("rules-rollback").disabled = versions.length === 0;
}

async function change(path, body, words) {
  forget();
  try {
    const told = await ask(path, body);
    await load();
    verdict("good", `${words}: version ${told.version} is in force.`);
    findings([]);
  } catch (error) {
    verdict("bad", error.message);
  }
}

export function begin() {
  const text = $("rules-text");
  text.addEventListener("input", () => {
    lines();
    proposed = null;
    $("rules-apply").disabled = true;
    clearTimeout(timer);
    timer = setTimeout(check, PAUSE_MS);
  });
  text.addEventListener("scroll", () => { $("rules-lines").scrollTop = text.scrollTop; });
  $("rules-propose").addEventListener("click", propose);
  $("rules-apply").addEventListener("click", () => change("/-/api/rules/apply", { text: proposed, base }, "Applied"));
  $("rules-rollback").addEventListener("click", () => change("/-/api/rules/rollback", { version: $("rules-version").value, base }, "Rolled back"));
  $("rules-reset").addEventListener("click", () => load().then(check).catch((error) => verdict("bad", error.message)));
  load().then(check).catch((error) => verdict("bad", error.message));
}
