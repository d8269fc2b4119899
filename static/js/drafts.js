// Drafts: unsent texts, stored on this device, one for each person, tenancy and topic (docs/decisions/0020-drafts.md).
// If a device can't store anything, writing still works.

const DAYS_KEPT = 30;

function attempt(work) {
  try {
    return work();
  } catch {
    return null; // no storage, storage full, or a value that is not a draft
  }
}

export const readDraft = (key) => attempt(() => JSON.parse(localStorage.getItem(key)));

export const removeDraft = (key) => attempt(() => localStorage.removeItem(key));

/** Returns whether the draft was stored. */
export function keepDraft(key, text, clientId) {
  const draft = { text, clientId, at: Date.now() };
  return attempt(() => localStorage.setItem(key, JSON.stringify(draft)) ?? true) === true;
}

const keysFrom = (prefix) => attempt(() => Object.keys(localStorage).filter((key) => key.startsWith(prefix))) ?? [];

/** Delete every draft on this device whose key starts with `prefix`. */
export function forgetDrafts(prefix) {
  for (const key of keysFrom(prefix)) removeDraft(key);
}

export function forgetOldDrafts() {
  const oldest = Date.now() - DAYS_KEPT * 24 * 60 * 60 * 1000;
  for (const key of keysFrom("draft:")) if (!(readDraft(key)?.at > oldest)) removeDraft(key);
}
