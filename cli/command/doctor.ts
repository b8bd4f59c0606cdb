/**
 * `navarch doctor`: checks the connection and the control plane, with advice for each problem.
 */
import type { Command } from "../command.ts";
import { diagnose } from "../diagnosis.ts";
import type { Diagnosis } from "../diagnosis-row.ts";
import { EXIT } from "../failure.ts";
import { show } from "../show.ts";
import { formatTable, type Style } from "../table.ts";

export const doctor: Command = {
  name: ["doctor"],
  usage: "",
  summary: "check the connection and the control plane's state",
  examples: ["navarch doctor"],
  more: "Exit 1 if anything failed; warnings do not count.",
  flags: [],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const found = await diagnose(context, client);
    await show(context, {
      data: found,
      names: found.map((one) => `${one.check}: ${one.outcome}`),
      human: (_wide, style) => formatDiagnoses(found, style),
    });
    return found.some((one) => one.outcome === "fail") ? EXIT.failed : EXIT.done;
  },
};

export function formatDiagnoses(found: readonly Diagnosis[], style: Style): string {
  const rows = found.map(({ outcome, check, message, advice }) => [
    outcome,
    check,
    advice === null ? message : `${message} → ${advice}`,
  ]);
  return formatTable(["Outcome", "Check", "Finding"], rows, style);
}
