/** Pages of the frame itself: confirmation of an action, refusal, log-in. Pure. */
import { html } from "hono/html";
import type { Html, Page } from "./page.ts";

type Asked = Omit<Page, "blocks"> & {
  body: Html;
  fields: Html;
  button: string;
  danger?: boolean;
  back: string;
};

/** `key` makes a form that is sent twice one action. */
export function formatConfirmation(
  { title, nav, body, fields, button, danger = false, back }: Asked,
  { action, csrf, key }: { action: string; csrf: string; key: string },
): Page {
  const form = html`${body}
<form class="stack" method="post" action="${action}">
<input type="hidden" name="csrf" value="${csrf}">
<input type="hidden" name="key" value="${key}">
${fields}
<p class="actions"><button class="${danger ? "danger" : "main"}">${button}</button>
<a class="button" href="${back}">Back</a></p>
</form>`;
  const block = { id: "confirm", heading: "Confirm", kind: "text", body: form } as const;
  return { title, nav, blocks: [block] };
}

/** What happened, and what to do next. */
const NEXT: Readonly<Record<number, { title: string; advice: string }>> = {
  400: { title: "The request is not valid", advice: "Go back, correct it and send it again." },
  403: { title: "Not allowed", advice: "If a role is named, log in with a token of it." },
  404: { title: "Not found", advice: "It may have ended, or the address is misspelt." },
  409: { title: "Refused", advice: "Read the reason, then open the page again." },
  429: { title: "Too many requests", advice: "Wait a little, then open the page again." },
  500: { title: "Internal error", advice: "Look for the request id in the log." },
  503: { title: "Not available now", advice: "If it is busy or starts, open the page again soon." },
};
const OTHER = { title: "The request failed", advice: "Open the page again." };

export function formatRefusal(from: {
  code: string;
  status: number;
  message: string;
  request: string;
}): Page {
  const { title, advice } = NEXT[from.status] ?? OTHER;
  const body = html`<p>${from.message}.</p>
<p>${advice}</p>
<p><a href="/">Back to the console</a></p>
<p class="soft small">Status ${from.status}, code ${from.code}${
    from.request === "" ? "" : `, request ${from.request}`
  }</p>`;
  return { title, nav: "", blocks: [{ id: "why", heading: "What happened", kind: "text", body }] };
}

export function formatLogin(next: string, why: string | null): Page {
  const body = html`${why === null ? "" : html`<p class="notice bad" role="alert">${why}</p>`}
<form class="stack" method="post" action="/login">
<input type="hidden" name="next" value="${next}">
<label>Token
<input type="password" name="token" autocomplete="current-password" required autofocus
  spellcheck="false"${why === null ? "" : html` aria-invalid="true"`}></label>
<p class="actions"><button class="main">Log in</button></p>
</form>
<p class="soft">A token of role viewer, operator or admin. An administrator makes one with
<code>navarch token create --role viewer</code>; the session ends after 12 hours, and at once when
the token is revoked.</p>`;
  const block = { id: "login", heading: "Log in", kind: "text", body } as const;
  return { title: "Navarch console", nav: "", blocks: [block] };
}

/** Opened by a one-time link. The button posts the code: a preview of the link does not use it. */
export function formatOnce(code: string): Page {
  const body = html`<p>This link logs in once, as the person who made it.</p>
<form class="stack" method="post" action="/login/once">
<input type="hidden" name="code" value="${code}">
<p class="actions"><button class="main" autofocus>Log in</button></p>
</form>`;
  const block = { id: "login", heading: "One-time link", kind: "text", body } as const;
  return { title: "Navarch console", nav: "", blocks: [block] };
}
