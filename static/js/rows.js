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
    if (there) return this.#renew(there, item);
    let place = this.all.find((row) => sequenceOf(row) > sequenceOf(item)) ?? null;
    // What stands above a message belongs to it: the day that it begins, the line of the first unread one.
    while (place?.previousElementSibling && !place.previousElementSibling.dataset.sequence) {
      place = place.previousElementSibling;
    }
    if (divider) this.list.insertBefore(divider, place);
    this.list.insertBefore(item, place);
    added.push(sequenceOf(item));
  }

  // In place, for the reader may have hold of it: the focus, a pressed link, an open menu, words selected elsewhere in it.
  #renew(there, item) {
    const hadFocus = there.contains(document.activeElement);
    for (const { name, value } of item.attributes) there.setAttribute(name, value);
    const [body, newBody] = [there, item].map((row) => row.querySelector(".message-body, .message-removed"));
    if (body.id) newBody.id = body.id; // the message is named by its words
    if (!body.isEqualNode(newBody)) body.replaceWith(newBody);
    const [edited, newEdited] = [there, item].map((row) => row.querySelector(".message-edited"));
    if (edited && !newEdited) edited.remove();
    if (newEdited && !edited) there.querySelector(".message-time").after(" ", newEdited);
    const [outcome, newOutcome] = [there, item].map((row) => row.querySelector(".message-outcome"));
    outcome.className = newOutcome.className;
    outcome.querySelector("a").textContent = newOutcome.textContent;
    if (hadFocus && !there.contains(document.activeElement)) there.querySelector("article").focus({ preventScroll: true });
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
