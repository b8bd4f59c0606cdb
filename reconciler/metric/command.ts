/**
 * A program as a metrics source: each reading starts it once, with JSON on its standard input and
 * output (docs/autoscaling.md#a-program). An answer that is not exactly a reply is no reading.
 */
import * as v from "valibot";
import type { Clock } from "../core/clock.ts";
import { finite } from "../../schema/number.ts";
import { answerOf, type MetricAnswer, type MetricPool } from "../core/scaling/metric.ts";
import type { External } from "../core/scaling/external.ts";
import { passedOn, runProgram, wordsOf } from "../program/program.ts";
import type { Environment } from "./http.ts";

const VERSION = 1;
const SHOWN_CHARS = 120;

const version = v.literal(VERSION, `must be ${VERSION}`);
const Value = v.object({ version, value: finite });
const Failed = v.object({ version, error: v.object({ message: v.string() }) });

const failed = (message: string): MetricAnswer => ({ kind: "failed", message });

export async function readCommand(
  from: External,
  pool: MetricPool,
  { env, clock }: { env: Environment; clock: Pick<Clock, "after"> },
): Promise<MetricAnswer> {
  const argv = wordsOf(from.command ?? "");
  const { name, desired, min, max } = pool;
  const input = { version: VERSION, pool: name, desired, min_nodes: min, max_nodes: max };
  const program = { argv, env: passedOn(env), timeoutMs: from.timeoutMs, clock };
  const ran = await runProgram(program, `${JSON.stringify(input)}\n`);
  const where = argv[0] ?? "";
  if (ran.kind === "failed") return failed(`${where}: ${ran.why}`);
  const answer = readReply(ran.output);
  if (ran.status === 0 || answer.said) return prefix(where, answer.answer);
  const last = ran.stderr.split("\n").at(-1) ?? "";
  return failed(`${where}: exit status ${ran.status}${last === "" ? "" : `: ${quoted(last)}`}`);
}

/** `said`: the program reports its own failure, whatever its exit status. */
function readReply(output: string): { answer: MetricAnswer; said: boolean } {
  const refuse = (message: string) => ({ answer: failed(message), said: false });
  let value: unknown;
  try {
    value = JSON.parse(output);
  } catch {
    const found = output.trim() === "" ? "nothing" : quoted(output);
    return refuse(`expected one JSON object, found ${found}`);
  }
  const own = v.safeParse(Failed, value);
  if (own.success) return { answer: failed(own.output.error.message), said: true };
  const read = v.safeParse(Value, value);
  if (read.success) return { answer: answerOf(read.output.value), said: false };
  const [issue] = read.issues;
  return refuse(`${v.getDotPath(issue) ?? "reply"}: ${issue.message}`);
}

function prefix(where: string, answer: MetricAnswer): MetricAnswer {
  return answer.kind === "value" ? answer : failed(`${where}: ${answer.message}`);
}

function quoted(text: string): string {
  return JSON.stringify(text.trim().slice(0, SHOWN_CHARS));
}
