// The messages on the page: put where their sequence says, each once, whatever way they come.

const sequenceOf = (row) => Number(row.dataset.sequence);
const revisionOf = (row) => Number(row.dataset.revision);

export class Rows {
  constructor(list) {
    this.list = list;
  }

  get all() {
    return [...this.list.querySelectorAll("[data-sequence]")];
  }

  get first() {
    const row = this.list.querySelector("[data-sequence]");
    return row ? sequenceOf(row) : 0;
  }

  get last() {
    const all = this.all;
    return all.length ? sequenceOf(all[all.length - 1]) : 0;
  }

  /**
   * Put rendered messages where they belong: new ones in, those that are there replaced.
   * `from`, `upTo`: none before and after these sequence numbers are wanted. Returns the sequence numbers that were added,
   * how many came from `from` on, the highest revision that came, and `now`, the template that says what is so at the topic's own revision, where it came along.
   */
  place(html, { from = 0, upTo = Infinity } = {}) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    const came = { added: [], count: 0, revision: 0, now: holder.content.querySelector("[data-now]") };
    came.now?.remove();
    let divider = null;
    for (const item of [...holder.content.children]) {
      if (!item.dataset.sequence) {
        divider = item; // a day begins; it comes along with the message behind it
        continue;
      }
      came.revision = Math.max(came.revision, revisionOf(item));
      if (sequenceOf(item) >= from) {
        came.count += 1;
        if (sequenceOf(item) <= upTo) this.#put(item, divider, came.added);
      }
      divider = null;
    }
    this.#dropRepeatedDays();
    return came;
  }

  #put(item, divider, added) {
    const there = document.getElementById(item.id);
    if (there && revisionOf(there) > revisionOf(item)) return; // an answer that an event has overtaken
    if (there?.querySelector(".message-menu")) {
      // Its menu is open and stays: only what is said in the message and about it is replaced.
      for (const part of [".message-body, .message-removed", ".message-outcome"]) {
        there.querySelector(part).replaceWith(item.querySelector(part));
      }
      there.dataset.revision = item.dataset.revision;
      return;
    }
    if (there) {
      const hadFocus = there.contains(document.activeElement);
      there.replaceWith(item);
      if (hadFocus) item.querySelector("article").focus({ preventScroll: true });
      return;
    }
    let place = this.all.find((row) => sequenceOf(row) > sequenceOf(item)) ?? null;
    // What stands above a message belongs to it: the day that it begins, the line of the first unread one.
    while (place?.previousElementSibling && !place.previousElementSibling.dataset.sequence) {
      place = place.previousElementSibling;
    }
    if (divider) this.list.insertBefore(divider, place);
    this.list.insertBefore(item, place);
    added.push(sequenceOf(item));
  }

  // A page begins with its day; with older messages above it that day has been said already.
  #dropRepeatedDays() {
    let day = null;
    for (const divider of this.list.querySelectorAll("[data-day]")) {
      if (divider.dataset.day === day) divider.remove();
      day = divider.dataset.day;
    }
  }
}
