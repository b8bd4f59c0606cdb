/**
 * Formats one pool: sizes first, then what keeps it from scaling. Pure.
 */
import { countOf } from "../schema/article.ts";
import type { PlaceView } from "../reconciler/http/view/place.ts";
import type { DecisionView, QueueView } from "../reconciler/http/view/scaling.ts";
import type { MembersView } from "../reconciler/http/view/member.ts";
import type { PoolStatusView } from "../schema/api.ts";
import { formatAge, formatTime } from "./age.ts";
import { formatPoolCost } from "./cost-view.ts";
import { formatBreaker } from "./safety-view.ts";
import { formatLabels, formatTable, plain, type Style } from "./table.ts";
import { formatHold } from "./veto.ts";

/** Older control planes send none of them. */
type Status = PoolStatusView & {
  queue?: QueueView | null;
  cannot_scale_up?: string | null;
  decision?: DecisionView | null;
  places?: readonly PlaceView[];
};

/** More are in `-o json`. */
const PLACES_SHOWN = 24;

export function formatPoolStatus(status: Status, nowMs: number, style: Style): string {
  const optional: [string, number | null | undefined][] = [
    ["Pending Jobs", status.pending_jobs],
    ["Queue Depth", status.queue_depth],
  ];
  const labels = formatLabels(
    [
      ["Pool", status.name],
      ["Desired", `${status.desired} (${status.min_nodes} to ${status.max_nodes})`],
      ["Nodes", String(status.total_nodes)],
      ["Healthy", String(status.healthy_nodes)],
      ["Unhealthy", String(status.unhealthy_nodes)],
      ["Cordoned", String(status.cordoned_nodes)],
      ["Provisioning", String(status.provisioning)],
      ["Draining", String(status.draining)],
      ["Can Scale Up", formatCanGrow(status)],
      ["Can Scale Down", status.can_scale_down ? "yes" : "no"],
      ["Last Scale", formatAge(status.last_scale_at, nowMs)],
      ...optional.flatMap(([label, value]): [string, string][] =>
        value === null || value === undefined ? [] : [[label, String(value)]],
      ),
      ...formatQueue(status.queue ?? null, nowMs),
      ...(typeof status.utilization === "number"
        ? [["Utilization", `${Math.round(status.utilization)} %`] as const]
        : []),
      ...formatDecision(status.decision ?? null, nowMs),
      ...(status.cost === undefined ? [] : [["Cost", formatPoolCost(status.cost)] as const]),
    ],
    style,
  );
  const suspects = (status.suspects ?? []).map(({ place, failures, next_try: next }) => {
    const when = next === null ? "one at a time" : `next try ${formatTime(next)}`;
    return `Suspect: ${plain(place)}: ${failures} in a row did not come up, ${when}\n`;
  });
  const stops = [
    status.hold ? `Held: ${formatHold(status.hold)}\n` : "",
    ...(status.breakers ?? []).map((one) => `Breaker: ${formatBreaker(one)}\n`),
    ...suspects,
  ].join("");
  const conditions = status.conditions ?? [];
  const head = `${labels}${stops}${formatPlaces(status.places ?? [], nowMs, style)}`;
  if (conditions.length === 0) return head;
  return `${head}Conditions:\n${conditions.map((text) => `  ${plain(text)}\n`).join("")}`;
}

/** A pool with one place that sells needs no table. */
function formatPlaces(places: readonly PlaceView[], nowMs: number, style: Style): string {
  const isPlain = places.length <= 1 && places.every(({ why }) => why === null);
  if (isPlain) return "";
  const shown = places.slice(0, PLACES_SHOWN);
  const rows = shown.map(({ place, nodes, price_per_hour: price, ...one }) => [
    plain(place),
    String(nodes),
    price === null ? "unknown" : `$${price.toFixed(2)}/h`,
    one.available === null ? "" : one.available ? "yes" : "none",
    formatAge(one.seen_at, nowMs),
    one.rest_until === null ? "" : formatTime(one.rest_until),
    one.why === null ? "" : plain(one.why),
  ]);
  const head = ["Place", "Nodes", "Price", "Capacity", "Read", "Rests Until", "Last Refusal"];
  const more = places.length - shown.length;
  const rest = more === 0 ? "" : `${countOf(more, "more place")}: -o json\n`;
  return `${formatTable(head, rows, style)}${rest}`;
}

function formatCanGrow(status: Status): string {
  const { can_scale_up: can, cannot_scale_up: whyNot = null, desired, max_nodes: max } = status;
  if (can) return "yes";
  if (whyNot !== null) return `no (${plain(whyNot)})`;
  return desired < max ? "no" : `no (at its maximum of ${max === 1 ? "1 node" : `${max} nodes`})`;
}

function formatDecision(decision: DecisionView | null, nowMs: number): [string, string][] {
  if (decision === null) return [];
  const { verdict, because, at } = decision;
  return [["Autoscaler", `${plain(verdict)}: ${plain(because)} (${formatAge(at, nowMs)})`]];
}

/** The queue in GPUs if it counts GPUs, and its source. */
function formatQueue(queue: QueueView | null, nowMs: number): [string, string][] {
  if (queue === null) return [];
  const gpus = `${queue.gpu_depth}, ${queue.pending_gpus} of them waiting`;
  const source = `${plain(queue.source)}, ${formatAge(queue.observed_at, nowMs)}`;
  const counted: [string, string][] = queue.counts === "gpus" ? [["Queue GPUs", gpus]] : [];
  return [...counted, ["Queue Source", source]];
}

/** The target size, then one row for each member. */
export function formatMembers(view: MembersView, nowMs: number, style: Style): string {
  const head = [
    "Node ID",
    "State",
    "Phase",
    "Since",
    "Instance",
    "Provider ID",
    "K8s Node",
    "Error",
  ];
  const rows = view.members.map((one) => [
    one.node_id,
    one.state,
    one.phase,
    formatAge(one.since, nowMs),
    one.instance_id ?? "",
    one.provider_id ?? "",
    one.kubernetes_node ?? "",
    one.error === null ? "" : `${one.error.class}: ${one.error.message}`,
  ]);
  const size = `${view.target} (${view.min_nodes} to ${view.max_nodes})`;
  const labels = formatLabels(
    [
      ["Pool", view.name],
      ["Target", size],
      ["Members", String(rows.length)],
    ],
    style,
  );
  return rows.length === 0 ? labels : `${labels}${formatTable(head, rows, style)}`;
}
