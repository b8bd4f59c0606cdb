/** Small pieces of pages: a status, an instant, links between pages of a table. Pure. */
import { html } from "hono/html";
import { cutText } from "../../../schema/cut-text.ts";
import type { Html, Tone } from "./page.ts";

/** A shape for each tone, for those who do not see the colour. */
const SHAPE: Record<Tone, string> = { ok: "●", busy: "◐", warn: "▲", bad: "✖", off: "○" };

/** A status: its shape, then the word. */
export const formatTone = (tone: Tone, word: string): Html =>
  html`<span class="tone ${tone}"
    ><span class="shape" aria-hidden="true">${SHAPE[tone]}</span>${plainText(word)}</span
  >`;

/** An instant as UTC text: `2026-11-23 19:00:00Z`. */
export const formatInstant = (at: number): Html =>
  html`<time datetime="${iso(at)}">${iso(at).slice(0, 19).replace("T", " ")}Z</time>`;

/** An instant whose age the script shows beside it and keeps right. */
export const formatAge = (at: number): Html =>
  html`<time class="age" datetime="${iso(at)}">${iso(at).slice(0, 19).replace("T", " ")}Z</time>`;

function iso(at: number): string {
  const date = new Date(Number.isFinite(at) ? at : 0);
  return Number.isNaN(date.getTime()) ? new Date(0).toISOString() : date.toISOString();
}

/**
 * Controls, and marks that turn the direction of text: they could make a name read as another; and
 * letters that no font shows, which a program would read.
 */
const HIDDEN = /[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu;

/** Beyond it a value ends with `…`: an API server keeps messages of any length. */
const TEXT_CHARS_MAX = 1_000;

/** A value from elsewhere, of bounded length. */
export const plainText = (text: string): string => visibleText(cutText(text, TEXT_CHARS_MAX));

/** Text of any length with control and direction characters made visible: `\u202e`. */
export function visibleText(text: string): string {
  return text.replace(HIDDEN, (one) => {
    if (one === "\n" || one === "\t") return one;
    const hex = (one.codePointAt(0) ?? 0).toString(16);
    return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, "0")}`;
  });
}

/** `/fleet?pool=a` with `next` set or, if `null`, removed; other parameters stay. */
export function withQuery(url: URL, next: Readonly<Record<string, string | null>>): string {
  const query = new URLSearchParams(url.searchParams);
  for (const [name, value] of Object.entries(next)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  return text === "" ? url.pathname : `${url.pathname}?${text}`;
}

/** Links to the pages of a table of `total` rows, which shows `size` from `page` (1 is first). */
export function formatPager(url: URL, page: number, size: number, total: number): Html | null {
  if (total <= size && page <= 1) return null;
  const last = Math.max(1, Math.ceil(total / size));
  const first = Math.min((page - 1) * size + 1, total);
  const link = (to: number, word: string): Html =>
    html`<a href="${withQuery(url, { page: to === 1 ? null : String(to) })}">${word}</a>`;
  return html`<span>${first}–${Math.min(page * size, total)} of ${total}</span>${
    page > 1 ? link(page - 1, "Previous") : ""
  }${page < last ? link(page + 1, "Next") : ""}`;
}
