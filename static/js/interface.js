// What every page has: banners that can be dismissed, menus that close as menus do, and the way out.

import { forgetDrafts } from "./drafts.js";

for (const button of document.querySelectorAll("[data-dismiss]")) {
  button.hidden = false; // without JavaScript it could do nothing
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

// Drafts hold confidential text: who signs out leaves none of theirs on the device.
for (const form of document.querySelectorAll("[data-forget-drafts]")) {
  form.addEventListener("submit", () => forgetDrafts(form.dataset.forgetDrafts));
}
