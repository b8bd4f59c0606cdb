/**
 * `navarch bootstrap <id>`: how a machine was set up, step by step, with what each command said;
 * `--follow` goes on until it is over. Everything here comes from a machine and is printed plain.
 */
import type { BootstrapAttemptView, BootstrapStepView, BootstrapView } from "../../schema/api.ts";
import { printTime } from "../age.ts";
import type { Client } from "../client.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, usage } from "../failure.ts";
import type { Failure } from "../failure.ts";
import { suggestNode } from "../lookup.ts";
import { show } from "../show.ts";
import { plain } from "../table.ts";

const FOLLOW_MS = 1_000;
/** Phases in which another step may still come. */
const PENDING = ["requested", "booting", "bootstrapping"];

export const bootstrap: Command = {
  name: ["bootstrap"],
  usage: "<node-id>",
  summary: "show how a machine was set up over SSH",
  more: "Shows the last attempt; --attempt N another one, --all every one that is kept.",
  flags: [
    { name: "attempt", kind: "text", value: "N", help: "this attempt, from 1" },
    { name: "all", kind: "switch", help: "every attempt" },
    { name: "commands", kind: "switch", help: "print each command whole" },
    { name: "follow", short: "f", kind: "switch", help: "go on until the set-up is over" },
  ],
  words: { min: 1, max: 1 },
  lasts: (flags) => flags.on("follow"),
  reach: "online",
  async run(context, client) {
    const [id = ""] = context.words;
    const { flags } = context;
    const wanted = flags.text("attempt");
    if (wanted !== null && !/^[1-9]\d*$/.test(wanted)) {
      return usage(`--attempt ${wanted}: expected a number from 1`);
    }
    if (flags.on("follow")) return follow(context, client, id);
    const answer = await ask(client, id);
    if (!answer.ok) return answer;
    const { value } = answer;
    const number = wanted === null ? null : Number(wanted);
    const shown = value.attempts.filter(({ attempt }, i) =>
      number === null ? flags.on("all") || i === 0 : attempt === number,
    );
    if (number !== null && shown.length === 0) {
      const kept = value.attempts.map(({ attempt }) => attempt).toReversed();
      return usage(`no attempt ${number} of ${id}; kept: ${kept.join(", ") || "none"}`);
    }
    await show(context, {
      data: { ...value, attempts: shown },
      names: shown.map(({ attempt }) => String(attempt)),
      human: () => printAttempts(shown, flags.on("commands")),
      empty: `${id} was not set up over SSH (it is ${value.phase})`,
    });
    return EXIT.done;
  },
};

async function ask(client: Client, id: string) {
  const answer = await client.get<BootstrapView>(`/nodes/${encodeURIComponent(id)}/bootstrap`, [
    "attempts",
  ]);
  return answer.ok || answer.code !== "not_found" ? answer : suggestNode(client, id, answer);
}

/** Prints what is new; a text that was cut in its middle meanwhile is printed from its new end. */
async function follow(context: Context, client: Client, id: string): Promise<number | Failure> {
  const { world, flags } = context;
  let printed = "";
  for (;;) {
    const answer = await ask(client, id);
    if (!answer.ok) return answer;
    const { attempts, phase } = answer.value;
    const text = printAttempts(attempts, flags.on("commands"));
    world.out(text.startsWith(printed) ? text.slice(printed.length) : freshPart(printed, text));
    printed = text;
    const [last] = attempts;
    if (!PENDING.includes(phase)) return last?.state === "failed" ? EXIT.failed : EXIT.done;
    await world.sleep(FOLLOW_MS);
  }
}

/** What comes after the common beginning, from the start of the line where the two part. */
function freshPart(before: string, now: string): string {
  let at = 0;
  while (at < before.length && before[at] === now[at]) at++;
  return `\n${now.slice(now.lastIndexOf("\n", at - 1) + 1)}`;
}

/** Newest last. */
function printAttempts(attempts: readonly BootstrapAttemptView[], whole: boolean): string {
  return attempts
    .toReversed()
    .map((one) => printAttempt(one, whole))
    .join("\n");
}

function printAttempt(one: BootstrapAttemptView, whole: boolean): string {
  const head = `Attempt ${one.attempt} at ${plain(one.address)}, ${printTime(one.started_at)}\n`;
  const why = one.error === null ? "" : `: ${plain(one.error)}`;
  const end = one.ended_at === null ? "" : `${one.state}${why}\n`;
  return `${head}${one.steps.map((step) => printStep(step, whole)).join("")}${end}`;
}

/** Of a command that is a script, so much tells which one it is. */
const COMMAND_LINES = 2;

function printStep(step: BootstrapStepView, whole: boolean): string {
  const exit = step.exit_code === null || step.exit_code === 0 ? "" : `, exit ${step.exit_code}`;
  const ran = step.duration_ms === null ? "runs" : `${(step.duration_ms / 1_000).toFixed(1)} s`;
  const how = step.skipped ? "done before" : `${ran}${exit}`;
  const said = [step.stdout, step.stderr].flatMap(linesOf).map((line) => `    ${line}\n`);
  const why = step.error === null ? "" : `    error: ${plain(step.error)}\n`;
  const all = linesOf(step.command);
  const cut = whole || all.length <= COMMAND_LINES + 1 ? all : all.slice(0, COMMAND_LINES);
  const left = all.length - cut.length;
  const command = cut.map((line) => `    $ ${line}\n`);
  if (left > 0) command.push(`    $ … ${left} lines more (--commands)\n`);
  return `  ${plain(step.name)}  ${how}\n${[...command, ...said].join("")}${why}`;
}

function linesOf(text: string): string[] {
  const trimmed = text.replace(/\n+$/, "");
  return trimmed === "" ? [] : trimmed.split("\n").map(plain);
}
