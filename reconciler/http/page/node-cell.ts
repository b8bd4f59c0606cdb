/** Cells that pages of the fleet share: links, states, GPUs, prices, instants. Pure. */
import { html } from "hono/html";
import type { Verdict } from "../../../schema/policy.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { NodeState } from "../view/fleet.ts";
import type { GpuHealthView } from "../view/gpu.ts";
import { formatAge, formatTone, plainText } from "./kit.ts";
import type { Html, Tone } from "./page.ts";
import { parseInstant } from "../../../schema/instant.ts";

export const NOTHING: Html = html`<span class="soft">–</span>`;

export const pathOf = (...parts: string[]): string =>
  `/${parts.map((part) => encodeURIComponent(part)).join("/")}`;

export const nodePath = (id: string, ...more: string[]): string =>
  pathOf("fleet", "node", id, ...more);
export const poolPath = (name: string, ...more: string[]): string =>
  pathOf("fleet", "pool", name, ...more);
export const agentPoolPath = (namespace: string, name: string): string =>
  pathOf("fleet", "agentpool", namespace, name);

export const link = (href: string, text: string): Html =>
  html`<a href="${href}">${plainText(text)}</a>`;

export const nodeLink = (id: string | null): Html =>
  id === null ? NOTHING : link(nodePath(id), id);
export const poolLink = (name: string | null): Html =>
  name === null ? NOTHING : link(poolPath(name), name);

export function text(value: string | number | null | undefined): Html {
  if (value === null || value === undefined || value === "") return NOTHING;
  return html`${plainText(`${value}`)}`;
}

/** An instant of a view, with its age. */
export const since = (at: string | null | undefined): Html =>
  at === null || at === undefined ? NOTHING : formatAge(parseInstant(at));

export const perHour = (price: number | null): Html =>
  price === null ? html`<span class="soft">price unknown</span>` : html`$${price.toFixed(2)}/h`;

/** What the nodes of a pool cost; those of unknown price are not free. */
export function poolCost(cost: { per_hour: number; unknown_prices: number } | undefined): Html {
  if (cost === undefined) return perHour(null);
  const { per_hour: price, unknown_prices: unknown } = cost;
  if (unknown === 0) return perHour(price);
  if (price === 0) return perHour(null);
  return html`${perHour(price)} <span class="soft">+ ${unknown} of unknown price</span>`;
}

/** How long a step took: `850 ms`, `42 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatSpan(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const s = Math.round(ms / 1_000);
  if (s < 60) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return s % 60 === 0 ? `${min} min` : `${min} min ${s % 60} s`;
  const h = Math.floor(min / 60);
  return min % 60 === 0 ? `${h} h` : `${h} h ${min % 60} min`;
}

/** Terms and values, side by side. */
export function facts(pairs: readonly (readonly [string, Html])[]): Html {
  const each = pairs.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`);
  return html`<dl class="facts">${each}</dl>`;
}

export function list(lines: readonly string[], empty: Html = NOTHING): Html {
  if (lines.length === 0) return empty;
  if (lines.length === 1) return text(lines[0]);
  return html`<ul class="lines">${lines.map((line) => html`<li>${plainText(line)}</li>`)}</ul>`;
}

/** The first lines; the rest is on the page of the object. */
export function firstOf(lines: readonly string[], max: number, more: string): Html {
  if (lines.length <= max) return list(lines);
  const rest = link(more, `and ${lines.length - max} more`);
  return html`${list(lines.slice(0, max))} ${rest}`;
}

export function toneOfState(state: NodeState): Tone {
  switch (state) {
    case "held":
      return "bad";
    case "waiting":
    case "degraded":
    case "cordoned":
      return "warn";
    case "repair":
    case "starting":
      return "busy";
    case "serving":
      return "ok";
    case "leaving":
    case "gone":
      return "off";
    default:
      return unreachable(state);
  }
}

const STATE_WORDS: Record<NodeState, string> = {
  held: "held for a person",
  waiting: "repair waits",
  repair: "in repair",
  degraded: "degraded",
  cordoned: "cordoned",
  starting: "starting",
  leaving: "leaving",
  serving: "serving",
  gone: "gone",
};

export const stateWords = (state: NodeState): string => STATE_WORDS[state];
export const stateCell = (state: NodeState): Html =>
  formatTone(toneOfState(state), STATE_WORDS[state]);

const VERDICT_TONE: Record<Verdict, Tone> = {
  healthy: "ok",
  degraded: "warn",
  unhealthy: "bad",
  unknown: "off",
};
const VERDICTS: ReadonlyMap<string, Tone> = new Map(Object.entries(VERDICT_TONE));

export const verdictTone = (verdict: string): Tone => VERDICTS.get(verdict) ?? "off";
export const verdictCell = (verdict: string): Html => formatTone(verdictTone(verdict), verdict);

const GPU_SHAPE: Record<Verdict, string> = {
  healthy: "●",
  degraded: "▲",
  unhealthy: "✖",
  unknown: "○",
};

/** One mark a GPU, and in words what is not healthy; a reader of the page hears only the words. */
export function gpuStrip(gpus: readonly GpuHealthView[]): Html {
  if (gpus.length === 0) return html`<span class="soft">no GPUs reported</span>`;
  const runs: Html[] = [];
  let run = "";
  for (const [at, { verdict }] of gpus.entries()) {
    run += GPU_SHAPE[verdict];
    if (gpus[at + 1]?.verdict === verdict) continue;
    runs.push(html`<span class="${VERDICT_TONE[verdict]}">${run}</span>`);
    run = "";
  }
  const marks = html`<span aria-hidden="true" class="mono">${runs}</span>`;
  return html`<span class="gpus">${marks} ${sayGpus(gpus)}</span>`;
}

export function sayGpus(gpus: readonly GpuHealthView[]): string {
  const by = Map.groupBy(gpus, ({ verdict }) => verdict);
  const total = `${gpus.length} GPU${gpus.length === 1 ? "" : "s"}`;
  const parts = (["unhealthy", "degraded", "unknown"] as const).flatMap((verdict) => {
    const some = by.get(verdict) ?? [];
    if (some.length === 0) return [];
    if (some.length === gpus.length) return [`all ${verdict}`];
    const names = some.map(({ index, uuid }) => index ?? uuid).join(", ");
    return [`GPU${some.length === 1 ? "" : "s"} ${names} ${verdict}`];
  });
  return parts.length === 0 ? `${total} healthy` : `${total}; ${parts.join("; ")}`;
}
