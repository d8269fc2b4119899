// Every request of a script says whom its page was made for: while somebody else is signed in, the server refuses it
// (docs/decisions/0037-a-page-belongs-to-its-member.md). No other module calls fetch or opens a stream.

const { madeFor } = document.querySelector("[data-made-for]").dataset;

export const NOT_YOURS = 409;

/** As fetch. A refusal is also told to the document, as the event "not-yours" with its sentence. */
export async function ask(address, options = {}) {
  const headers = { "X-Requested-With": "fetch", "X-Made-For": madeFor };
  const answer = await fetch(address, { ...options, headers });
  if (answer.status === NOT_YOURS) {
    const detail = await answer.clone().text();
    document.dispatchEvent(new CustomEvent("not-yours", { detail }));
  }
  return answer;
}

export function openStream(address) {
  const url = new URL(address, location.href);
  url.searchParams.set("made_for", madeFor);
  return new EventSource(url);
}
