// Shows the numbers of the day under the pointer. All of them are in a table as well.

function enhance(figure) {
  const picture = figure.querySelector("svg");
  const days = figure.dataset.days.split(" ");
  const found = figure.dataset.found.split(" ");
  const resolved = figure.dataset.resolved.split(" ");
  const tip = Object.assign(document.createElement("div"), { className: "tip", hidden: true });
  tip.setAttribute("aria-hidden", "true");
  figure.append(tip);

  picture.addEventListener("pointermove", (event) => {
    const { left, width } = picture.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - left) / width));
    const index = Math.round(share * (days.length - 1));
    tip.textContent = `${days[index]}: ${found[index]} found, ${resolved[index]} resolved`;
    tip.style.left = `${Math.min(88, Math.max(12, share * 100))}%`;
    tip.hidden = false;
  });
  picture.addEventListener("pointerleave", () => {
    tip.hidden = true;
  });
}

function enhanceAll() {
  document.querySelectorAll("[data-chart]").forEach(enhance);
}

document.addEventListener("shown", enhanceAll);
enhanceAll();
