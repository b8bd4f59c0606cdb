/**
 * `navarch simulate replay`: repeats saved decisions and shows those that this version makes
 * differently.
 */
import type { SavedHeader } from "../../reconciler/core/decide/saved-activation.ts";
import type { Difference, Part } from "../../simulator/replay/replay.ts";
import type { Command } from "../command.ts";
import { EXIT, type Failure, usage } from "../failure.ts";
import { show } from "../show.ts";
import { plain } from "../table.ts";

/** A line holds the workload of all nodes of a large fleet. */
const LINE_CHARS_MAX = 64 * 1024 * 1024;
/** Differences shown for one activation; `-o json` has all. */
const SHOWN_MAX = 20;

type Replayed = { activation: number; at: string; differences: Difference[] };
type Result = { header: SavedHeader; replayed: Replayed[] };

export const simulateReplay: Command = {
  name: ["simulate", "replay"],
  usage: "<file>",
  summary: "repeat saved decisions with this version",
  examples: ["navarch simulate replay activations.jsonl"],
  more:
    "The file comes from navarch support dump, of this or another version.\n" +
    "Exit 0 if all decisions are the same, 1 if any differs, 2 if the file cannot be used.",
  flags: [],
  words: { min: 1, max: 1 },
  reach: "offline",
  async run(context) {
    const [file = ""] = context.words;
    const result = await replayFile(file);
    if ("ok" in result) return result;
    const { version: saved_by, taken_at } = result.header;
    const different = result.replayed.filter(({ differences }) => differences.length > 0);
    await show(context, {
      data: { file, saved_by, taken_at, activations: result.replayed.length, different },
      names: different.map(({ activation }) => String(activation)),
      human: () => formatReplay(result, different),
    });
    return different.length === 0 ? EXIT.done : EXIT.failed;
  },
};

async function replayFile(file: string): Promise<Result | Failure> {
  const { linesOf, whyOf } = await import("../record.ts");
  const { BadFile, readSaved } = await import("../../simulator/replay/read.ts");
  const { replayActivation } = await import("../../simulator/replay/replay.ts");
  let header: SavedHeader | null = null;
  const replayed: Replayed[] = [];
  try {
    for (const read of readSaved(file, linesOf(file, LINE_CHARS_MAX))) {
      if (read.kind === "header") header = read.header;
      if (read.kind === "header" || header === null) continue;
      const { saved, nodes } = read;
      const at = new Date(saved.sight.now).toISOString();
      const differences = replayActivation(saved, nodes, header.config);
      replayed.push({ activation: replayed.length + 1, at, differences });
    }
  } catch (error) {
    return usage(error instanceof BadFile ? error.message : `${file}: ${whyOf(error)}`);
  }
  return header === null ? usage(`${file}: the file is empty`) : { header, replayed };
}

function formatReplay({ header, replayed }: Result, different: readonly Replayed[]): string {
  const { version, commit } = header;
  const by = `saved by navarch ${version} (${commit}) at ${header.taken_at}`;
  const lines = [`${replayed.length} activations, ${by}`];
  for (const { activation, at, differences } of different) {
    lines.push(`activation ${activation}, ${at}: decided otherwise`);
    for (const one of differences.slice(0, SHOWN_MAX)) lines.push(...formatDifference(one));
    const more = differences.length - SHOWN_MAX;
    if (more > 0) lines.push(`  and ${more} more (-o json shows all)`);
  }
  const same = replayed.length - different.length;
  lines.push(`${same} decided as they were, ${different.length} otherwise`);
  return `${lines.map(plain).join("\n")}\n`;
}

function formatDifference({ round, subject, saved, now }: Difference): string[] {
  const place = round === null ? subject : `${subject}, round ${round}`;
  const brief = [saved, now].map((parts) => parts.map(formatPart).join("\n"));
  // Equal texts: a parameter differs, so show the whole.
  const format = brief[0] === brief[1] ? ({ what }: Part) => JSON.stringify(what) : formatPart;
  const side = (name: string, parts: readonly Part[]): string[] =>
    (parts.length === 0 ? ["nothing"] : parts.map(format)).map((line) => `    ${name} ${line}`);
  return [`  ${place}`, ...side("saved:", saved), ...side("now:  ", now)];
}

/** `effect cordon: XID 79`, `wait (budget): …`. */
function formatPart({ kind, what }: Part): string {
  const word = (value: unknown): string => (typeof value === "string" ? value : "");
  const kindIn = (value: unknown): string =>
    typeof value === "object" && value !== null && "kind" in value ? ` ${word(value.kind)}` : "";
  if (kind === "wait") return `wait (${word(what["reason"])}): ${word(what["message"])}`;
  if (kind !== "action") return `${kind}: ${word(what["message"])}`;
  const because = Array.isArray(what["because"]) ? what["because"].map(word).join("; ") : "";
  return `${word(what["kind"])}${kindIn(what["payload"] ?? what["to"])}: ${because}`;
}
