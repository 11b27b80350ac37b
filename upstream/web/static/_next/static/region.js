// Replaces the part of the page that shows data by what the hub shows for an address now.

let newest = 0;

export async function show(address, { remember = false } = {}) {
  const region = document.querySelector("[data-region]");
  const turn = ++newest;
  region.setAttribute("aria-busy", "true");
  try {
    const reply = await fetch(address, { headers: { Accept: "text/html" } });
    if (reply.redirected) {
      location.assign(reply.url); // logged out meanwhile
      return;
    }
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    const fresh = page.querySelector("[data-region]");
    if (turn !== newest) {
      return; // a later question has been asked
    }
    if (fresh === null) {
      throw new Error(page.querySelector(".lead")?.textContent ?? `the hub answered ${reply.status}`);
    }
    const focused = document.activeElement?.dataset?.issue;
    const known = new Set([...region.querySelectorAll("[data-row]")].map((row) => row.dataset.row));
    region.replaceChildren(...fresh.childNodes);
    for (const row of region.querySelectorAll("[data-row]")) {
      row.classList.toggle("fresh", !known.has(row.dataset.row));
    }
    if (focused) {
      region.querySelector(`[data-issue="${focused}"]`)?.focus();
    }
    if (remember) {
      history.pushState(null, "", address);
    }
    region.dispatchEvent(new CustomEvent("shown", { bubbles: true }));
  } finally {
    if (turn === newest) {
      region.removeAttribute("aria-busy");
    }
  }
}
