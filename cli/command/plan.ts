/**
 * `navarch plan`: shows pending actions, and what each wait is for. Changes nothing.
 */
import { groupWaits, sortWaits, type WaitGroup } from "../../reconciler/http/view/wait.ts";
import type { PlanView, SafetyView } from "../../schema/api.ts";
import { formatTime } from "../age.ts";
import type { Command } from "../command.ts";
import { formatStops } from "../safety-view.ts";
import { formatTable, plain, type Style } from "../table.ts";
import { WATCH_FLAG } from "../watch.ts";

export const plan: Command = {
  name: ["plan"],
  usage: "",
  summary: "show pending actions and what each waits for",
  examples: ["navarch plan"],
  more: "Identical waits share one row; -o wide shows each.",
  flags: [WATCH_FLAG],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const answer = await client.get<PlanView>("/plan", ["actions", "waits"]);
    if (!answer.ok) return answer;
    const { value } = answer;
    // The reasons are for people; older servers do not have them.
    const forPeople = context.format === "table" || context.format === "wide";
    const safety = forPeople ? await client.get<SafetyView>("/safety", ["breakers"]) : null;
    const stops = safety?.ok === true ? formatStops(safety.value) : formatOwn(value);
    return {
      data: value,
      names: value.actions.map((action) => `${action.node_id}/${action.kind}`),
      human: (wide, style) => stops + formatPlan(value, wide, style),
    };
  },
};

/** Pauses that the plan itself reports, for older servers. */
function formatOwn({ blind, frozen }: PlanView): string {
  const head = frozen === null || frozen === undefined ? "" : `Frozen: ${plain(frozen)}\n`;
  return [head, ...(blind ?? []).map((what) => `Blind: ${plain(what)}\n`)].join("");
}

function formatPlan({ actions, waits }: PlanView, wide: boolean, style: Style): string {
  const doing = actions.map((action) => [
    action.node_id,
    action.kind,
    action.what ?? "",
    (action.because ?? []).join("; "),
  ]);
  const each = waits.flatMap((wait) => groupWaits([wait]));
  const waiting = sortWaits(wide ? each : groupWaits(waits)).map(rowOf);
  return [
    doing.length === 0
      ? "No actions pending\n"
      : formatTable(["Node ID", "Action", "What", "Because"], doing, style),
    waiting.length === 0
      ? ""
      : `\n${formatTable(["Waiting", "Reason", "Until", "Message"], waiting, style)}`,
  ].join("");
}

/** Nodes named in a row of many. */
const NAMED_MAX = 3;

function rowOf({ nodes, pool, reason, until, message }: WaitGroup): string[] {
  const more = nodes.length > NAMED_MAX ? ", …" : "";
  const who =
    nodes.length > 1
      ? `${nodes.length} nodes: ${nodes.slice(0, NAMED_MAX).join(", ")}${more}`
      : (nodes[0] ?? pool ?? "");
  return [who, reason, formatTime(until), message];
}
