// Asks the hub's API, and tells the reader what became of it.

// What this page has changed itself, such as "issue:7": the hub tells us of it as well.
export const own = new Set();

// Writes *body* to *path* and returns the hub's answer, whose id is that of a *kind*.
export async function write(path, body, kind) {
  const reply = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await reply.json().catch(() => ({}));
  if (!reply.ok) {
    throw new Error(answer.error?.message ?? `the hub answered ${reply.status}`);
  }
  const data = answer.result?.data ?? answer;
  own.add(`${kind}:${data.id}`);
  return data;
}

export function say(text, { failed = false } = {}) {
  const place = document.querySelector("[data-live]");
  place.classList.toggle("failed", failed);
  place.textContent = text;
}
