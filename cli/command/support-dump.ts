/**
 * `navarch support dump`: saves the last activations of the control plane, each with its inputs and
 * decisions, to one file for `navarch simulate replay`.
 */
import type { Command } from "../command.ts";
import { checkPlace } from "../download.ts";
import { usage } from "../failure.ts";
import { textFlag } from "../flag.ts";
import { openProgress } from "../progress.ts";
import { plain } from "../table.ts";

const LAST_DEFAULT = "10";

export const supportDump: Command = {
  name: ["support", "dump"],
  usage: "",
  summary: "save the last decisions and their inputs",
  examples: ["navarch support dump --last 20 --out activations.jsonl"],
  more:
    "An activation is one turn of the control loop; turns without a new decision count as one.\n" +
    "Settings of providers and notifiers and setup commands are left out, and values that look\n" +
    "like secrets are hidden. The file holds names, addresses and messages of nodes: read it\n" +
    "before you share it. navarch simulate replay repeats the decisions.",
  flags: [
    textFlag("last", "N", `activations (default ${LAST_DEFAULT}, max 64)`),
    textFlag("out", "FILE", "output file (default navarch-<time>.jsonl)"),
  ],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const { flags, world } = context;
    const last = flags.text("last") ?? LAST_DEFAULT;
    if (!/^[1-9]\d?$/.test(last) || Number(last) > 64) {
      return usage(`--last: expected a whole number from 1 to 64, found "${last}"`);
    }
    const stamp = new Date(world.wallMs()).toISOString().replace(/[:.]/g, "-");
    const out = flags.text("out") ?? `navarch-${stamp}.jsonl`;
    const misplaced = checkPlace(out);
    if (misplaced !== null) return misplaced;
    const { SAVED_KIND } = await import("../../reconciler/core/decide/saved-activation.ts");
    const kind = { magic: `{"kind":"${SAVED_KIND}"`, name: "file of activations" };
    const progress = openProgress(world, "dump", "bytes");
    const path = `/admin/activations?last=${last}`;
    const answer = await client.download(path, out, kind, progress.show);
    progress.end();
    if (!answer.ok) return answer;
    const bytes = Bun.file(out).size;
    const human = (): string => `${plain(out)}  ${bytes} bytes\n`;
    return { data: { file: out, bytes }, names: [out], human };
  },
};
