/**
 * Finds the authors that a name stands for. A person may have several tokens, named as they like
 * and some of them revoked: all whose label has the name are meant. Pure.
 */
import type { Credential } from "../../../schema/credential.ts";

/** Prefix of authors that are tokens. */
const TOKEN = "token:";
/** What `newId` makes. */
const RANDOM_CHARS = 12;

/** Letters and digits in groups: `Alice (laptop)` gives `alice-laptop`. */
export function slugOf(label: string): string {
  return label
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
}

/** Whole words of one within the other, in a row. */
function hasWords(slug: string, words: string): boolean {
  return words !== "" && `-${slug}-`.includes(`-${words}-`);
}

/**
 * `authors` are all of the audit's. The author of just that name is meant alone: `admin`,
 * `token:alice-KLm…`, or that token's id.
 */
export function authorsNamed(
  name: string,
  authors: readonly string[],
  credentials: readonly Credential[],
): string[] {
  const labels = new Map(credentials.map(({ id, label }) => [`${TOKEN}${id}`, label]));
  const own = authors.filter((who) => who.startsWith(TOKEN));
  const tokens = [...new Set([...labels.keys(), ...own])];
  const exact = [...authors, ...tokens].find((who) => who === name || who === `${TOKEN}${name}`);
  if (exact !== undefined) return [exact];
  const words = slugOf(name.startsWith(TOKEN) ? name.slice(TOKEN.length) : name);
  return tokens.filter((who) => {
    // The database forgets a token where it was lost; its id still begins with its label.
    const id = who.slice(TOKEN.length, -(RANDOM_CHARS + 1));
    return hasWords(slugOf(labels.get(who) ?? id), words);
  });
}
