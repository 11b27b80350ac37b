// Resolves issues and takes it back.

import { say, write } from "./api.js";
import { show } from "./region.js";

function reveal() {
  for (const button of document.querySelectorAll("[data-issue]")) {
    button.hidden = false;
  }
}

document.addEventListener("shown", reveal);
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-issue]");
  if (button === null) {
    return;
  }
  button.disabled = true;
  try {
    const issue = await write(`/api/trpc/${button.dataset.action}`, { issueId: Number(button.dataset.issue) }, "issue");
    await show(location.href);
    say(issue.status === "resolved" ? `Issue ${issue.id} is resolved.` : `Issue ${issue.id} is open again.`);
  } catch (error) {
    button.disabled = false;
    say(`Issue ${button.dataset.issue} can't be changed: ${error.message}`, { failed: true });
  }
});
reveal();
