// Texts that were not sent yet, kept on this device: one for each person, tenancy and topic
// (docs/decisions/0020-drafts.md). A device that keeps nothing is no reason to keep anybody from writing.

const DAYS_KEPT = 30;

function attempt(work) {
  try {
    return work();
  } catch {
    return null; // no storage, a full one, or something else than a draft in it
  }
}

export const readDraft = (key) => attempt(() => JSON.parse(localStorage.getItem(key)));

export const removeDraft = (key) => attempt(() => localStorage.removeItem(key));

/** Returns whether it is kept. */
export function keepDraft(key, text, clientId) {
  const draft = { text, clientId, at: Date.now() };
  return attempt(() => localStorage.setItem(key, JSON.stringify(draft)) ?? true) === true;
}

const keysFrom = (prefix) => attempt(() => Object.keys(localStorage).filter((key) => key.startsWith(prefix))) ?? [];

/** Take every draft off this device whose key begins so. */
export function forgetDrafts(prefix) {
  for (const key of keysFrom(prefix)) removeDraft(key);
}

export function forgetOldDrafts() {
  const oldest = Date.now() - DAYS_KEPT * 24 * 60 * 60 * 1000;
  for (const key of keysFrom("draft:")) if (!(readDraft(key)?.at > oldest)) removeDraft(key);
}
