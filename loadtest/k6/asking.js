// How both scripts ask: one request, its metrics and whether the answer is right.
// `../asking.py` does the same for k9.

import { check, fail } from "k6";
import http from "k6/http";
import { Counter, Rate, Trend } from "k6/metrics";

/** @typedef {import("./options.js").Definition} Definition */
/** @typedef {import("k6/http").RefinedResponse<"text">} Answer */
/** @typedef {{cookie: string, weight: number, project_id: number, project_name: string}} Person */
/** @typedef {{people: Person[]}} Data */
/** @typedef {{password: string, organizations: {name: string, weight: number, users: string[]}[]}} Users */
/** @typedef {{path: string, endpoint: string, who: Person | null, right?: (body: string) => boolean}} Question */

/** @type {Definition} */
export const definition = JSON.parse(open("../profiles.json"));
/** @type {Users} */
const users = JSON.parse(open("../test-users.json"));

export const settings = {
  base: (__ENV["BASE"] || "http://127.0.0.1:8080").replace(/\/+$/, ""),
  profile: __ENV["PROFILE"] || "laptop",
  scale: readScale(__ENV["SCALE"] || "1"),
  out: __ENV["OUT"] || ".",
};

/** @param {string} written */
function readScale(written) {
  const scale = Number(written);
  if (!(scale > 0 && scale < 1e6)) {
    throw new Error(`SCALE: expected a number above 0 such as 0.5, got "${written}"`);
  }
  return scale;
}

/** @type {Record<string, Trend>} */
const trends = {};
/** @type {Record<string, Rate>} */
const rates = {};
/** @type {Record<string, Counter>} */
const counters = {};
for (const [name, metric] of Object.entries(definition.metrics)) {
  if (metric.kind === "trend") trends[name] = new Trend(name, metric.time);
  else if (metric.kind === "rate") rates[name] = new Rate(name);
  else counters[name] = new Counter(name);
}

/**
 * @param {string} name
 * @param {number} milliseconds
 * @param {Record<string, string>} [tags]
 */
export function addTrend(name, milliseconds, tags = {}) {
  /** @type {Trend} */ (trends[name]).add(milliseconds, tags);
}

/**
 * @param {string} name
 * @param {boolean} happened
 * @param {Record<string, string>} [tags]
 */
export function addRate(name, happened, tags = {}) {
  /** @type {Rate} */ (rates[name]).add(happened, tags);
}

/**
 * @param {string} name
 * @param {number} [value]
 */
export function addCount(name, value = 1) {
  /** @type {Counter} */ (counters[name]).add(value);
}

/**
 * Return one of *choices*, by weight.
 *
 * @template {{weight: number}} Choice
 * @param {Choice[]} choices
 * @returns {Choice}
 */
export function draw(choices) {
  let left = Math.random() * choices.reduce((sum, each) => sum + each.weight, 0);
  for (const each of choices) {
    left -= each.weight;
    if (left < 0) return each;
  }
  return /** @type {Choice} */ (choices[choices.length - 1]);
}

/**
 * Return how long a person looks at one of *steps* in a visit, in seconds.
 *
 * @param {number} visit
 * @param {number} steps
 */
export function thinkTime(visit, steps) {
  const spread = definition.think_spread;
  return (visit / steps) * (1 - spread + 2 * spread * Math.random());
}

/** @param {Person | null} who */
export function fieldsOf(who) {
  /** @type {Record<string, string>} */
  const fields = { "Accept-Encoding": definition.compression };
  if (who !== null) fields["Cookie"] = who.cookie;
  return fields;
}

/**
 * @param {string} endpoint
 * @param {Answer} answer
 * @param {boolean} right
 */
function answered(endpoint, answer, right) {
  const word = answer.headers["X-Cache"] || "none";
  addTrend("answer_duration", answer.timings.duration, {
    endpoint,
    cache: word,
    status: String(answer.status),
  });
  addRate("error_rate", !right, { endpoint });
  if (!answer.status) return;
  const served = definition.served_from_cache.includes(word);
  if (!definition.not_asked_words.includes(word)) {
    addRate("cache_hit_rate", served);
    addRate("cache_stale_rate", definition.stale_words.includes(word));
  }
  if (!served) addCount("origin_requests");
}

/**
 * Ask several questions at once, as a browser does, and judge the answers.
 *
 * @param {Question[]} questions
 * @returns {Answer[]}
 */
export function askAll(questions) {
  const answers = http.batch(
    questions.map(({ path, endpoint, who }) => ({
      method: "GET",
      url: settings.base + path,
      body: null,
      params: {
        headers: fieldsOf(who),
        tags: { endpoint, name: endpoint },
        timeout: "30s",
        responseType: /** @type {const} */ ("text"),
      },
    })),
  );
  return questions.map((question, place) => {
    const answer = /** @type {Answer} */ (answers[place]);
    const { right, endpoint } = question;
    const well = answer.status === 200 && (right === undefined || right(answer.body || ""));
    check(answer, { "answered right": () => well }, { endpoint });
    answered(endpoint, answer, well);
    if (question.path.startsWith("/api/")) addTrend("api_duration", answer.timings.duration);
    return answer;
  });
}

/**
 * @param {Question} question
 * @returns {Answer}
 */
export function ask(question) {
  return /** @type {Answer} */ (askAll([question])[0]);
}

/**
 * Return the question for *procedures* in one request, as tRPC's client in a browser asks it.
 *
 * @param {string[]} procedures
 * @param {Person} who
 * @returns {Question}
 */
export function batchOf(procedures, who) {
  /** @type {Record<string, Record<string, string | number>>} */
  const inputs = {};
  procedures.forEach((name, place) => {
    inputs[String(place)] = draw(definition.inputs[name] || []).input;
  });
  const input = encodeURIComponent(JSON.stringify(inputs));
  return {
    path: `/api/trpc/${procedures.join(",")}?batch=1&input=${input}`,
    // Not by commas: they would end the tag of a threshold.
    endpoint: procedures.join("+"),
    who,
    right: (body) => body.startsWith("[") && !body.includes('"error"'),
  };
}

/**
 * Write: give a project the name it has; its organisation's answers are forgotten.
 *
 * @param {Person} who
 */
export function rename(who) {
  const endpoint = "rename-project";
  const answer = http.patch(
    `${settings.base}/api/projects/${who.project_id}`,
    JSON.stringify({ name: who.project_name }),
    {
      headers: { ...fieldsOf(who), "Content-Type": "application/json" },
      tags: { endpoint, name: endpoint },
      responseType: "text",
    },
  );
  check(answer, { "answered right": () => answer.status === 200 });
  answered(endpoint, answer, answer.status === 200);
  addTrend("api_duration", answer.timings.duration);
}

/**
 * Log every test user in, one after another: each password costs the hub a tenth of a second.
 *
 * @returns {Data}
 */
export function logIn() {
  /** @type {Person[]} */
  const people = [];
  for (const organization of users.organizations) {
    for (const email of organization.users) {
      const answer = http.post(
        `${settings.base}/api/auth/login`,
        JSON.stringify({ email, password: users.password }),
        { headers: { "Content-Type": "application/json" }, tags: { name: "login" } },
      );
      if (answer.status !== 200) {
        fail(
          `${email} can't log in at ${settings.base}: status ${answer.status} ${answer.error}; ` +
            "is the hub there, with its demo data (python -m upstream serve --seed yes)?",
        );
      }
      const cookie = Object.values(answer.cookies)
        .map((each) => /** @type {import("k6/http").ResponseCookie} */ (each[0]))
        .map((each) => `${each.name}=${each.value}`)
        .join("; ");
      // The cookie jar sends them here; twice the same cookie would prove nothing.
      const projects = http.get(`${settings.base}/api/projects?limit=1`, {
        tags: { name: "first-project" },
      });
      /** @type {any} */
      const project = projects.json("data.0");
      people.push({
        cookie,
        weight: organization.weight / organization.users.length,
        project_id: project.id,
        project_name: project.name,
      });
    }
  }
  return { people };
}
