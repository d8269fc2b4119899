// An open thread: follows the live stream, loads older and newer messages, and posts without leaving the page.

import { Composer } from "./composer.js";
import { openDialogs } from "./dialogs.js";
import { Forecast } from "./forecast.js";
import { openMessageMenus } from "./message-menu.js";
import { Reading } from "./reading.js";
import { ask, NOT_YOURS, openStream } from "./requests.js";
import { Rows } from "./rows.js";

const NEAR_THE_END = 120; // pixels
const PAGE_LENGTH = 50;
const ASK_AGAIN_AFTER = 3000; // milliseconds

const thread = document.querySelector("[data-thread]");
const rows = new Rows(thread.querySelector("[data-rows]"));
const newBelow = document.querySelector("[data-new-below]");
const lost = document.querySelector("[data-connection-lost]");
const signedOut = document.querySelector("[data-signed-out]");
const notYours = document.querySelector("[data-not-yours]");
const announcement = thread.querySelector("[data-announcement]");
const forecast = new Forecast(() => document.querySelector("[data-forecast]"));
const reading = new Reading(rows, {
  upTo: Number(thread.dataset.readUpTo),
  url: thread.dataset.readUrl,
  token: () => document.querySelector("[data-composer] [name=csrfmiddlewaretoken]").value,
});
// The page contains all changes up to this revision; later ones are requested.
let revision = Number(thread.dataset.revision);
// Whether the page has the newest message. If not, incoming ones are not inserted, because they would follow a gap.
let hasTheEnd = rows.last >= Number(thread.dataset.last);

const isNearTheEnd = () =>
  hasTheEnd && window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - NEAR_THE_END;
const toTheEnd = () => window.scrollTo({ top: document.documentElement.scrollHeight });
class Gone extends Error {}
class SignedOut extends Error {}
class NotYours extends Error {} // said by the event of requests.js

async function fetchRows(query) {
  const answer = await ask(`${thread.dataset.messagesUrl}?${query}`);
  if (answer.status === NOT_YOURS) throw new NotYours();
  if (answer.status === 404) throw new Gone();
  if (answer.redirected) throw new SignedOut();
  if (!answer.ok) throw new Error(answer.status);
  answered();
  return answer.text();
}

/** Insert new and changed messages. Scrolls to the end if the page was scrolled there before. */
function take(html) {
  const wasNear = isNearTheEnd();
  const came = rows.place(html, { from: rows.first, upTo: hasTheEnd ? Infinity : rows.last });
  if (came.added.length) {
    document.querySelector("[data-empty]")?.remove();
    announcement.textContent = announcement.dataset.one;
    if (wasNear && !document.hidden) toTheEnd();
  }
  if (!wasNear && (came.added.length || (!hasTheEnd && came.count))) sayNewBelow();
  reading.watch();
  return came;
}

function sayNewBelow() {
  newBelow.textContent = newBelow.dataset.newWords;
  newBelow.hidden = false;
}

// -- trouble -------------------------------------------------------------------------------------

let isOver = false;
let lostTimer = null;

/** A stream ends every few minutes and reconnects at once, so only a longer interruption is reported. */
function connectionLost() {
  lostTimer ??= setTimeout(() => (lost.hidden = isOver), 4000);
}

function connectionBack() {
  clearTimeout(lostTimer);
  lostTimer = null;
  lost.hidden = true;
}

/** A request was answered. Unlike an event of an old stream, this proves that the user is still signed in. */
function answered() {
  connectionBack();
  uncover();
}

// -- another person at the same browser ----------------------------------------------------------

const coverage = document.createComment(""); // where the messages were
let scrolledTo = 0;

/** Take the messages off the page until the member it was made for is signed in again. What is being written stays. */
function cover(notice) {
  connectionBack();
  for (const each of [signedOut, notYours]) each.hidden = isOver || each !== notice;
  if (coverage.isConnected) return;
  scrolledTo = window.scrollY;
  rows.list.replaceWith(coverage);
  thread.hidden = newBelow.hidden = true;
  for (const dialog of document.querySelectorAll(".record-dialog")) if (!dialog.querySelector("textarea")) dialog.close();
}

function uncover() {
  signedOut.hidden = notYours.hidden = true;
  if (!coverage.isConnected) return;
  coverage.replaceWith(rows.list);
  thread.hidden = false;
  window.scrollTo({ top: scrolledTo });
}

document.addEventListener("not-yours", ({ detail }) => {
  const words = notYours.querySelector("[data-words]");
  if (words.textContent !== detail) words.textContent = detail; // read aloud once
  cover(notYours);
});

function shutOut() {
  isOver = true;
  stream?.close();
  answered();
  document.querySelector("[data-shut-out]").hidden = false;
  document.querySelector("[data-composer]")?.setAttribute("inert", "");
  rows.list.replaceChildren(); // messages that may not be read any more must not stay on the screen
}

function explain(error) {
  if (error instanceof Gone) shutOut();
  else if (error instanceof SignedOut) cover(signedOut);
  else if (!(error instanceof NotYours)) connectionLost();
}

// -- new messages --------------------------------------------------------------------------------

let stream = null;
let comeBack = null;
let catchingUp = Promise.resolve();
let askAgain = null;
let missedSince = Infinity; // changes after this revision may be missing

/** Request what changed since `revision`, unless the page has reached the revision `wanted` by the time of its turn. */
function catchUp(wanted = Infinity) {
  // One request at a time. Calls that come meanwhile wait for their turn.
  catchingUp = catchingUp.then(async () => {
    if (isOver || wanted <= revision) return;
    revision = Math.min(revision, missedSince);
    missedSince = Infinity;
    try {
      let came;
      do {
        came = take(await fetchRows(`since=${revision}&from=${rows.first}`));
        revision = Math.max(revision, came.revision);
      } while (came.count === PAGE_LENGTH);
      reach(Number(came.now.dataset.revision), () => forecast.show(came.now.innerHTML));
    } catch (error) {
      explain(error);
      // If the stream is still alive, nothing else would repeat the failed request.
      clearTimeout(askAgain);
      if (!isOver) askAgain = setTimeout(() => catchUp(), ASK_AGAIN_AFTER);
    }
  });
  return catchingUp;
}

/** The page has reached this revision, for which `showForecast` shows the forecast. */
function reach(reached, showForecast) {
  if (reached >= revision) showForecast();
  revision = Math.max(revision, reached);
}

/** Apply an event, which contains the changes since an earlier revision; if the page lacks that one, request them. */
function hear(news) {
  if (news.html === undefined || news.since > revision) return catchUp(news.revision);
  if (isOver || news.revision <= revision) return;
  take(news.html);
  reach(news.revision, () => forecast.tell(news.forecast));
  connectionBack();
}

function listen() {
  stream?.close();
  clearTimeout(comeBack);
  if (isOver || document.hidden) return;
  stream = openStream(thread.dataset.streamUrl);
  stream.addEventListener("open", () => catchUp());
  stream.addEventListener("changed", (event) => hear(JSON.parse(event.data)));
  stream.addEventListener("gone", shutOut);
  stream.addEventListener("error", () => {
    connectionLost();
    if (stream.readyState !== EventSource.CLOSED) return; // EventSource reconnects by itself
    catchUp(); // the response was not a stream; an ordinary request finds out why
    comeBack = setTimeout(listen, 5000);
  });
}

listen();
// A browser opens at most six connections to a host, so a tab in the background closes its stream.
document.addEventListener("visibilitychange", listen);
window.addEventListener("online", () => catchUp());

newBelow.addEventListener("click", (event) => {
  if (!hasTheEnd) return; // follow the link to the newest messages
  event.preventDefault();
  toTheEnd();
  newBelow.hidden = true;
});
let staysAtTheEnd = false;
document.addEventListener("scroll", () => {
  staysAtTheEnd = isNearTheEnd();
  if (staysAtTheEnd) newBelow.hidden = true;
});
// Opening a keyboard or shrinking the window should not move the newest message off the screen.
window.addEventListener("resize", () => staysAtTheEnd && toTheEnd());

// The target of scrolling is below the page head, whatever its height.
const head = document.querySelector(".page-top");
new ResizeObserver(() =>
  document.documentElement.style.setProperty("--head", `${head.offsetHeight + parseFloat(getComputedStyle(head).top)}px`),
).observe(head);

// -- where the page opens ------------------------------------------------------------------------

const target = location.hash && document.getElementById(location.hash.slice(1));
const firstUnread = document.getElementById("new");
if (target || firstUnread) (target || firstUnread).scrollIntoView({ block: target ? "center" : "start" });
else if (hasTheEnd) toTheEnd();
if (!hasTheEnd) {
  newBelow.textContent = newBelow.dataset.words;
  newBelow.hidden = false;
}
reading.watch();

// -- older and newer messages ----------------------------------------------------------------------

/** Load when the link is scrolled into view or pressed. `load` resolves to whether there is nothing more to load. */
function loadOnReaching(link, load) {
  if (!link) return;
  let loading = null;
  const loadOnce = () =>
    (loading ??= load()
      .then((isAll) => isAll && link.parentElement.remove())
      .catch(explain)
      .finally(() => (loading = null)));
  link.addEventListener("click", (event) => {
    event.preventDefault();
    loadOnce();
  });
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) loadOnce();
  }).observe(link);
}

/** Insert a page of messages above or below those that the page has. */
async function load(query) {
  const before = revision;
  const html = await fetchRows(query);
  const came = rows.place(html);
  // An event that arrived in the meantime may have changed messages that were not on the page yet: catch up again.
  if (revision > before) {
    missedSince = Math.min(missedSince, before);
    catchUp();
  }
  return came;
}

loadOnReaching(thread.querySelector("[data-older]"), async () => {
  const heightBefore = document.documentElement.scrollHeight;
  await load(`before=${rows.first}`);
  window.scrollBy(0, document.documentElement.scrollHeight - heightBefore);
  return rows.first === 1;
});

loadOnReaching(thread.querySelector("[data-newer]"), async () => {
  const came = await load(`after=${rows.last}`);
  hasTheEnd = came.count < PAGE_LENGTH;
  if (hasTheEnd) newBelow.hidden = true;
  reading.watch();
  return hasTheEnd;
});

openMessageMenus(rows.list);
openDialogs(() => catchUp());

// -- posting -------------------------------------------------------------------------------------

new Composer(document.querySelector("[data-composer]"), {
  lastSequence: () => rows.last,
  onPosted: (html) => {
    if (!hasTheEnd) return location.assign(`${location.pathname}?latest`);
    answered();
    take(html);
    catchUp(); // for what posting has changed, without waiting for the stream
    toTheEnd();
    newBelow.hidden = true;
  },
  onReplaced: () => forecast.start(),
  onTrouble: (what) => {
    if (what === "gone") shutOut();
    else if (what === "signed-out") cover(signedOut);
    else if (what !== "not-yours") lost.hidden = false; // the user's own message was not sent: report it immediately
  },
});
