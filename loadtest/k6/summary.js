// What a script leaves behind at its end: a few lines, the summary as JSON, and a page that
// needs nothing but itself.

/**
 * @typedef {{type: string, values: Record<string, number>, thresholds?: Record<string, {ok: boolean}>}} Measured
 * @typedef {{metrics: Record<string, Measured>, state: {testRunDurationMs: number}}} Summary
 */

const STYLE = `
  :root { color-scheme: light dark; }
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
  table { border-collapse: collapse; width: 100%; margin-bottom: 2rem; }
  th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8885; vertical-align: top; }
  .good { color: #15803d; } .bad { color: #dc2626; font-weight: 600; }`;

/**
 * Return what to write, by the path or `stdout`.
 *
 * @param {string} name
 * @param {Summary} data
 * @param {string} folder
 * @returns {Record<string, string>}
 */
export function files(name, data, folder) {
  const stem = `${folder}/${name}-summary`;
  return {
    stdout: text(name, data),
    [`${stem}.json`]: JSON.stringify(data, null, 1),
    [`${stem}.html`]: page(name, data),
  };
}

/**
 * Return every threshold; those that only ask for a breakdown are left out.
 *
 * @param {Summary} data
 */
function verdicts(data) {
  return Object.entries(data.metrics)
    .flatMap(([metric, measured]) =>
      Object.entries(measured.thresholds || {}).map(([expression, result]) => ({
        metric,
        expression,
        holds: result.ok,
      })),
    )
    .filter((each) => each.expression !== "max>=0")
    .sort((one, other) => (one.metric < other.metric ? -1 : 1));
}

/**
 * Return the metrics that measured something, by name.
 *
 * @param {Summary} data
 */
function measuredOnes(data) {
  return Object.entries(data.metrics)
    .filter(([, each]) => each.values["count"] !== 0)
    .sort(([one], [other]) => (one < other ? -1 : 1));
}

/** @param {Measured} measured */
function figures(measured) {
  return Object.entries(measured.values)
    .map(([key, value]) => `${key}=${Number(value.toPrecision(6))}`)
    .join("  ");
}

/**
 * @param {string} name
 * @param {Summary} data
 */
function text(name, data) {
  const lines = [`${name}, ${(data.state.testRunDurationMs / 1000).toFixed(1)} seconds`, ""];
  for (const each of verdicts(data)) {
    lines.push(`  ${each.holds ? "holds " : "BROKEN"}  ${each.metric}: ${each.expression}`);
  }
  lines.push("");
  for (const [metric, measured] of measuredOnes(data)) {
    lines.push(`  ${metric}: ${figures(measured)}`);
  }
  return `${lines.join("\n")}\n`;
}

/** @param {string} raw */
function escaped(raw) {
  return raw.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/**
 * @param {string} name
 * @param {Summary} data
 */
function page(name, data) {
  const held = verdicts(data).map(
    (each) =>
      `<tr><td>${escaped(each.metric)}<td><code>${escaped(each.expression)}</code>` +
      `<td class="${each.holds ? "good" : "bad"}">${each.holds ? "holds" : "broken"}`,
  );
  const measured = measuredOnes(data)
    .map(([metric, each]) => `<tr><td>${escaped(metric)}<td><code>${escaped(figures(each))}</code>`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(name)}: summary</title>
<style>${STYLE}</style>
<h1>${escaped(name)}</h1>
<p>${(data.state.testRunDurationMs / 1000).toFixed(1)} seconds.</p>
<h2>Thresholds</h2>
<table><tr><th>Metric<th>Threshold<th>Verdict
${held.join("\n")}
</table>
<h2>Metrics</h2>
<table><tr><th>Metric<th>Values; times are milliseconds
${measured.join("\n")}
</table>
</html>
`;
}
