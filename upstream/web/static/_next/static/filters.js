// Filters at once: what is chosen holds without a press of the button, and the address says
// it, so that it can be kept and sent.

import { say } from "./api.js";
import { show } from "./region.js";

const form = document.querySelector("[data-filters]");
let waiting;
let shown = location.search;

function address() {
  const chosen = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value !== "") {
      chosen.set(name, value);
    }
  }
  const query = chosen.toString();
  return location.pathname + (query ? `?${query}` : "");
}

async function filter() {
  clearTimeout(waiting);
  try {
    await show(address(), { remember: true });
    shown = location.search;
    say(document.querySelector(".pager .meta")?.textContent ?? "");
  } catch (error) {
    say(`The list can't be filtered: ${error.message}`, { failed: true });
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  filter();
});
form.addEventListener("change", filter);
form.addEventListener("input", (event) => {
  if (event.target.type === "search") {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 250); // once the reader pauses
  }
});
addEventListener("popstate", () => {
  // A link into the page, such as the one that skips to the content, comes here as well.
  if (location.search !== shown) {
    location.reload();
  }
});
