// Shows what others change while a page is open: the hub tells, and the data is asked for anew.

import { own, say } from "./api.js";
import { show } from "./region.js";

const words = {
  "issue.resolved": "An issue was resolved.",
  "issue.reopened": "An issue was opened again.",
  "run.started": "A run was started.",
  "project.created": "A project was created.",
  "project.updated": "A project was changed.",
  "organization.updated": "The organization was changed.",
  "billing.updated": "The subscription was changed.",
  resync: "Some changes may have been missed.",
};
let waiting;

async function refresh(kind, subject) {
  if (own.delete(subject)) {
    return; // the reader's own change, which is shown and told already
  }
  try {
    await show(location.href);
    say(`${words[kind]} This page is up to date.`);
  } catch {
    say(`${words[kind]} Load the page again to see it.`);
  }
}

if (document.querySelector("[data-region]")) {
  const events = new EventSource("/api/events");
  events.addEventListener("open", () => {
    document.body.dataset.listening = "on";
  });
  events.addEventListener("error", () => {
    document.body.dataset.listening = "off"; // the browser tries again, and says where it was
  });
  for (const kind of Object.keys(words)) {
    events.addEventListener(kind, (event) => {
      clearTimeout(waiting);
      // Several changes at once are shown once.
      waiting = setTimeout(refresh, 300, kind, JSON.parse(event.data).subject);
    });
  }
  addEventListener("pagehide", () => events.close());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}
