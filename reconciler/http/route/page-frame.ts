/**
 * What every answer of the console shares: headers, cookies, forms, and
 * errors as pages.
 */
import type { Context } from "hono";
import { ERROR_STATUS, type ErrorCode } from "../../../schema/api.ts";
import { ASSETS } from "../page/asset.ts";
import { formatRefusal } from "../page/form.ts";
import { formatPage } from "../page/layout.ts";
import type { Env } from "./route.ts";
import { Refusal } from "./request.ts";

export const SESSION_COOKIE = "navarch_session";
export const NOTICE_COOKIE = "navarch_notice";
export const NOTICE_CHARS_MAX = 400;

export const HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  "X-Content-Type-Options": "nosniff",
  // A form's post names its origin only if the page's policy lets it.
  "Referrer-Policy": "same-origin",
  "Cache-Control": "no-store",
  "Cross-Origin-Opener-Policy": "same-origin",
};

/** The refusal in an error answer of the API, in either of its shapes. */
export function refusalOf(said: unknown, status: number): Refusal {
  const { error, code } = (said ?? {}) as { error?: unknown; code?: unknown };
  const inner = typeof error === "object" && error !== null ? error : { message: error, code };
  const { message, code: named } = inner as { message?: unknown; code?: unknown };
  const known = typeof named === "string" && named in ERROR_STATUS ? (named as ErrorCode) : null;
  const text = typeof message === "string" ? message : `error ${status}`;
  return new Refusal(known ?? "internal", text);
}

/**
 * Whether the reader's connection is encrypted, so that a cookie may insist on that: here, or at
 * the proxy or standby in front, which says so. A reader that lies only loses its own cookie.
 */
export function isSecure(c: Context<Env>): boolean {
  // A list has the nearest proxy's word last; RFC 7239 names the field `Forwarded`.
  const said = c.req.header("X-Forwarded-Proto")?.split(",").at(-1)?.trim().toLowerCase();
  const forwarded = c.req.header("Forwarded")?.split(",").at(-1)?.toLowerCase() ?? "";
  const isSaid = said === "https" || /(?:^|;) {0,9}proto="?https"? {0,9}(?:;|$)/.test(forwarded);
  return c.req.url.startsWith("https:") || isSaid;
}

/** Fields of a posted form; of a repeated one the first. */
export async function readForm(c: Context<Env>): Promise<Map<string, string>> {
  const type = c.req.header("Content-Type") ?? "";
  if (!/^application\/x-www-form-urlencoded\b/i.test(type)) {
    throw new Refusal("invalid_argument", "expected a form (application/x-www-form-urlencoded)");
  }
  const form = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(await c.req.text())) {
    if (!form.has(name)) form.set(name, value);
  }
  return form;
}

/** An error that was answered before a request reached the pages, as a page. */
export async function asPage(answer: Response): Promise<Response> {
  if (answer.headers.get("content-type")?.startsWith("application/json") !== true) return answer;
  const { code, message } = refusalOf(await answer.json(), answer.status);
  const page = formatRefusal({ code, status: answer.status, message, request: "" });
  const html = formatPage(page, { ...BARE, assets: assetsOf(), now: 0 });
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  headers.set("Content-Type", "text/html; charset=utf-8");
  headers.delete("Content-Length");
  return new Response(html, { status: answer.status, headers });
}

const BARE = { entries: [], reader: null, csrf: null, notices: [], live: null };

export const assetsOf = () => {
  const { style, script, icon } = ASSETS;
  return { style: style.path, script: script.path, icon: icon.path };
};
