// Starts runs of Autopilot.

import { say, write } from "./api.js";
import { show } from "./region.js";

const form = document.querySelector("[data-start]");

form.hidden = false;
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const project = form.elements.projectId;
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const run = await write("/api/trpc/autopilot.startRun", { projectId: Number(project.value) }, "run");
    await show(location.href);
    say(`Run ${run.id} of ${project.selectedOptions[0].text} waits to begin.`);
  } catch (error) {
    say(`The run can't be started: ${error.message}`, { failed: true });
  } finally {
    button.disabled = false;
  }
});
