// Creates projects.

import { say, write } from "./api.js";
import { show } from "./region.js";

const details = document.querySelector("[data-create]");
const form = details.querySelector("form");

details.hidden = false;
details.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    details.open = false;
    details.querySelector("summary").focus();
  }
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { name, language, repositoryUrl } = Object.fromEntries(new FormData(form));
  try {
    const project = await write("/api/projects", { name, language, repositoryUrl: repositoryUrl || null }, "project");
    form.reset();
    details.open = false;
    await show(location.href);
    say(`The project ${project.name} was created.`);
  } catch (error) {
    say(`The project can't be created: ${error.message}`, { failed: true });
  }
});
