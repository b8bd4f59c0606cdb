/**
 * A provider that is three scripts of the operator's own, each on standard input of `bash -s`:
 * `start` prints the worker's name, `stop` gets it as `$1` and `WORKER_NAME`, `list` prints a
 * worker a line (docs/provider-command.md#scripts). A status that proves nothing is `ambiguous`:
 * a script may have died after its worker began.
 */
import type { InstanceId } from "../../../schema/id.ts";
import type { Clock } from "../../core/clock.ts";
import type {
  CreateAnswer,
  CreateRequest,
  Failed,
  Fence,
  Instance,
  ListAnswer,
  Provider,
  RefusalClass,
  TerminateAnswer,
} from "../../core/provider.ts";
import { REACHES_ANY } from "../../core/reach.ts";
import { strangersIn } from "../../core/stranger.ts";
import { type Ran, runProgram } from "../../program/program.ts";
import { Fences } from "../call/fence.ts";
import { readsNothing } from "../call/reads-nothing.ts";
import {
  FLEET_TAG,
  instanceOf,
  NOT_FOUND,
  readWorkers,
  refusalBy,
  startVariables,
  type Worker,
} from "./shell-line.ts";

export type Scripts = { start: string; stop: string; list: string; batchStart: string | null };

export type ShellProviderOptions = {
  name: string;
  scripts: Scripts;
  /** How a repeated `start` is recognised. */
  class: "name" | "tag-only";
  settleMs: number;
  timeoutMs: number;
  /** Workers without it are not this fleet's; `null`: all that `list` prints are. */
  namePrefix: string | null;
  fleetId: string;
  env: Readonly<Record<string, string>>;
  clock: Pick<Clock, "after" | "wallMs">;
  /** `null` where no control plane runs. */
  record: ScriptRecord | null;
};

/** One run of a script, with secrets hidden. */
export type ScriptRun = {
  provider: string;
  script: "start" | "stop" | "list" | "batch_start";
  /** For whose sake; `null`: for none, as a list. */
  node: string | null;
  session: string | null;
  code: "ok" | "refused" | "unknown";
  /** The end of what it printed, or why nothing is known of it. */
  detail: string;
};

export type ScriptRecord = {
  /** Hides secrets in text that a script printed. */
  mask(text: string): string;
  /** Resolves once it is kept, or cannot be. Never rejects. */
  keep(run: ScriptRun): Promise<void>;
};

export type BatchAnswer =
  | { kind: "ok"; names: InstanceId[] }
  | { kind: "refused"; class: RefusalClass; message: string }
  | { kind: "ambiguous"; message: string };

export type ShellProvider = Provider & {
  /** Starts `count` workers that belong together; `refused` without such a script. */
  batchStart(count: number, label: string): Promise<BatchAnswer>;
};

/** Of a script's output in a message, which events keep. */
const TOLD_MAX = 500;
/** Of each of its two outputs in the audit. */
const KEPT_MAX = 1_000;
/** Hidden before it is cut: a secret is shorter than the rest. */
const MASKED_MAX = 8_192;

type Call = {
  script: keyof Scripts;
  args: readonly string[];
  env: Record<string, string>;
  fence?: Fence;
};
/** What one run came to: its workers, or why there are none and what that proves. */
type Done =
  | { kind: "ok"; workers: Worker[] }
  | { kind: "ended"; status: number; message: string }
  | { kind: "unstarted" | "unknown"; message: string };

export function openShellProvider(options: ShellProviderOptions): ShellProvider {
  const { name, class: cls, settleMs, fleetId } = options;
  const fences = new Fences();
  const listed = { trouble: null as string | null };
  const run = (call: Call) => runScript(options, call, listed);
  const list = async () => answerList(options, await run({ script: "list", args: [], env: {} }));
  return {
    ...{ name, type: "command", class: cls, settleMs, bringsAgent: false, canReboot: false },
    ...readsNothing,
    reach: () => ({ ...REACHES_ANY, type: "command" }),
    trouble: () => null,
    async inspect() {
      const answer = await list();
      if (answer.kind === "failed") {
        return [{ check: "list", outcome: "fail", message: answer.message }];
      }
      const message = `the script list shows ${answer.instances.length} workers`;
      return [{ check: "list", outcome: "ok", message }];
    },
    async create(request, fence) {
      const stale = fences.check(fence);
      if (stale !== null) return stale;
      const env = startVariables(request);
      const done = await run({ script: "start", args: [request.name], env, fence });
      return answerStart(options, request, done);
    },
    async terminate(id, fence) {
      const stale = fences.check(fence);
      if (stale !== null) return stale;
      const env = { WORKER_NAME: id };
      return answerStop(await run({ script: "stop", args: [id], env, fence }));
    },
    reboot: () => Promise.resolve({ kind: "unsupported" }),
    list,
    async strangers(pools) {
      const done = await run({ script: "list", args: [], env: {} });
      if (done.kind !== "ok") return failedList(done);
      const prefix = options.namePrefix ?? "";
      const shown = done.workers.filter(({ id }) => id.startsWith(prefix));
      // A fleet's id has no hyphen, and the name of a worker that it bought begins with it.
      const all = shown.map((worker) => instanceOf(worker, worker.id.split("-")[0] ?? ""));
      return { kind: "ok", instances: strangersIn(all, fleetId, pools) };
    },
    async batchStart(count, label) {
      if (options.scripts.batchStart === null) {
        const message = "the provider has no batch_start";
        return { kind: "refused", class: "bad_request", message };
      }
      const env = { WORKER_COUNT: String(count), WORKER_LABEL: label, WORKER_FLEET: fleetId };
      const args = [String(count), label];
      return answerBatch(count, await run({ script: "batchStart", args, env }));
    },
    close: () => Promise.resolve(),
  };
}

const KEYS: Readonly<Record<keyof Scripts, ScriptRun["script"]>> = {
  start: "start",
  stop: "stop",
  list: "list",
  batchStart: "batch_start",
};

/** `listed`: why the last list failed, so that a list that fails for hours has one row. */
async function runScript(
  options: ShellProviderOptions,
  call: Call,
  listed: { trouble: string | null },
): Promise<Done> {
  const { scripts, timeoutMs, clock, name, fleetId, record } = options;
  const key = KEYS[call.script];
  const own = { WORKER_PROVIDER: name, WORKER_FLEET: fleetId };
  const program = {
    argv: ["bash", "-s", "--", ...call.args],
    env: { ...options.env, ...own, ...call.env },
    ...{ timeoutMs, clock },
  };
  const ran = await runProgram(program, `${scripts[call.script] ?? ""}\n`);
  const mask = record === null ? (text: string) => text : record.mask.bind(record);
  const read = readRun(ran, call.script !== "stop", mask);
  const done = read.kind === "ok" ? read : { ...read, message: `${key}: ${read.message}` };
  const trouble = done.kind === "ok" ? null : done.message;
  const isKept = call.script !== "list" || (trouble !== null && trouble !== listed.trouble);
  if (call.script === "list") listed.trouble = trouble;
  if (isKept) await record?.keep(runOf(name, call, done, ran, mask));
  return done;
}

function runOf(
  provider: string,
  { script, fence }: Call,
  done: Done,
  ran: Ran,
  mask: (text: string) => string,
): ScriptRun {
  const isRefusal =
    done.kind === "unstarted" || (done.kind === "ended" && refusalBy(done.status) !== null);
  const told = (what: string, text: string): string => {
    const end = mask(text.slice(-MASKED_MAX)).trim().slice(-KEPT_MAX);
    return end === "" ? "" : `; ${what}: ${end}`;
  };
  const detail =
    ran.kind === "failed"
      ? ran.why
      : `exit status ${ran.status}${told("printed", ran.output)}${told("stderr", ran.stderr)}`;
  return {
    ...{ provider, script: KEYS[script], detail },
    ...{ node: fence?.nodeId ?? null, session: fence?.sessionId ?? null },
    code: done.kind === "ok" ? "ok" : isRefusal ? "refused" : "unknown",
  };
}

function readRun(ran: Ran, hasWorkers: boolean, mask: (text: string) => string): Done {
  if (ran.kind === "failed") {
    return { kind: ran.isUnstarted ? "unstarted" : "unknown", message: ran.why };
  }
  const { status, output, stderr } = ran;
  if (status !== 0) {
    const told = [stderr, output.trim()].filter((text) => text !== "").join(" | ");
    const end = mask(told.slice(-MASKED_MAX)).slice(-TOLD_MAX);
    const shown = end === "" ? "" : `: ${JSON.stringify(end)}`;
    const message = `exit status ${status}${shown}`;
    // A script that names its worker did start one, whatever its status says.
    if (hasWorkers && output.trim() !== "") return { kind: "unknown", message };
    return { kind: "ended", status, message };
  }
  if (!hasWorkers) return { kind: "ok", workers: [] };
  const workers = readWorkers(output);
  return typeof workers === "string"
    ? { kind: "unknown", message: mask(workers) }
    : { kind: "ok", workers };
}

function answerStart(
  options: ShellProviderOptions,
  request: CreateRequest,
  done: Done,
): CreateAnswer {
  if (done.kind !== "ok") return refusedOr(done, ({ message }) => ({ kind: "ambiguous", message }));
  const [worker, ...more] = done.workers;
  const unclear = (message: string): CreateAnswer => ({
    kind: "ambiguous",
    message: `start: ${message}`,
  });
  if (worker === undefined || more.length > 0) {
    return unclear(`expected the name of one worker, found ${done.workers.length}`);
  }
  const { namePrefix } = options;
  if (namePrefix !== null && !worker.id.startsWith(namePrefix)) {
    return unclear(`worker ${worker.id} does not begin with name_prefix ${namePrefix}`);
  }
  const { tags } = worker;
  const isOther = [FLEET_TAG, "navarch-node"].some(
    (key) => (tags[key] ?? request.tags[key]) !== request.tags[key],
  );
  if (isOther) return unclear(`worker ${worker.id} belongs to another purchase`);
  const instance: Instance = {
    ...instanceOf({ ...worker, tags: {} }, options.fleetId),
    ...{ name: request.name, tags: request.tags, instanceType: request.instanceType },
    ...{ region: request.region, zone: request.zone, createdAtMs: options.clock.wallMs() },
    state: worker.state ?? "provisioning",
  };
  return { kind: "ok", instance };
}

function answerStop(done: Done): TerminateAnswer {
  if (done.kind === "ok") return { kind: "accepted" };
  if (done.kind === "ended" && done.status === NOT_FOUND) return { kind: "not_found" };
  return refusedOr(done, ({ message }) => ({ kind: "ambiguous", message }));
}

function answerBatch(count: number, done: Done): BatchAnswer {
  if (done.kind !== "ok") return refusedOr(done, ({ message }) => ({ kind: "ambiguous", message }));
  const names = done.workers.map(({ id }) => id);
  if (names.length === count) return { kind: "ok", names };
  const message = `batch_start: expected ${count} workers, found ${names.length}`;
  return { kind: "ambiguous", message };
}

type Refused = { kind: "refused"; class: RefusalClass; message: string; retryAfterMs: null };

function refusedOr<A>(done: Exclude<Done, { kind: "ok" }>, or: (done: { message: string }) => A) {
  const { message } = done;
  // What did not start did nothing; the next try may find it repaired.
  const cls = done.kind === "unstarted" ? "rate_limit" : null;
  const known = cls ?? (done.kind === "ended" ? refusalBy(done.status) : null);
  if (known === null) return or(done);
  const refused: Refused = { kind: "refused", class: known, message, retryAfterMs: null };
  return refused;
}

function failedList(done: Exclude<Done, { kind: "ok" }>): Failed {
  const known = done.kind === "ended" ? refusalBy(done.status) : null;
  const cls: Failed["class"] = known === "auth" || known === "rate_limit" ? known : "unavailable";
  return { kind: "failed", class: cls, message: done.message };
}

function answerList(options: ShellProviderOptions, done: Done): ListAnswer {
  if (done.kind !== "ok") return failedList(done);
  const { fleetId, namePrefix } = options;
  const instances = done.workers
    .filter(({ id }) => namePrefix === null || id.startsWith(namePrefix))
    .map((worker) => instanceOf(worker, fleetId))
    .filter(({ tags }) => tags[FLEET_TAG] === fleetId);
  return { kind: "ok", instances };
}
