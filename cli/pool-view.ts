/**
 * One pool as people read it: sizes first, then what keeps it from another size. Pure.
 */
import type { PoolStatusView } from "../schema/api.ts";
import { printAge, printTime } from "./age.ts";
import { printBreaker } from "./safety-view.ts";
import { plain, printLabels } from "./table.ts";
import type { Style } from "./table.ts";
import { printHold } from "./veto.ts";

export function printPoolStatus(status: PoolStatusView, nowMs: number, style: Style): string {
  const optional: [string, number | null | undefined][] = [
    ["Pending Jobs", status.pending_jobs],
    ["Queue Depth", status.queue_depth],
  ];
  const labels = printLabels(
    [
      ["Pool", status.name],
      ["Desired", `${status.desired} (${status.min_nodes} to ${status.max_nodes})`],
      ["Nodes", String(status.total_nodes)],
      ["Healthy", String(status.healthy_nodes)],
      ["Unhealthy", String(status.unhealthy_nodes)],
      ["Cordoned", String(status.cordoned_nodes)],
      ["Provisioning", String(status.provisioning)],
      ["Draining", String(status.draining)],
      ["Can Scale Up", status.can_scale_up ? "yes" : "no"],
      ["Can Scale Down", status.can_scale_down ? "yes" : "no"],
      ["Last Scale", printAge(status.last_scale_at, nowMs)],
      ...optional.flatMap(([label, value]): [string, string][] =>
        value === null || value === undefined ? [] : [[label, String(value)]],
      ),
      ...(typeof status.utilization === "number"
        ? [["Utilization", `${Math.round(status.utilization)} %`] as const]
        : []),
    ],
    style,
  );
  const suspects = (status.suspects ?? []).map(({ place, failures, next_try: next }) => {
    const when = next === null ? "one at a time" : `next try ${printTime(next)}`;
    return `Suspect: ${plain(place)}: ${failures} in a row did not come up, ${when}\n`;
  });
  const stops = [
    status.hold ? `Held: ${printHold(status.hold)}\n` : "",
    ...(status.breakers ?? []).map((one) => `Breaker: ${printBreaker(one)}\n`),
    ...suspects,
  ].join("");
  const conditions = status.conditions ?? [];
  if (conditions.length === 0) return `${labels}${stops}`;
  return `${labels}${stops}Conditions:\n${conditions.map((text) => `  ${plain(text)}\n`).join("")}`;
}
