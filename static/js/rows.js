// The messages on the page: in the order of their sequence numbers, each once, whatever they were loaded by.

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
   * Insert rendered messages at their positions; those that exist are replaced.
   * Only sequence numbers between `from` and `upTo` are inserted. Returns the sequence numbers that were `added`, the
   * `count` of messages starting at `from`, the highest `revision`, and `now`: the template with the state of the topic
   * at its latest revision, if the HTML contains it.
   */
  place(html, { from = 0, upTo = Infinity } = {}) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    const came = { added: [], count: 0, revision: 0, now: holder.content.querySelector("[data-now]") };
    came.now?.remove();
    let divider = null;
    for (const item of [...holder.content.children]) {
      if (!item.dataset.sequence) {
        divider = item; // the heading of a day; it is inserted with the message after it
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
    const there = this.list.querySelector(`#${item.id}`); // the list may be off the page for a while
    if (there && revisionOf(there) > revisionOf(item)) return; // the page already has a newer version from an event
    if (there) return this.#renew(there, item);
    let place = this.all.find((row) => sequenceOf(row) > sequenceOf(item)) ?? null;
    // What is directly above a message belongs to it: the heading of its day, the line above the first unread message.
    while (place?.previousElementSibling && !place.previousElementSibling.dataset.sequence) {
      place = place.previousElementSibling;
    }
    if (divider) this.list.insertBefore(divider, place);
    this.list.insertBefore(item, place);
    added.push(sequenceOf(item));
  }

  // Updated in place, because the user may be using it: focus, a pressed link, an open menu, selected text.
  #renew(there, item) {
    const hadFocus = there.contains(document.activeElement);
    for (const { name, value } of item.attributes) there.setAttribute(name, value);
    const [body, newBody] = [there, item].map((row) => row.querySelector(".message-body, .message-removed"));
    if (body.id) newBody.id = body.id; // aria-labelledby refers to it
    if (!body.isEqualNode(newBody)) body.replaceWith(newBody);
    const [edited, newEdited] = [there, item].map((row) => row.querySelector(".message-edited"));
    if (edited && !newEdited) edited.remove();
    if (newEdited && !edited) there.querySelector(".message-time").after(" ", newEdited);
    const [outcome, newOutcome] = [there, item].map((row) => row.querySelector(".message-outcome"));
    outcome.className = newOutcome.className;
    outcome.querySelector("a").textContent = newOutcome.textContent;
    if (hadFocus && !there.contains(document.activeElement)) there.querySelector("article").focus({ preventScroll: true });
  }

  // Each loaded page begins with the heading of its day. It is redundant if older messages of that day are above.
  #dropRepeatedDays() {
    let day = null;
    for (const divider of this.list.querySelectorAll("[data-day]")) {
      if (divider.dataset.day === day) divider.remove();
      day = divider.dataset.day;
    }
  }
}
