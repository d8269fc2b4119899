// The forecast line above the composer: counts down, and follows changes.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
// A longer countdown is not useful; the sentence names the time anyway.
const LONGEST_COUNTDOWN = 24 * HOUR;

function inWords(number, unit) {
  return new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit, unitDisplay: "short" }).format(number);
}

/** Hours and minutes, rounded up; seconds only in the last minute: a number that jumps draws the eye. */
function remaining(seconds) {
  if (seconds < MINUTE) return inWords(seconds, "second");
  const minutes = Math.ceil(seconds / MINUTE);
  const hours = Math.floor(minutes / 60);
  if (!hours) return inWords(minutes, "minute");
  return minutes % 60 ? `${inWords(hours, "hour")} ${inWords(minutes % 60, "minute")}` : inWords(hours, "hour");
}

export class Forecast {
  #timer = null;

  /** `find()` returns the element that contains the line. It may change, because the composer is replaced at times. */
  constructor(find) {
    this.find = find;
    this.start();
  }

  /** Show the line as the server rendered it. */
  show(html) {
    this.find().innerHTML = html;
    this.start();
  }

  /** Show the line from the data of an event, which contains only its words. */
  tell({ is_emailed: isEmailed, now, seconds, then }) {
    const blank = document.querySelector("[data-forecast-blank]").content.cloneNode(true);
    const [quiet, emailed, countdown] = blank.children;
    const line = isEmailed ? emailed.cloneNode(true) : quiet;
    line.dataset.seconds = seconds;
    line.querySelector("[data-words]").textContent = now;
    this.find().replaceChildren(line);
    if (seconds) {
      line.querySelector("[data-words]").append(" ", countdown);
      emailed.querySelector("[data-words]").textContent = then;
      emailed.dataset.then = "";
      emailed.hidden = true;
      line.after(emailed);
    }
    this.start();
  }

  /** Start the countdown, from the seconds in the line. */
  start() {
    clearInterval(this.#timer);
    const seconds = Number(this.find().querySelector("[data-seconds]")?.dataset.seconds ?? 0);
    if (!seconds) return;
    const end = Date.now() + seconds * 1000;
    const tick = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      if (left <= 0) return this.#turn();
      const countdown = this.find().querySelector("[data-countdown]");
      if (!countdown) return;
      countdown.textContent = left < LONGEST_COUNTDOWN ? countdown.dataset.countdown.replace("{time}", remaining(left)) : "";
    };
    this.#timer = setInterval(tick, 500);
    tick();
  }

  #turn() {
    clearInterval(this.#timer);
    const then = this.find().querySelector("[data-then]");
    if (!then) return;
    then.previousElementSibling.remove();
    then.hidden = false;
  }
}
