/**
 * Pieces that pages share: instants, links, amounts, filters, links between pages of a table.
 * In foreign text, controls and marks of direction are visible; `html` escapes the rest. Pure.
 */
import { createHash } from "node:crypto";
import { html } from "hono/html";
import type { Suggestion } from "../../../schema/console/cluster.ts";
import { plainText } from "./kit.ts";
import type { Html, ReaderRole } from "./page.ts";

/** An empty cell. */
export const NOTHING: Html = html`<span class="none">–</span>`;

/** Text from anywhere. */
export function say(text: string | null | undefined): Html {
  const line = plainText(text ?? "");
  return line === "" ? NOTHING : html`${line}`;
}

/** An RFC 3339 instant. */
export function sayTime(at: string | null): Html {
  return at === null ? NOTHING : html`<time datetime="${at}">${formatTime(at)}</time>`;
}

/** An RFC 3339 instant, whose age the script shows instead. */
export function sayAge(at: string | null): Html {
  return at === null ? NOTHING : html`<time class="age" datetime="${at}">${formatTime(at)}</time>`;
}

const formatTime = (at: string): string => `${at.slice(0, 19).replace("T", " ")}Z`;

export function sayCount(count: number | null): Html {
  return count === null ? NOTHING : html`${count}`;
}

/** Dollars of at least a cent have two digits. */
export function formatDollars(dollars: number): string {
  return `$${dollars.toFixed(dollars !== 0 && Math.abs(dollars) < 0.01 ? 4 : 2)}`;
}

export function sayDollars(dollars: number | null): Html {
  return dollars === null ? NOTHING : html`${formatDollars(dollars)}`;
}

/** `path` with the values of `query` that are not empty. */
export function hrefOf(path: string, query: Readonly<Record<string, string | null>> = {}): string {
  const given = Object.entries(query).filter((one): one is [string, string] => Boolean(one[1]));
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}

/** `["fleet", "node", id]` as a path. */
export function pathOf(parts: readonly string[]): string {
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

export function sayLink(href: string, text: string): Html {
  return html`<a href="${href}">${plainText(text)}</a>`;
}

export function sayNode(id: string | null): Html {
  return id === null ? NOTHING : sayLink(pathOf(["fleet", "node", id]), id);
}

export function sayPool(name: string | null): Html {
  return name === null ? NOTHING : sayLink(pathOf(["fleet", "pool", name]), name);
}

const ID_CHARS_MAX = 80;

/** A row's id in the document, made of what the row is about. */
export function idOf(...parts: readonly string[]): string {
  const id = parts.map(encodeURIComponent).join(":");
  if (id.length <= ID_CHARS_MAX) return id;
  return `${parts[0]}:${createHash("sha256").update(id).digest("hex").slice(0, 24)}`;
}

/** A link to a confirmation page; `about` names the object for those who hear the page. */
export function sayAction(href: string, text: string, about: string): Html {
  const label = `${text} ${plainText(about)}`.trim();
  return html`<a class="button" href="${href}" aria-label="${label}">${text}</a>`;
}

export const mayAct = (role: ReaderRole): boolean => role !== "viewer";

export type Filter = {
  name: string;
  label: string;
  value: string | null;
  /** Possible values; absent = any text. */
  choices?: readonly string[];
  placeholder?: string;
};

/** A form that narrows a table by its URL; `kept` are parameters of other forms of the page. */
export function sayFilters(
  path: string,
  label: string,
  filters: readonly Filter[],
  kept: Readonly<Record<string, string | null>> = {},
): Html {
  const hidden = Object.entries(kept).map(([name, value]) => {
    return value === null ? "" : html`<input type="hidden" name="${name}" value="${value}">`;
  });
  return html`<form class="line" method="get" action="${path}" role="search"
    aria-label="${label}">
    ${hidden}${filters.map(sayFilter)}
    <button type="submit">Filter</button>
    <a href="${path}">Clear</a>
  </form>`;
}

function sayFilter({ name, label, value, choices, placeholder }: Filter): Html {
  const given = value ?? "";
  if (choices === undefined) {
    return html`<label>${label}
      <input type="text" name="${name}" value="${given}" placeholder="${placeholder ?? ""}"
        maxlength="200"></label>`;
  }
  const unlisted = given !== "" && !choices.includes(given) ? [given] : [];
  return html`<label>${label}
    <select name="${name}">
      <option value="">any</option>
      ${[...unlisted, ...choices].map((one) => sayOption(one, one === given))}
    </select></label>`;
}

function sayOption(value: string, isChosen: boolean): Html {
  const text = plainText(value);
  if (isChosen) return html`<option value="${value}" selected>${text}</option>`;
  return html`<option value="${value}">${text}</option>`;
}

/** Likely causes and what to do, folded. */
export function saySuggestions(suggestions: readonly Suggestion[]): Html {
  if (suggestions.length === 0) return NOTHING;
  const items = suggestions.map(({ cause, resolution }) => {
    return html`<li>${plainText(cause)} ${plainText(resolution)}</li>`;
  });
  return html`<details><summary>What it may be</summary><ul>${items}</ul></details>`;
}

/** Links below a table that goes back in time; `null` if it has one page only. */
export function sayPager(
  what: string,
  path: string,
  query: Readonly<Record<string, string | null>>,
  from: { key: string; current: string | null; next: string | null },
): Html | null {
  const { key, current, next } = from;
  if (current === null && next === null) return null;
  const newest = hrefOf(path, { ...query, [key]: null });
  const older = hrefOf(path, { ...query, [key]: next });
  return html`<nav class="pager" aria-label="Pages of ${what}">
    ${current === null ? "" : html`<a href="${newest}">Newest</a>`}
    ${next === null ? "" : html`<a rel="next" href="${older}">Older</a>`}
  </nav>`;
}
