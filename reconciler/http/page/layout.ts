/**
 * Renders a `Page` into a whole document: navigation, notice, reader, blocks. Blocks are rendered
 * by the same functions for the document and for the live stream. Pure.
 */
import { html, raw } from "hono/html";
import { joinRegion, type Region, snapshotOf } from "./diff.ts";
import { formatInstant, plainText, visibleText } from "./kit.ts";
import type { Block, Column, Html, Page, Row, Tone } from "./page.ts";

export type Entry = { path: string; label: string };

export type Notice = { tone: Tone; text: string };

/** What surrounds the blocks: the same document for another reader has another frame. */
export type Frame = {
  /** Addresses of the style sheet, the script and the icon. */
  assets: { style: string; script: string; icon: string };
  entries: readonly Entry[];
  /** `null` = not logged in. */
  reader: { name: string; role: string } | null;
  /** For the form that ends the session; `null` = no session to end. */
  csrf: string | null;
  notices: readonly Notice[];
  /** The address of the live stream of this page; `null` = the page does not change. */
  live: string | null;
  /** Wall milliseconds. */
  now: number;
};

export function formatPage(page: Page, frame: Frame): string {
  const { assets, reader, live } = frame;
  const regions = page.blocks.map(formatBlock);
  const blocks = raw(regions.map(joinRegion).join(""));
  const { version } = snapshotOf(page.title, regions);
  const liveAt = live === null ? "" : html` data-live="${live}" data-version="${version}"`;
  return `${html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${plainText(page.title)} – Navarch</title>
<link rel="icon" href="${assets.icon}" type="image/svg+xml">
<link rel="stylesheet" href="${assets.style}">
<script type="module" src="${assets.script}"></script>
</head>
<body${liveAt} data-now="${frame.now}">
<a class="skip" href="#main">Skip to the content</a>
<header class="top">
<a class="brand" href="/">Navarch</a>
${frame.entries.length === 0 ? "" : formatNavigation(frame.entries, page.nav)}
${reader === null ? "" : formatReader(reader, frame.csrf)}
</header>
<p id="live" class="live" role="status" hidden></p>
<main id="main" tabindex="-1">
<h1>${plainText(page.title)}</h1>
${frame.notices.map(formatNotice)}
<div id="blocks">${blocks}</div>
</main>
${frame.now === 0 ? "" : formatFooter(frame.now)}
</body>
</html>
`}`;
}

function formatNavigation(entries: readonly Entry[], current: string): Html {
  const items = entries.map(({ path, label }) => {
    const mark = path === current ? html` aria-current="page"` : "";
    return html`<li><a href="${path}"${mark}>${label}</a></li>`;
  });
  return html`<nav aria-label="Pages"><ul>${items}</ul></nav>`;
}

function formatReader({ name, role }: { name: string; role: string }, csrf: string | null): Html {
  const end =
    csrf === null
      ? ""
      : html`<form method="post" action="/logout"><input type="hidden" name="csrf" value="${csrf}"
        ><button>Log out</button></form>`;
  const who = name === role ? role : `${plainText(name)}, ${role}`;
  return html`<div class="reader"><span>${who}</span>${end}</div>`;
}

const formatNotice = ({ tone, text }: Notice): Html =>
  html`<p class="notice ${tone}" role="status">${plainText(text)}</p>`;

/**
 * A region with its heading. Control characters and marks of direction are made visible in all of
 * it: our own markup has none, and a page may forget one of its values.
 */
export function formatBlock(block: Block): Region {
  const { id, before, rows, after } = splitBlock(block);
  const plain = rows.map((row) => ({ id: row.id, html: visibleText(row.html) }));
  return { id, before: visibleText(before), rows: plain, after: visibleText(after) };
}

function splitBlock(block: Block): Region {
  const { id, heading } = block;
  const open = html`<section class="block" id="${id}" aria-labelledby="${id}-heading">
<h2 id="${id}-heading">${plainText(heading)}</h2>
`;
  const close = "\n</section>\n";
  if (block.kind === "text") return { id, before: `${open}${block.body}`, rows: [], after: close };
  const { above, columns, rows, empty, below } = block;
  const head = `${open}${above === null ? "" : html`<div class="above">${above}</div>`}`;
  const foot = `${below === null ? "" : html`<div class="below">${below}</div>`}${close}`;
  if (rows.length === 0) {
    const none = html`<p class="empty">${plainText(empty)}</p>`;
    return { id, before: `${head}${none}`, rows: [], after: foot };
  }
  const table = html`<div class="scroll" role="region" aria-labelledby="${id}-heading" tabindex="0">
<table role="table" aria-labelledby="${id}-heading">
<thead role="rowgroup"><tr role="row">${columns.map(formatHead)}</tr></thead>
<tbody role="rowgroup" id="${id}-rows">
`;
  return {
    id,
    before: `${head}${table}`,
    rows: rows.map((row) => ({ id: row.id, html: String(formatRow(row, columns)) })),
    after: `</tbody></table></div>${foot}`,
  };
}

const classOf = ({ align }: Column): Html | "" => (align === "right" ? html` class="number"` : "");

const formatHead = (column: Column): Html =>
  html`<th role="columnheader" scope="col"${classOf(column)}>${column.name}</th>`;

/** The explicit roles keep it a table to assistive software where the style shows cards. */
function formatRow({ id, cells, tone }: Row, columns: readonly Column[]): Html {
  const shown = columns.map((column, at) => {
    const name = html` data-label="${column.name}"${classOf(column)}`;
    const cell = html`<div>${cells[at] ?? ""}</div>`;
    return at === 0
      ? html`<th role="rowheader" scope="row"${name}>${cell}</th>`
      : html`<td role="cell"${name}>${cell}</td>`;
  });
  const mark = tone === undefined ? "" : html` class="${tone}"`;
  return html`<tr role="row" id="${id}"${mark}>${shown}</tr>
`;
}

const formatFooter = (now: number): Html =>
  html`<footer>Read at <span id="read-at">${formatInstant(now)}</span></footer>`;
