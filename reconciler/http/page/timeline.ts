/** A repair's steps in order: done with their times, the current one with its wait, those ahead. */
import { html } from "hono/html";
import type { RepairStep, RepairView } from "../view/repair.ts";
import { formatTone, plainText } from "./kit.ts";
import { formatSpan, nodeLink, since } from "./node-cell.ts";
import type { Block, Html } from "./page.ts";

export function timelineBlock(repair: RepairView | null): Block {
  const heading = headingOf(repair);
  if (repair === null) {
    const body = html`<p class="empty">No repair is under way, and none was recorded.</p>`;
    return { id: "repair", heading, kind: "text", body };
  }
  const { id, closed_at: closed, how, steps, replacement } = repair;
  const name = id === null ? "" : html`<code>${plainText(id)}</code>, `;
  const end =
    closed === null ? "" : html`, closed ${since(closed)}${how === null ? "" : html`: ${how}`}`;
  const by = replacement === null ? "" : html`. Replacement: ${nodeLink(replacement)}`;
  const body = html`<p>${name}since ${since(repair.since)}${end}${by}.</p>
<ol class="steps">${steps.map((step, at) => stepItem(step, steps[at - 1], repair))}</ol>`;
  return { id: "repair", heading, kind: "text", body };
}

function headingOf(repair: RepairView | null): string {
  if (repair === null) return "Repair";
  if (repair.closed_at !== null) return "Last repair";
  return repair.id === null ? "What is being done" : "Repair under way";
}

const LEVEL_TONE = { info: "ok", warn: "warn", error: "bad" } as const;
/** A shorter step says nothing about where the time goes. */
const TOOK_MS_MIN = 1_000;

/** A detail that the step before has told already is not repeated. */
function stepItem(step: RepairStep, before: RepairStep | undefined, repair: RepairView): Html {
  const { state, what, detail, node, actor, at, took_ms: took } = step;
  const where = node === null ? "" : html` <span class="soft">on ${nodeLink(node)}</span>`;
  const by = actor === null ? "" : html` <span class="soft">by ${plainText(actor)}</span>`;
  const isNew = detail !== null && detail !== "" && detail !== before?.detail;
  const more = isNew ? html`<br>${plainText(detail)}` : "";
  switch (state) {
    case "done": {
      const isLong = took !== null && took >= TOOK_MS_MIN;
      const span = isLong ? html`, took ${formatSpan(took)}` : "";
      return html`<li>${formatTone(LEVEL_TONE[step.level], what)}${where}${by}
<span class="soft">${since(at)}${span}</span>${more}</li>`;
    }
    case "now":
      return html`<li aria-current="step">${formatTone("busy", what)}${where}
<span class="soft">since ${since(at)}</span>${waits(repair)}</li>`;
    case "ahead":
      return html`<li>${formatTone("off", what)} <span class="soft">next</span></li>`;
  }
}

function waits({ waits: lines, until }: RepairView): Html {
  if (lines.length === 0) return html``;
  const next = until === null ? "" : html`<br>Next decision ${since(until)}.`;
  return html`<br>Waits for: ${lines.map((line) => html`${plainText(line)}. `)}${next}`;
}
