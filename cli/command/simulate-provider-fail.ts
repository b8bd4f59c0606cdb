/** `navarch simulate provider-fail`: lets a simulated provider fail for a while, or ends that. */
import type { FailureView } from "../../schema/api-simulation.ts";
import { FAILURE, FAILURE_CLASSES } from "../../schema/provider-failure.ts";
import { formatDuration } from "../../schema/duration.ts";
import type { Command } from "../command.ts";
import { type Failure, unknownName, usage } from "../failure.ts";
import { type Flags, readSpan, switchFlag, textFlag } from "../flag.ts";
import { formatFailure } from "../safety-view.ts";

const CLASSES = Object.keys(FAILURE_CLASSES);

export const simulateProviderFail: Command = {
  name: ["simulate", "provider-fail"],
  usage: "--provider NAME --class CLASS",
  summary: "let a simulated provider fail for a while",
  examples: [
    "navarch sim provider-fail --provider fake --class capacity --for 5m",
    "navarch sim provider-fail --provider fake --clear",
  ],
  more:
    "Needs a control plane with simulation.enabled: true. A failure ends by itself: after\n" +
    "--for, after --calls failed calls, or when the control plane restarts. Classes:\n" +
    Object.entries(FAILURE_CLASSES)
      .map(([name, text]) => `  ${name.padEnd(11)} ${text}`)
      .join("\n"),
  flags: [
    textFlag("provider", "NAME", "the provider (required)"),
    { ...textFlag("class", "CLASS", CLASSES.join(", ")), values: CLASSES },
    textFlag("for", "DURATION", `how long (default ${formatDuration(FAILURE.forMs)})`),
    textFlag("calls", "N", "end after N failed calls"),
    textFlag("delay", "DURATION", `with class slow (default ${formatDuration(FAILURE.delayMs)})`),
    switchFlag("clear", "end the failure"),
  ],
  words: { min: 0, max: 0 },
  reach: "online",
  async run({ flags }, client) {
    const name = (flags.text("provider") ?? "").trim();
    if (name === "") return usage("simulate provider-fail needs --provider NAME");
    const path = `/providers/${encodeURIComponent(name)}/failure`;
    if (flags.on("clear")) {
      if (flags.text("class") !== null) return usage("--class and --clear exclude each other");
      const was = await client.send<{ was_failing: boolean }>("DELETE", path, ["was_failing"]);
      if (!was.ok) return was;
      const text = was.value.was_failing ? "no longer fails" : "was not failing on purpose";
      return { data: was.value, names: [name], human: () => `Provider ${name} ${text}\n` };
    }
    const asked = readAsked(flags);
    if (!asked.ok) return asked;
    const { body } = asked;
    const answer = await client.send<{ failure: FailureView }>("PUT", path, ["failure"], body);
    if (!answer.ok) return answer;
    const { failure } = answer.value;
    return {
      data: answer.value,
      names: [name],
      human: () => `Provider ${name} fails ${formatFailure(failure)}\n`,
    };
  },
};

function readAsked(flags: Flags): { ok: true; body: Record<string, unknown> } | Failure {
  const given = flags.text("class");
  if (given === null) {
    return usage(`simulate provider-fail needs --class CLASS (${CLASSES.join(", ")})`);
  }
  if (!CLASSES.includes(given)) return unknownName("class", given, CLASSES);
  const body: Record<string, unknown> = { class: given };
  for (const span of ["for", "delay"] as const) {
    const text = flags.text(span);
    if (text === null) continue;
    const read = readSpan(span, text);
    if (!read.ok) return read;
    body[span] = text;
  }
  const calls = flags.text("calls");
  if (calls === null) return { ok: true, body };
  if (/^\d{1,7}$/.test(calls)) return { ok: true, body: { ...body, calls: Number(calls) } };
  return usage(`--calls: expected a whole number, found "${calls}"`);
}
