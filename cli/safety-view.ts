/**
 * Formats the safety status: active pauses first, then how much of each limit is used. Pure.
 */
import { countOf } from "../schema/article.ts";
import type { BillView, BreakerView, RoomView, SafetyView } from "../schema/api.ts";
import type { FailureView } from "../schema/api-simulation.ts";
import { FAILURE_CLASSES } from "../schema/provider-failure.ts";
import { formatSpan, formatTime } from "./age.ts";
import { formatLabels, formatTable, plain, type Style } from "./table.ts";
import { formatHold } from "./veto.ts";
import { parseInstant } from "../schema/instant.ts";

/** One line for each active pause. */
export function formatStops(view: SafetyView): string {
  const quarantined = view.quarantined ?? [];
  return [
    view.frozen ? `Frozen: ${formatHold(view.frozen)}\n${view.frozen.effect}\n` : "",
    view.broken ? `Stopped: ${plain(view.broken)}\n` : "",
    ...(view.degraded ?? []).map(({ why }) => `Degraded: ${plain(why)}\n`),
    ...(view.blind ?? []).map((why) => `Blind: ${plain(why)}\n`),
    ...(view.holds ?? []).map((hold) => `Held: pool ${hold.pool} ${formatHold(hold)}\n`),
    ...(view.breakers ?? []).map((one) => `Breaker: ${formatBreaker(one)}\n`),
    ...(view.simulation ?? []).map(({ provider, failure }) => {
      return `On purpose: provider ${provider} fails ${formatFailure(failure)}\n`;
    }),
    ...quarantined.map(({ rule, why }) => `Quarantined: rule ${rule}: ${plain(why)}\n`),
  ].join("");
}

/** `pool:p is restrained since 2026-03-01T12:00:00Z: why`. */
export function formatBreaker({ scope, state, since, why }: BreakerView): string {
  return plain(`${scope} is ${state} since ${formatTime(since)}: ${why}`);
}

/** `(capacity: purchases refused: no capacity) until 2026-03-01T12:00:00Z`. */
export function formatFailure({ class: cls, until, calls_left: left }: FailureView): string {
  const calls = left === null ? "" : ` or for ${countOf(left, "more call")}`;
  return plain(`(${cls}: ${FAILURE_CLASSES[cls] ?? "unknown"}) until ${formatTime(until)}${calls}`);
}

export function formatSafety(view: SafetyView, nowMs: number, style: Style): string {
  const stops = formatStops(view);
  const waits = Object.entries(view.waits ?? {}).sort(([, a], [, b]) => b - a);
  const held = waits.map(([reason, count]) => `${count} ${reason}`).join(", ");
  const rate = (view.failure_rate ?? 0).toFixed(1);
  const labels = formatLabels(
    [
      ["Waiting", held === "" ? "none" : held],
      ["Failure Rate", `${rate} per 1000 node-days`],
      ["Quarantined GPUs", formatQuarantined(view)],
      ["Still Billed", formatBilled(view)],
    ],
    style,
  );
  return [
    view.simulation === undefined ? "" : "Simulation is enabled: faults may be on purpose\n",
    stops === "" ? "Nothing is stopped or slowed\n" : stops,
    `\n${labels}`,
    section(["Scope", "Rung", "Used", "At Most"], (view.budgets ?? []).map(roomRow), style),
    section(
      ["Isolations That No Budget Counts", "Nodes"],
      (view.uncounted ?? []).map(({ what, nodes }) => [what, String(nodes)]),
      style,
    ),
    section(
      ["Scope", "Instances", "At Most", "$/h", "At Most", "Unknown Prices"],
      (view.bills ?? []).map(billRow),
      style,
    ),
    section(
      ["Suspect Place", "Pool", "Failed In A Row", "Next Try"],
      (view.suspects ?? []).map((one) => {
        return [one.place, one.pool, String(one.failures), formatTime(one.next_try) || "now"];
      }),
      style,
    ),
    section(
      ["Billed Instance", "Node ID", "Provider", "Waits", "$/h"],
      (view.still_billed?.oldest ?? []).map((one) => [
        one.instance_id,
        one.node_id,
        one.provider,
        formatSpan(nowMs - parseInstant(one.since)),
        one.price_per_hour === null ? "?" : one.price_per_hour.toFixed(2),
      ]),
      style,
    ),
    section(
      ["Quarantined GPU", "Last Seen", "Refused", "Nodes", "Because"],
      (view.lemons?.newest ?? []).map((one) => [
        one.uuid,
        formatTime(one.last_at),
        String(one.refused),
        one.nodes.join(","),
        one.because,
      ]),
      style,
    ),
  ].join("");
}

/** A blank line and a table; empty without rows. */
function section(head: readonly string[], rows: readonly string[][], style: Style): string {
  return rows.length === 0 ? "" : `\n${formatTable(head, rows, style)}`;
}

function roomRow({ scope, rung, used, max }: RoomView): string[] {
  return [scope, rung, String(used), String(max)];
}

function billRow(bill: BillView): string[] {
  const dollars = (value: number | null): string => (value === null ? "" : value.toFixed(2));
  return [
    bill.scope,
    String(bill.instances),
    bill.instances_max === null ? "" : String(bill.instances_max),
    dollars(bill.per_hour),
    dollars(bill.per_hour_max),
    String(bill.unknown_prices),
  ];
}

/** `2 (1 purchase refused)`. */
function formatQuarantined({ lemons }: SafetyView): string {
  const refused = lemons?.refused ?? 0;
  return `${lemons?.count ?? 0} (${refused} ${refused === 1 ? "purchase" : "purchases"} refused)`;
}

function formatBilled({ still_billed: billed }: SafetyView): string {
  if (billed === undefined || billed.count === 0) return "none";
  const more = billed.unknown_prices === 0 ? "" : `, ${billed.unknown_prices} of unknown price`;
  return `${billed.count}, $${billed.per_hour.toFixed(2)}/h${more}`;
}
