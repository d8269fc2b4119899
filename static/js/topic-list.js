// An open topic list: its order and counts are updated live, without reloading the page.

import { markDrafts } from "./draft-marks.js";

const PIECE = { headers: { "X-Requested-With": "fetch" } };
const REST = 700; // milliseconds between two updates, so that a busy tenancy does not keep the page busy
const LOOK_ANYWAY = 60_000; // milliseconds: events can be lost, and reading elsewhere causes none

const list = document.querySelector("[data-topics]");
let stream = null;
let comeBack = null;
let resting = null;
let isOver = false;

/** While the list is in use, nothing may move away under the pointer or the focus. */
const isInUse = () => list.querySelector("details[open]") || list.contains(document.activeElement);

async function look() {
  if (isOver || document.hidden || isInUse()) return;
  const answer = await fetch(location.href, PIECE).catch(() => null);
  if (answer?.status === 404) return leave();
  if (!answer?.ok || answer.redirected || isInUse()) return;
  list.innerHTML = await answer.text();
  markDrafts();
  const unread = Number(list.querySelector("[data-unread]").dataset.unread);
  const badge = document.querySelector("[data-unread-topics]");
  badge.hidden = unread === 0;
  badge.querySelector("[data-count]").textContent = unread > 99 ? "99+" : unread;
}

function lookSoon() {
  resting ??= setTimeout(() => {
    resting = null;
    look();
  }, REST);
}

function leave() {
  isOver = true;
  stream?.close();
  location.reload(); // the new page shows that there is no access to Messenger any more
}

function listen() {
  stream?.close();
  clearTimeout(comeBack);
  if (isOver || document.hidden) return;
  stream = new EventSource(list.dataset.streamUrl);
  stream.addEventListener("open", lookSoon);
  stream.addEventListener("changed", lookSoon);
  stream.addEventListener("gone", leave);
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) comeBack = setTimeout(listen, 5000);
  });
}

markDrafts();
listen();
document.addEventListener("visibilitychange", listen);
setInterval(look, LOOK_ANYWAY);
