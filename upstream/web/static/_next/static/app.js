// The beginning of every dashboard page. The page was rendered by the hub and reads well
// without any of this; each part below is loaded only by the pages that have a use for it.

const parts = [
  ["[data-chart]", () => import("./chart.js")],
  ["[data-filters]", () => import("./filters.js")],
  ["[data-region]", () => import("./issues.js"), "issues"],
  ["[data-start]", () => import("./runs.js"), "runs"],
  ["[data-create]", () => import("./projects.js"), "projects"],
];

for (const [selector, load, page] of parts) {
  if ((page ?? document.body.dataset.page) === document.body.dataset.page && document.querySelector(selector)) {
    load();
  }
}

// Live updates can wait until the page can be used.
const later = window.requestIdleCallback ?? ((work) => setTimeout(work, 200));
later(() => import("./live.js"));
