// Twenty thousand calls of the API a second: half of it first, a spike, three minutes at the top.
//
//     k6 run loadtest/k6/api-stress.js -e PROFILE=smoke -e BASE=http://127.0.0.1:8080
//
// The variables are those of `dashboard.js`; SCALE multiplies the rates. The numbers are in
// `../profiles.json`, the same test for k9 in `../api_stress.py`.

import { ask, definition, draw, logIn, settings } from "./asking.js";
import { named, optionsFor, withBreakdown } from "./options.js";
import { files } from "./summary.js";

/** @typedef {import("./asking.js").Data} Data */

const endpoints = named(definition.tests, "api_stress", "test").endpoints || [];

export const options = withBreakdown(
  optionsFor(definition, "api_stress", settings.profile, settings.scale),
  endpoints,
);

export function setup() {
  return logIn();
}

/** @param {Data} data */
export function stress(data) {
  const endpoint = endpoints[Math.floor(Math.random() * endpoints.length)] || "/api/health";
  ask({ path: endpoint, endpoint, who: draw(data.people), right: (body) => body.includes('"') });
}

/** @param {import("./summary.js").Summary} data */
export function handleSummary(data) {
  return files("api_stress", data, settings.out);
}
