// An open topic list: order and counts follow what is written, without reloading.

import { markDrafts } from "./draft-marks.js";

const PIECE = { headers: { "X-Requested-With": "fetch" } };
const REST = 700; // milliseconds between two looks: a busy tenancy would keep the page busy
const LOOK_ANYWAY = 60_000; // an announcement can be lost, and what one reads elsewhere is none

const list = document.querySelector("[data-topics]");
let stream = null;
let comeBack = null;
let resting = null;
let isOver = false;

/** Whoever is about to press something must not have it move away under them. */
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
  location.reload(); // says that there is no Messenger any more
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
