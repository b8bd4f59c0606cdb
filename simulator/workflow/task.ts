/**
 * What a task of a workflow is: a type that reads its parameters once, before the first task runs,
 * and then acts on the run's world. Everything that a task touches comes from `Run`.
 */
import type { Clock } from "../../reconciler/core/clock.ts";
import type { KubeApi } from "../../reconciler/kubernetes/api.ts";
import type { Fleet } from "./fleet.ts";
import type { Made } from "./made.ts";
import type { State } from "./state.ts";

/** One entry of `tasks`. */
export type TaskDocument = {
  id: string;
  type: string;
  description: string;
  /** As it was read; each type checks its own. */
  params: unknown;
};

/**
 * A task cannot be read or has failed. The message goes to the operator without the prefix
 * `<Type>/<id>: `, which the runner adds.
 */
export class TaskError extends Error {}

/** A task whose parameters are good. Rejects with `TaskError`. */
export type Task = (run: Run) => Promise<void>;

export type TaskType = {
  /** `SubmitObj`, as workflow files write it. */
  name: string;
  /** Throws `TaskError`. Reads no file and sends nothing. */
  read(task: TaskDocument): Task;
  /** False: a message that names the task itself carries no prefix. */
  isPrefixed: boolean;
  /** It runs in a dry run too, where it checks references and writes nothing. Others are read. */
  runsDry?: boolean;
};

/** The workflow file that is running, for paths in it. */
export type Source = { path: string | null };

/** `info` is shown always, `detail` from `-v 4` on, `warning` on standard error. */
export type Say = (level: "info" | "detail" | "warning", line: string) => void;

export type Run = {
  api: KubeApi;
  /** Templates registered and objects submitted; one for all files of an invocation. */
  state: State;
  /** What the invocation created, for `-cleanup`. */
  made: Made;
  /** The control plane, for fleet tasks. */
  fleet: Fleet;
  source: Source;
  clock: Clock;
  /** Monotonic time at which the workflow began: what fleet tasks count starts there. */
  startedMonoMs: number;
  /** Aborted by a signal; every wait ends with it. */
  signal: AbortSignal;
  say: Say;
  /** 0 ≤ x < 1, seeded by `-seed`. */
  random: () => number;
  /** Name of the writer in `managedFields` of all that this invocation creates. */
  fieldManager: string;
  /** A template key without a value is an error. */
  isStrict: boolean;
  /** Templates and files are read, nothing is written. */
  isDryRun: boolean;
  /** New virtual nodes get the taint `kwok.x-k8s.io/node=fake:NoSchedule`. */
  taints: boolean;
  /** The text of a file: relative to the working directory, then to the workflow file. */
  readText(path: string): Promise<string>;
  /** Prints `prompt` and reads one line; resolves when standard input is closed. */
  pause(prompt: string): Promise<void>;
};
