/**
 * `navarch plan`: shows pending actions, and what each wait is for. Changes nothing.
 */
import type { PlanView, SafetyView, WaitView } from "../../schema/api.ts";
import type { WaitReason } from "../../schema/plan.ts";
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
  const waiting = sortWaits(wide ? waits.map((wait) => [wait]) : groupWaits(waits)).map(rowOf);
  return [
    doing.length === 0
      ? "No actions pending\n"
      : formatTable(["Node ID", "Action", "What", "Because"], doing, style),
    waiting.length === 0
      ? ""
      : `\n${formatTable(["Waiting", "Reason", "Until", "Message"], waiting, style)}`,
  ].join("");
}

/** Waits that a person can end come first. */
const FIRST: readonly WaitReason[] = [
  "human",
  "blind",
  "breaker",
  "budget",
  "spend",
  "bootstrap_guard",
];

function sortWaits(groups: readonly WaitView[][]): WaitView[][] {
  const rank = (group: readonly WaitView[]): number => {
    const at = FIRST.findIndex((reason) => reason === group[0]?.reason);
    return at === -1 ? FIRST.length : at;
  };
  return [...groups].sort((a, b) => rank(a) - rank(b));
}

/** Groups equal waits of a pool: one full budget delays hundreds of nodes. */
function groupWaits(waits: readonly WaitView[]): WaitView[][] {
  const groups = new Map<string, WaitView[]>();
  for (const wait of waits) {
    const { pool, reason, message, node_id: node } = wait;
    const key = JSON.stringify([pool, reason, message, node === null]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [wait]);
    else group.push(wait);
  }
  return [...groups.values()];
}

/** Nodes named in a row of many. */
const NAMED_MAX = 3;

function rowOf(group: readonly WaitView[]): string[] {
  const [first] = group;
  const untils = group.flatMap(({ until }) => until ?? []).sort();
  const names = group.flatMap(({ node_id: node }) => node ?? []);
  const more = names.length > NAMED_MAX ? ", …" : "";
  const who =
    names.length > 1
      ? `${names.length} nodes: ${names.slice(0, NAMED_MAX).join(", ")}${more}`
      : (names[0] ?? first?.pool ?? "");
  return [who, first?.reason ?? "", formatTime(untils[0]), first?.message ?? ""];
}
