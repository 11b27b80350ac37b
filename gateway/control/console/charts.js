// Lines over time, drawn as SVG: no library, and nothing that a screen reader can't put into words.
const WIDTH = 600, HEIGHT = 150, LEFT = 44, RIGHT = 6, TOP = 6, BOTTOM = 18;
const SVG = "http://www.w3.org/2000/svg";

function node(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// The next "round" number above a value, so that the scale doesn't flicker.
export function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

// series: [{name, values (null where there is none), format}]; seconds: the length of the time axis.
export function draw(place, series, { most, format, seconds }) {
  const values = series.flatMap((each) => each.values.filter((value) => value !== null));
  const top = most ?? ceiling(Math.max(0, ...values));
  const count = Math.max(2, ...series.map((each) => each.values.length));
  const x = (index) => LEFT + ((WIDTH - LEFT - RIGHT) * (index + seconds - count)) / (seconds - 1);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - Math.min(value, top) / top);
  const last = series.map((each) => each.values.findLast((value) => value !== null));
  const spoken = series.map((each, index) => `${each.name} ${last[index] === undefined ? "none" : format(last[index])}`);
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `Now: ${spoken.join(", ")}` });
  for (const share of [0, 0.5, 1]) {
    svg.append(node("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(top * share), y2: y(top * share) }));
    svg.append(node("text", { x: LEFT - 6, y: y(top * share) + 4, "text-anchor": "end" }, format(top * share)));
  }
  for (const [share, label] of [[0, seconds < 120 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`], [1, "now"]]) {
    svg.append(node("text", { x: share ? WIDTH - RIGHT : LEFT, y: HEIGHT - 4, "text-anchor": share ? "end" : "start" }, label));
  }
  series.forEach((each, number) => {
    let line = "", drawing = false, first = null, end = null;
    each.values.forEach((value, index) => {
      if (value === null) { drawing = false; return; }
      line += `${drawing ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
      first ??= index; end = index; drawing = true;
    });
    if (!line) return;
    if (series.length === 1 || number === 0) {
      svg.append(node("path", { class: `area s${number + 1}`, d: `${line}L${x(end).toFixed(1)} ${y(0)}L${x(first).toFixed(1)} ${y(0)}Z` }));
    }
    svg.append(node("path", { class: `s${number + 1}`, d: line }));
  });
  const legend = document.createElement("ul");
  legend.className = "legend";
  series.forEach((each, number) => {
    const item = document.createElement("li"), mark = document.createElement("i"), figure = document.createElement("b");
    mark.className = `s${number + 1}`;
    figure.textContent = last[number] === undefined ? "-" : format(last[number]);
    item.append(mark, `${each.name} `, figure);
    legend.append(item);
  });
  place.replaceChildren(svg, legend);
}
