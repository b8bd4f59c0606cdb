/**
 * `navarch policy test`: shows which rule decides each event of a file, and the verdict; with
 * `--replay`, what the policy would have done with the fleet (`policy-replay.ts`).
 */
import type { Command, Context } from "../command.ts";
import { EXIT, failure, usage } from "../failure.ts";
import { textFlag } from "../flag.ts";
import type { Judged, Rehearsal } from "../rehearsal.ts";
import { show } from "../show.ts";
import { formatTable, type Style } from "../table.ts";
import { REPLAY_FLAGS, replay } from "./policy-replay.ts";
import { formatHold } from "./policy-show.ts";

/** A larger file is a whole log, which the user must shorten first. */
const EVENTS_BYTES_MAX = 16 * 1024 * 1024;

export const policyTest: Command = {
  name: ["policy", "test"],
  usage: "<file> --events E",
  summary: "try a health policy on events",
  examples: [
    "navarch policy test policy.yaml --events events.jsonl",
    "navarch policy test policy.yaml --replay 7d",
  ],
  more:
    'E holds one JSON object per line: a finding, {"kind":"xid","code":79}, or an event as\n' +
    'conditions see it, {"event_type":"xid","metrics":{"xid_code":79}}; - is standard input.\n' +
    "--replay SINCE (24h, 7d or an RFC 3339 time) shows the nodes that this policy would have\n" +
    "cordoned or replaced since then, beside those of the active policy.",
  flags: [
    textFlag("events", "E", "file of events, one JSON object per line"),
    textFlag("pool", "P", "the node's pool, for rules limited to pools"),
    ...REPLAY_FLAGS,
  ],
  words: { min: 1, max: 1 },
  lasts: (flags) => flags.text("replay") !== null,
  reach: "offline",
  async run(context) {
    const { openRules } = await import("../policy-file.ts");
    const { sayProblems } = await import("../problem-view.ts");
    const { parseEvents, rehearse } = await import("../rehearsal.ts");
    const { flags, words, world } = context;
    const events = flags.text("events");
    const replays = flags.text("replay") !== null || flags.text("replay-file") !== null;
    if ((events === null) === !replays) {
      return usage("policy test needs --events E or --replay SINCE (see help policy test)");
    }
    const { compiled, problems } = await openRules(words[0] ?? "");
    sayProblems(context, problems);
    if (compiled === null) return EXIT.usage;
    if (events === null) return replay(context, compiled);
    const text = await readEvents(events);
    if (text === null) return usage(`--events ${events}: cannot be read`);
    const parsed = parseEvents(events, text);
    for (const problem of parsed.problems) world.err(`${problem}\n`);
    if (parsed.problems.length > 0) return usage(`--events ${events}: not every line is an event`);
    const rehearsal = rehearse(compiled, parsed.findings, flags.text("pool") ?? "");
    await showRehearsal(context, compiled.policy, rehearsal);
    const [first] = rehearsal.errors;
    if (first === undefined) return EXIT.done;
    const message = `rule "${first.rule}" failed: ${first.message}`;
    return failure(EXIT.failed, "policy_error", message, { errors: rehearsal.errors });
  },
};

async function readEvents(path: string): Promise<string | null> {
  const { readDisk } = await import("../../reconciler/config/open.ts");
  const answer = await readDisk(path === "-" ? "/dev/stdin" : path, EVENTS_BYTES_MAX);
  return answer.ok ? new TextDecoder().decode(answer.bytes) : null;
}

async function showRehearsal(
  context: Context,
  policy: { name: string; hash: string },
  { judged, shadows, verdict, errors }: Rehearsal,
): Promise<void> {
  const data = {
    policy: policy.name,
    hash: policy.hash,
    verdict,
    events: judged.map(({ line, finding, judgement }) => ({
      line,
      kind: finding.kind,
      code: finding.code ?? null,
      gpu_index: finding.gpu_index ?? null,
      rule: judgement.rule,
      result: judgement.result,
      hold: formatHold(judgement.hold),
      action: judgement.action,
      definitive: judgement.definitive,
      because: judgement.because,
    })),
    shadows: shadows.map(({ line, judgement }) => ({
      line,
      rule: judgement.rule,
      result: judgement.result,
      because: judgement.because,
    })),
    errors,
  };
  const human = (_wide: boolean, style: Style) =>
    formatTable(["Line", "Event", "Rule", "Result", "Hold", "Action"], judged.map(cellsOf), style) +
    shadows.map(sayShadow).join("") +
    `\nVerdict: ${verdict}\n`;
  await show(context, { data, names: [verdict], human });
}

function sayShadow({ line, judgement }: Rehearsal["shadows"][number]): string {
  return `Line ${line}: shadow rule ${judgement.rule} would say ${judgement.result}\n`;
}

function cellsOf({ line, finding, judgement }: Judged): string[] {
  const code = finding.code ?? finding.reason ?? null;
  const gpu = typeof finding.gpu_index === "number" ? ` on GPU ${finding.gpu_index}` : "";
  return [
    String(line),
    `${finding.kind}${code === null ? "" : ` ${code}`}${gpu}`,
    judgement.rule,
    judgement.result,
    formatHold(judgement.hold),
    judgement.action,
  ];
}
