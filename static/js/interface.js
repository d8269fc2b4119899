// What every page has: banners that can be dismissed, menus that close as menus do.

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
