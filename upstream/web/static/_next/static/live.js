// Tells a reader of the dashboard that something has changed meanwhile. The page itself was
// rendered by the hub and reads well without this.

const notice = document.querySelector("[data-live]");
const words = {
  "project.created": "A project was created.",
  "project.updated": "A project was changed.",
  "organization.updated": "The organization was changed.",
  "billing.updated": "The subscription was changed.",
  resync: "Some changes may have been missed.",
};

function show(kind) {
  notice.textContent = `${words[kind] ?? "Something changed."} `;
  const link = document.createElement("a");
  link.href = location.href;
  link.textContent = "Show the latest";
  notice.append(link);
  notice.hidden = false;
}

if (notice) {
  const events = new EventSource("/api/events");
  for (const kind of Object.keys(words)) {
    events.addEventListener(kind, () => show(kind));
  }
  addEventListener("pagehide", () => events.close());
}
