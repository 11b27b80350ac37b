// A hundred thousand users of the dashboard: browsing, calling the API, and listening.
//
//     k6 run loadtest/k6/dashboard.js -e PROFILE=smoke -e BASE=http://127.0.0.1:8080
//
// PROFILE is full, laptop or smoke; SCALE multiplies the number of users; OUT is the folder for
// the summary. The numbers are in `../profiles.json`, the same test for k9 in `../dashboard.py`.
// k6 has no client for server-sent events: here all real-time visits are WebSockets.

import { check, sleep } from "k6";
import { setTimeout } from "k6/timers";
import { WebSocket } from "k6/websockets";

import {
  addCount,
  addRate,
  addTrend,
  ask,
  askAll,
  batchOf,
  definition,
  draw,
  fieldsOf,
  logIn,
  rename,
  settings,
  thinkTime,
} from "./asking.js";
import { named, optionsFor, withBreakdown } from "./options.js";
import { files } from "./summary.js";

/** @typedef {import("./asking.js").Data} Data */
/** @typedef {import("./asking.js").Person} Person */
/** @typedef {import("./asking.js").Question} Question */

const test = named(definition.tests, "dashboard", "test");
const visit = named(test.profiles, settings.profile, "profile").seconds_a_visit;
const endpoints = [
  ...new Set([
    "asset",
    "rename-project",
    ...definition.pages.flatMap((page) => [page.name, page.batch.join("+"), ...page.also]),
    ...definition.calls.map((call) => (call.batch || []).join("+") || call.path || ""),
  ]),
].filter((name) => name !== "");

export const options = withBreakdown(
  optionsFor(definition, "dashboard", settings.profile, settings.scale),
  endpoints,
);

const ASSET = /["'](\/(?:_next\/static|images|fonts)\/[^"'\s]+)["']/g;

export function setup() {
  return logIn();
}

/** @param {Data} data */
export function browsing(data) {
  const who = draw(data.people);
  let missingAssets = Math.random() < definition.first_visit_share;
  for (let step = 0; step < definition.pages_a_visit; step += 1) {
    loadPage(who, missingAssets);
    missingAssets = false;
    sleep(thinkTime(visit, definition.pages_a_visit));
  }
}

/**
 * @param {Person} who
 * @param {boolean} withAssets
 */
function loadPage(who, withAssets) {
  const page = draw(definition.pages);
  const begun = Date.now();
  const document = ask({
    path: page.path,
    endpoint: page.name,
    who,
    right: (body) => body.includes("</html>"),
  });
  // A browser asks for all of these at once, when it has read the page.
  /** @type {Question[]} */
  const then = page.also.map((path) => ({ path, endpoint: path, who }));
  if (page.batch.length > 0) then.push(batchOf(page.batch, who));
  if (withAssets) {
    const found = [...(document.body || "").matchAll(ASSET)].map((match) => match[1] || "");
    for (const path of [...new Set(found)].sort()) {
      then.push({ path, endpoint: "asset", who: null });
    }
  }
  if (then.length > 0) askAll(then);
  addTrend("page_load_time", Date.now() - begun);
}

/** @param {Data} data */
export function api(data) {
  const who = draw(data.people);
  for (let step = 0; step < definition.calls_a_visit; step += 1) {
    const call = draw(definition.calls);
    if (call.write) rename(who);
    else if (call.batch) ask(batchOf(call.batch, who));
    else {
      const path = call.path || "/";
      ask({ path, endpoint: path, who: call.anonymous ? null : who });
    }
    sleep(thinkTime(visit, definition.calls_a_visit));
  }
}

/** @param {Data} data */
export function realtime(data) {
  const who = draw(data.people);
  const seconds = thinkTime(visit, 1);
  const begun = Date.now();
  let heard = 0;
  let failed = true;
  const socket = new WebSocket(`${settings.base.replace(/^http/, "ws")}/api/ws`, null, {
    headers: fieldsOf(who),
    tags: { name: "/api/ws" },
  });
  socket.onopen = () => {
    failed = false;
    addTrend("realtime_connect_time", Date.now() - begun, { kind: "ws" });
    setTimeout(() => socket.close(), seconds * 1000);
  };
  socket.onmessage = () => {
    heard += 1;
  };
  socket.onerror = () => {
    failed = true;
  };
  socket.onclose = () => {
    check(null, { "stayed connected": () => !failed });
    addRate("error_rate", failed, { endpoint: "/api/ws" });
    if (heard > 0) addCount("realtime_messages", heard);
  };
}

/** @param {import("./summary.js").Summary} data */
export function handleSummary(data) {
  return files("dashboard", data, settings.out);
}
