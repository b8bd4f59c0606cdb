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
  Instance,
  ListAnswer,
  Provider,
  RefusalClass,
  TerminateAnswer,
} from "../../core/provider.ts";
import { type Ran, runProgram } from "../../program/program.ts";
import { Fences } from "../fence.ts";
import { readsNothing } from "../reads-nothing.ts";
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

type Call = { script: keyof Scripts; args: readonly string[]; env: Record<string, string> };
/** What one run came to: its workers, or why there are none and what that proves. */
type Done =
  | { kind: "ok"; workers: Worker[] }
  | { kind: "ended"; status: number; message: string }
  | { kind: "unstarted" | "unknown"; message: string };

export function openShellProvider(options: ShellProviderOptions): ShellProvider {
  const { name, class: cls, settleMs, fleetId } = options;
  const fences = new Fences();
  const run = (call: Call) => runScript(options, call);
  const list = async () => answerList(options, await run({ script: "list", args: [], env: {} }));
  return {
    ...{ name, type: "command", class: cls, settleMs, bringsAgent: false, canReboot: false },
    ...readsNothing,
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
      const done = await run({ script: "start", args: [request.name], env });
      return answerStart(options, request, done);
    },
    async terminate(id, fence) {
      const stale = fences.check(fence);
      if (stale !== null) return stale;
      const env = { WORKER_NAME: id };
      return answerStop(await run({ script: "stop", args: [id], env }));
    },
    reboot: () => Promise.resolve({ kind: "unsupported" }),
    list,
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

const KEYS: Readonly<Record<keyof Scripts, string>> = {
  start: "start",
  stop: "stop",
  list: "list",
  batchStart: "batch_start",
};

async function runScript(options: ShellProviderOptions, call: Call): Promise<Done> {
  const { scripts, timeoutMs, clock, name, fleetId } = options;
  const key = KEYS[call.script];
  const own = { WORKER_PROVIDER: name, WORKER_FLEET: fleetId };
  const program = {
    argv: ["bash", "-s", "--", ...call.args],
    env: { ...options.env, ...own, ...call.env },
    ...{ timeoutMs, clock },
  };
  const ran = await runProgram(program, `${scripts[call.script] ?? ""}\n`);
  const done = readRun(ran, call.script !== "stop");
  return done.kind === "ok" ? done : { ...done, message: `${key}: ${done.message}` };
}

function readRun(ran: Ran, hasWorkers: boolean): Done {
  if (ran.kind === "failed") {
    return { kind: ran.isUnstarted ? "unstarted" : "unknown", message: ran.why };
  }
  const { status, output, stderr } = ran;
  if (status !== 0) {
    const told = [stderr, output.trim()].filter((text) => text !== "").join(" | ");
    const shown = told === "" ? "" : `: ${JSON.stringify(told.slice(-TOLD_MAX))}`;
    const message = `exit status ${status}${shown}`;
    // A script that names its worker did start one, whatever its status says.
    if (hasWorkers && output.trim() !== "") return { kind: "unknown", message };
    return { kind: "ended", status, message };
  }
  if (!hasWorkers) return { kind: "ok", workers: [] };
  const workers = readWorkers(output);
  return typeof workers === "string"
    ? { kind: "unknown", message: workers }
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

function answerList(options: ShellProviderOptions, done: Done): ListAnswer {
  if (done.kind !== "ok") {
    const known = done.kind === "ended" ? refusalBy(done.status) : null;
    const cls: Failed["class"] = known === "auth" || known === "rate_limit" ? known : "unavailable";
    return { kind: "failed", class: cls, message: done.message };
  }
  const { fleetId, namePrefix } = options;
  const instances = done.workers
    .filter(({ id }) => namePrefix === null || id.startsWith(namePrefix))
    .map((worker) => instanceOf(worker, fleetId))
    .filter(({ tags }) => tags[FLEET_TAG] === fleetId);
  return { kind: "ok", instances };
}
