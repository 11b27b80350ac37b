// The options of a test from `../profiles.json`; `../definition.py` does the same for k9.
// Nothing here needs k6, so that both can be compared wherever there is a JavaScript engine.

/**
 * @typedef {{seconds: number, target: number}} Stage
 * @typedef {{seconds_a_visit: number, stages: Stage[], thresholds?: Record<string, string[]>}} Profile
 * @typedef {{
 *   unit: string,
 *   vus: {preallocated: number, most: number},
 *   scenarios: Record<string, {share: number}>,
 *   thresholds: Record<string, string[]>,
 *   profiles: Record<string, Profile>,
 *   endpoints?: string[],
 * }} LoadTest
 * @typedef {{name: string, path: string, weight: number, batch: string[], also: string[]}} Page
 * @typedef {{name: string, weight: number, batch?: string[], path?: string, anonymous?: boolean, write?: boolean}} Call
 * @typedef {{kind: "counter" | "rate" | "trend", time: boolean}} MetricKind
 * @typedef {{
 *   think_spread: number,
 *   first_visit_share: number,
 *   pages_a_visit: number,
 *   calls_a_visit: number,
 *   sse_share: number,
 *   drop_limit: number,
 *   compression: string,
 *   metrics: Record<string, MetricKind>,
 *   served_from_cache: string[],
 *   stale_words: string[],
 *   not_asked_words: string[],
 *   pages: Page[],
 *   calls: Call[],
 *   inputs: Record<string, {weight: number, input: Record<string, string | number>}[]>,
 *   tests: Record<string, LoadTest>,
 * }} Definition
 * @typedef {{
 *   executor: "ramping-arrival-rate",
 *   exec: string,
 *   startRate: number,
 *   timeUnit: string,
 *   preAllocatedVUs: number,
 *   maxVUs: number,
 *   stages: {duration: string, target: number}[],
 *   gracefulStop: string,
 * }} Scenario
 */

const TREND_STATS = ["min", "avg", "med", "p(90)", "p(95)", "p(99)", "max", "count"];
// Without `url`: one time series for each address would fill the memory.
/** @type {import("k6/options").Options["systemTags"]} */
const SYSTEM_TAGS = ["error", "group", "method", "name", "scenario", "status"];

/**
 * Return what is called *name* in *table*, or tell which names there are.
 *
 * @template Value
 * @param {Record<string, Value>} table
 * @param {string} name
 * @param {string} what
 * @returns {Value}
 */
export function named(table, name, what) {
  const found = table[name];
  if (found === undefined) {
    throw new Error(`no ${what} "${name}"; there are ${Object.keys(table).join(", ")}`);
  }
  return found;
}

/**
 * Return the options of a test.
 *
 * Visits begin at a rate that the answers have no influence on: when the gateway stalls they
 * queue up and their times show it.
 *
 * @param {Definition} definition
 * @param {string} test
 * @param {string} profile
 * @param {number} scale multiplies every target
 */
export function optionsFor(definition, test, profile, scale) {
  const described = named(definition.tests, test, "test");
  const chosen = named(described.profiles, profile, "profile");
  /** @type {Record<string, Scenario>} */
  const scenarios = {};
  const highest = Math.max(...chosen.stages.map((stage) => stage.target));
  for (const [name, scenario] of Object.entries(described.scenarios)) {
    const factor = scenario.share * scale;
    const peak = highest * factor;
    const preallocated = Math.max(2, Math.ceil(peak * described.vus.preallocated));
    scenarios[name] = {
      executor: "ramping-arrival-rate",
      exec: name,
      startRate: 0,
      timeUnit: `${chosen.seconds_a_visit}s`,
      preAllocatedVUs: preallocated,
      maxVUs: Math.max(preallocated, Math.ceil(peak * described.vus.most)) + 10,
      stages: chosen.stages.map((stage) => ({
        duration: `${stage.seconds}s`,
        target: Math.floor(stage.target * factor + 0.5),
      })),
      gracefulStop: `${2 * chosen.seconds_a_visit}s`,
    };
  }
  const dropped = Math.floor(
    plannedVisits(scenarios, chosen.seconds_a_visit) * definition.drop_limit,
  );
  return {
    scenarios,
    thresholds: {
      ...described.thresholds,
      ...chosen.thresholds,
      dropped_iterations: [`count<${dropped + 1}`],
    },
    summaryTrendStats: TREND_STATS,
    systemTags: SYSTEM_TAGS,
    setupTimeout: "120s",
    userAgent: "loadtest",
  };
}

/**
 * Return how many visits the stages come to.
 *
 * @param {Record<string, Scenario>} scenarios
 * @param {number} secondsAVisit
 */
function plannedVisits(scenarios, secondsAVisit) {
  let total = 0;
  for (const scenario of Object.values(scenarios)) {
    let before = 0;
    for (const stage of scenario.stages) {
      total += ((before + stage.target) / 2) * parseInt(stage.duration, 10);
      before = stage.target;
    }
  }
  return total / secondsAVisit;
}

/**
 * Add thresholds that always hold: k6 keeps figures by tag only where one asks for them.
 *
 * @template {{thresholds: Record<string, string[]>}} Options
 * @param {Options} options
 * @param {string[]} endpoints
 * @returns {Options}
 */
export function withBreakdown(options, endpoints) {
  const words = ["HIT", "MISS", "STALE", "UPDATING", "REVALIDATED", "EXPIRED", "BYPASS", "PASS"];
  /** @type {Record<string, string[]>} */
  const thresholds = { ...options.thresholds };
  for (const endpoint of endpoints) {
    thresholds[`answer_duration{endpoint:${endpoint}}`] = ["max>=0"];
  }
  for (const word of words) {
    thresholds[`answer_duration{cache:${word}}`] = ["max>=0"];
  }
  return { ...options, thresholds };
}
