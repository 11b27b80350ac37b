// Shows what others change while a page is open: the hub tells, and the data is asked for anew.

import { say } from "./api.js";
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

async function refresh(kind) {
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
    document.body.dataset.live = "on";
  });
  events.addEventListener("error", () => {
    document.body.dataset.live = "off"; // the browser tries again, and says where it was
  });
  for (const kind of Object.keys(words)) {
    events.addEventListener(kind, () => {
      clearTimeout(waiting);
      waiting = setTimeout(refresh, 150, kind); // several changes at once are shown once
    });
  }
  addEventListener("pagehide", () => events.close());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}
