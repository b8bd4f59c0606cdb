/**
 * Sets up one machine as a node: connects, inspects, claims, installs credential and agent, runs
 * the pool's commands. Records each step before its effect. After a crash, another run continues at
 * the machine's marks.
 */
import { unreachable } from "../../schema/unreachable.ts";
import type { Shell } from "../shell.ts";
import { runCommands } from "./command.ts";
import { ABORTED, type Answer, type End, good, sentenceOf } from "./end.ts";
import type { Job, Outcome, Ports } from "./job.ts";
import { claim, decideSudo, findAddress, look, markDirectoryOf, type Sight } from "./look.ts";
import type { Machine } from "./machine.ts";
import { createMask } from "./mask.ts";
import { placeFiles, pushAgent } from "./place.ts";
import { reach } from "./reach.ts";
import { AttemptRecord } from "./record.ts";
import {
  type Command,
  completeValues,
  folderOf,
  instanceDirectory,
  renderCommands,
} from "./render.ts";

/** Resolves to an outcome for every failure of machine and network; rejects if recording fails. */
export async function runBootstrap(job: Job, ports: Ports, signal: AbortSignal): Promise<Outcome> {
  const { KubernetesJoinToken, MungeProbe } = job.values;
  const secrets = [job.credential?.value, KubernetesJoinToken, MungeProbe, ...ports.masks];
  const mask = createMask(secrets.filter((secret) => secret !== undefined));
  const record = new AttemptRecord(job, ports, mask);
  // Without a record it must stop: a successor relies on the record.
  const stop = AbortSignal.any([signal, record.broken]);
  let shell: Shell | null = null;
  try {
    await record.flush();
    const reached = await reach(job, ports, record, stop);
    if (reached.ok) shell = reached.value;
    const answer = reached.ok ? await setUp(reached.value, job, ports, record, stop) : reached;
    if (record.broken.aborted) throw record.broken.reason;
    return await conclude(answer, record, signal);
  } finally {
    record.stop();
    shell?.close();
  }
}

async function setUp(
  shell: Shell,
  job: Job,
  ports: Ports,
  record: AttemptRecord,
  signal: AbortSignal,
): Promise<Answer<null>> {
  const prepared = await prepare(shell, job, record, signal);
  if (!prepared.ok) return prepared;
  const { machine, sight, commands, folder } = prepared.value;
  const placed = await placeFiles(machine, job, record, signal);
  if (!placed.ok) return placed;
  const pushed = await pushAgent(machine, sight, job, ports, record, signal);
  if (!pushed.ok) return pushed;
  // Cloud images have bash as login shell, and commands are written for it.
  const interpreter = sight.tools.has("bash") ? "bash" : "sh";
  const { commandMs } = job.timeouts;
  // What a new file changes is the commands' business, whichever of them ran before.
  const done = placed.value.isChanged ? new Set<string>() : prepared.value.done;
  const running = { machine, folder, interpreter, commandMs, done };
  return runCommands(running, commands, record, signal);
}

type Prepared = {
  machine: Machine;
  sight: Sight;
  commands: readonly Command[];
  folder: string;
  done: ReadonlySet<string>;
  /** The control plane's address that answered; `null` = not probed. */
  address: string | null;
};

/** The step `probe`: inspects the machine, then claims it. */
async function prepare(
  shell: Shell,
  job: Job,
  record: AttemptRecord,
  signal: AbortSignal,
): Promise<Answer<Prepared>> {
  const step = await record.begin("probe", "probe", "");
  const answer = await prepareWithin(shell, job, signal);
  if (answer.ok) step.push("stdout", Buffer.from(formatFindings(answer.value, job)));
  await step.end({ exitCode: null, error: answer.ok ? null : sentenceOf(answer.end) });
  return answer;
}

function formatFindings({ machine, sight, address, commands, done }: Prepared, job: Job): string {
  const root = machine.sudo ? "root through sudo" : sight.isRoot ? "root" : "not root";
  const dial = address ?? job.values.ControlPlane ?? "nothing";
  const skipped = commands.filter(({ mark }) => done.has(mark)).length;
  const marks = `${skipped} of ${commands.length} commands done`;
  return `${sight.arch}, ${root}, nodes dial ${dial}\n${marks}\n`;
}

async function prepareWithin(
  shell: Shell,
  job: Job,
  signal: AbortSignal,
): Promise<Answer<Prepared>> {
  const seen = await look(shell, signal);
  if (!seen.ok) return seen;
  const sight = seen.value;
  const sudo = decideSudo(job, sight);
  if (!sudo.ok) return sudo;
  const address = await findAddress(shell, job, sight, signal);
  if (!address.ok) return address;
  const values = completeValues(job, sight.arch, address.value);
  const commands = renderCommands(job, values);
  if (!commands.ok) return commands;
  if (signal.aborted) return ABORTED;
  const marks = markDirectoryOf(job, sight, sudo.value);
  const machine = { shell, sudo: sudo.value, directory: instanceDirectory(marks, job) };
  const folder = folderOf(job, values);
  const claimed = await claim(machine, folder, job, signal);
  if (!claimed.ok) return claimed;
  const { fence, done } = claimed.value;
  const found = { sight, commands: commands.value, folder, done, address: address.value };
  return good({ machine: { ...machine, fence }, ...found });
}

async function conclude(
  answer: Answer<null>,
  record: AttemptRecord,
  signal: AbortSignal,
): Promise<Outcome> {
  if (answer.ok) {
    await record.close("done", null);
    return { kind: "done", attempt: record.document() };
  }
  const end: End = answer.end;
  switch (end.kind) {
    case "failed": {
      await record.close("failed", end.error);
      const { cause, retry } = end;
      const attempt = record.document();
      return { kind: "failed", attempt, cause, retry, error: attempt.error ?? end.error };
    }
    case "stale":
      await record.close("interrupted", end.error);
      return { kind: "stale", attempt: record.document(), error: end.error };
    case "aborted": {
      const kind = signal.reason === "cancelled" ? "cancelled" : "interrupted";
      await record.close(kind, sentenceOf(end));
      return { kind, attempt: record.document() };
    }
    default:
      return unreachable(end);
  }
}
