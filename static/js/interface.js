// Behaviour of every page: banners can be dismissed, menus close, and signing out deletes drafts.

import { forgetDrafts } from "./drafts.js";

for (const button of document.querySelectorAll("[data-dismiss]")) {
  button.hidden = false; // hidden without JavaScript, because it would do nothing
  button.addEventListener("click", () => button.parentElement.remove());
}

const openMenus = () => document.querySelectorAll("details.action-menu[open]");

document.addEventListener("click", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of openMenus()) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Drafts contain confidential text, so signing out deletes the user's drafts from the device.
for (const form of document.querySelectorAll("[data-forget-drafts]")) {
  form.addEventListener("submit", () => forgetDrafts(form.dataset.forgetDrafts));
}
