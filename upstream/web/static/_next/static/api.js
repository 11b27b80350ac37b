// Asks the hub's API, and tells the reader what became of it.

export async function write(path, body) {
  const reply = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await reply.json().catch(() => ({}));
  if (!reply.ok) {
    throw new Error(answer.error?.message ?? `the hub answered ${reply.status}`);
  }
  return answer.result?.data ?? answer;
}

export function say(text, { failed = false } = {}) {
  const place = document.querySelector("[data-live]");
  place.classList.toggle("failed", failed);
  place.textContent = text;
}
