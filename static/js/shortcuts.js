// Single-key shortcuts without Ctrl. The dialog in templates/_shortcuts.html lists them and can turn them off.

import { chooseFromMenu } from "./message-menu.js";

const KEPT_AS = "single-key-shortcuts";
const TYPING = "input, textarea, select, [contenteditable]";
const OPEN = "dialog[open], details.action-menu[open], .message-menu, :popover-open";
const ROW = "[data-sequence], .topic";

const help = document.getElementById("shortcuts");
const composer = () => document.querySelector("[data-composer] textarea");
let lastRow = null; // the id of the message that was focused last

// -- on or off, on this device -------------------------------------------------------------------

function areOn() {
  try {
    return localStorage.getItem(KEPT_AS) !== "off";
  } catch {
    return true; // a browser without storage
  }
}

const toggle = help.querySelector("[data-shortcuts-on]");
toggle.addEventListener("change", () => {
  try {
    localStorage.setItem(KEPT_AS, toggle.checked ? "on" : "off");
  } catch {
    toggle.checked = true;
  }
});

// -- the dialog ----------------------------------------------------------------------------------

function openHelp() {
  toggle.checked = areOn();
  help.showModal();
}

for (const entry of document.querySelectorAll("[data-shortcuts-open]")) {
  entry.hidden = false;
  entry.addEventListener("click", openHelp);
}
help.addEventListener("click", (event) => {
  if (event.target === help || event.target.closest("[data-close]")) help.close();
});
help.addEventListener("close", () => {
  // On a phone, opening the dialog has closed the menu that it was opened from: focus the button of the menu.
  if (!document.activeElement?.checkVisibility() || document.activeElement === document.body) {
    document.querySelector("[popovertarget=main-menu]").focus();
  }
});

// -- from row to row -----------------------------------------------------------------------------

const rows = () => [...document.querySelectorAll(ROW)];
const rowWithFocus = () => document.activeElement.closest(ROW);

function isInView(row) {
  const { top, bottom } = row.getBoundingClientRect();
  const above = document.querySelector(".page-thread .page-top")?.getBoundingClientRect().bottom ?? 0;
  const below = document.querySelector(".thread-bottom")?.getBoundingClientRect().top ?? window.innerHeight;
  return bottom > above && top < below;
}

function focusRow(row) {
  if (!row) return false;
  const article = row.querySelector("article");
  (article ?? row.querySelector(".topic-name a, .topic-action a")).focus({ preventScroll: true });
  row.style.scrollMarginBottom = `${document.querySelector(".thread-bottom")?.offsetHeight ?? 0}px`;
  row.scrollIntoView({ block: "nearest" });
  return true;
}

/** A screen reader announces the author, the time and the text of a message that gets the focus. */
function nameByItsWords(row, article) {
  const parts = [".message-author", "time", ".message-body, .message-removed"].map((part) => row.querySelector(part));
  parts.forEach((part, index) => (part.id = `${row.id}-part-${index}`));
  article.setAttribute("aria-labelledby", parts.map((part) => part.id).join(" "));
}

function walk(step) {
  const all = rows();
  const from = rowWithFocus();
  if (from) return focusRow(all[all.indexOf(from) + step]);
  const seen = all.filter(isInView);
  return focusRow(step > 0 ? seen[0] : seen.at(-1));
}

function nextUnread() {
  const all = rows();
  return focusRow(all.slice(all.indexOf(rowWithFocus()) + 1).find((row) => row.matches(".topic-unread")));
}

function backToTheThread() {
  const seen = rows().filter(isInView);
  return focusRow(seen.find((row) => row.id === lastRow) ?? seen.at(-1));
}

document.addEventListener("focusin", ({ target }) => {
  if (target.matches("[data-sequence] article")) nameByItsWords(target.closest("[data-sequence]"), target);
  lastRow = target.closest("[data-sequence]")?.id ?? lastRow;
});

// -- what the keys do; each function returns whether it did something ----------------------------

function search() {
  const field = document.querySelector("[data-shortcut=search]");
  if (!field) location.assign(help.dataset.searchUrl);
  else if (field.matches("input")) field.select();
  else field.click();
  return true;
}

function openTopics() {
  document.querySelector("[data-shortcut=topics]").click();
  return true;
}

function write() {
  composer()?.focus();
  return Boolean(composer());
}

function openMenu() {
  const menu = rowWithFocus()?.querySelector("[data-message-menu], .action-menu summary");
  menu?.click();
  return Boolean(menu);
}

function fromMenu(action) {
  const row = rowWithFocus();
  const menu = row?.querySelector("[data-message-menu]");
  if (!menu) return false;
  chooseFromMenu(menu, action).then((isThere) => {
    if (!isThere) focusRow(document.getElementById(row.id));
  });
  return true;
}

const KEYS = {
  "?": () => openHelp() ?? true,
  "/": search,
  t: openTopics,
  j: () => walk(1),
  k: () => walk(-1),
  n: nextUnread,
  r: write,
  m: openMenu,
  q: () => fromMenu("quote"),
  e: () => fromMenu("edit"),
};
const REPEATED = "jk"; // these repeat while they are held down

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && event.target === composer() && backToTheThread()) event.preventDefault();
  if (event.target.closest(TYPING) || document.querySelector(OPEN) || !areOn()) return;
  const key = event.shiftKey ? event.key : event.key.toLowerCase(); // ignores Caps Lock
  if (!Object.hasOwn(KEYS, key) || (event.repeat && !REPEATED.includes(key))) return;
  if (KEYS[key]()) event.preventDefault();
});
