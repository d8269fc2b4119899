// The messages on the page: put where their sequence says, each once, whatever way they come.

const sequenceOf = (row) => Number(row.dataset.sequence);

export class Rows {
  constructor(list) {
    this.list = list;
  }

  get first() {
    const row = this.list.querySelector("[data-sequence]");
    return row ? sequenceOf(row) : 0;
  }

  get last() {
    const rows = this.list.querySelectorAll("[data-sequence]");
    return rows.length ? sequenceOf(rows[rows.length - 1]) : 0;
  }

  /** The first message after a sequence number whose mails are on their way; null: there is none. */
  onItsWayAfter(sequence) {
    for (const line of this.list.querySelectorAll("[data-on-its-way]")) {
      const found = sequenceOf(line.closest("[data-sequence]"));
      if (found > sequence) return found;
    }
    return null;
  }

  /** Add rendered messages, older or newer than those there; returns how many were new. */
  add(html) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    const isOlder = this.#isOlder(holder.content);
    const place = isOlder ? this.list.firstElementChild : null;
    let added = 0;
    let divider = null;
    for (const item of [...holder.content.children]) {
      if (!item.dataset.sequence) {
        divider = item; // a day begins; it comes along with the message behind it
        continue;
      }
      const there = document.getElementById(item.id);
      if (there) {
        // What became of its mails goes on after it was posted.
        there.querySelector(".message-outcome").replaceWith(item.querySelector(".message-outcome"));
      } else {
        if (divider) this.list.insertBefore(divider, place);
        this.list.insertBefore(item, place);
        added += 1;
      }
      divider = null;
    }
    if (isOlder) this.#dropRepeatedDays();
    return added;
  }

  // A page begins with its day; with older messages above it that day has been said already.
  #dropRepeatedDays() {
    let day = null;
    for (const divider of this.list.querySelectorAll("[data-day]")) {
      if (divider.dataset.day === day) divider.remove();
      day = divider.dataset.day;
    }
  }

  #isOlder(fragment) {
    const incoming = fragment.querySelector("[data-sequence]");
    return incoming !== null && this.first > 0 && sequenceOf(incoming) < this.first;
  }
}
