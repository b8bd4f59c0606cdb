/**
 * `navarch plan`: what the reconciler would do now, and what it does not do and why. Nothing is
 * done.
 */
import type { PlanView } from "../../schema/api.ts";
import { printTime } from "../age.ts";
import type { Command } from "../command.ts";
import { EXIT } from "../failure.ts";
import { show } from "../show.ts";
import { plain, printTable } from "../table.ts";
import type { Style } from "../table.ts";

export const plan: Command = {
  name: ["plan"],
  usage: "",
  summary: "show pending actions and what waits for what",
  flags: [],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const answer = await client.get<PlanView>("/plan", ["actions", "waits"]);
    if (!answer.ok) return answer;
    const { value } = answer;
    await show(context, {
      data: value,
      names: value.actions.map((action) => `${action.node_id}/${action.kind}`),
      human: (_wide, style) => printPlan(value, style),
    });
    return EXIT.done;
  },
};

function printPlan({ actions, waits, blind, frozen }: PlanView, style: Style): string {
  const doing = actions.map((action) => [
    action.node_id,
    action.kind,
    action.what ?? "",
    (action.because ?? []).join("; "),
  ]);
  const waiting = waits.map((wait) => [
    wait.node_id ?? wait.pool ?? "",
    wait.reason,
    printTime(wait.until),
    wait.message ?? "",
  ]);
  return [
    frozen === null || frozen === undefined ? "" : `Frozen: ${plain(frozen)}\n`,
    ...(blind ?? []).map((what) => `Blind: ${plain(what)}\n`),
    doing.length === 0
      ? "No actions pending\n"
      : printTable(["Node ID", "Action", "What", "Because"], doing, style),
    waiting.length === 0
      ? ""
      : `\n${printTable(["Waiting", "Reason", "Until", "Message"], waiting, style)}`,
  ].join("");
}
