/** Tasks of workflows against an API server in memory, in virtual time, with the lines they say. */
import { seeded } from "../../simulator/engine/random.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { TASK_TYPES } from "../../simulator/workflow/run/catalog.ts";
import { noFleet } from "./no-fleet.ts";
import { Made } from "../../simulator/workflow/made.ts";
import { State } from "../../simulator/workflow/state.ts";
import { type Run, TaskError } from "../../simulator/workflow/task.ts";
import { ObjectServer } from "./object-server.ts";

export type TaskRun = {
  run: Run;
  server: ObjectServer;
  clock: VirtualClock;
  stop: AbortController;
  /** `warning: …`, `detail: …`. */
  said: string[];
  files: Map<string, string>;
  /** Reads and runs one task; resolves with its error as the runner writes it, or `null`. */
  perform(type: string, id: string, params?: unknown): Promise<string | null>;
};

export function openTaskRun(given: Partial<Run> = {}): TaskRun {
  const [server, clock, stop] = [new ObjectServer(), new VirtualClock(), new AbortController()];
  const said: string[] = [];
  const files = new Map<string, string>();
  const run: Run = {
    api: server,
    state: new State(),
    made: new Made(),
    fleet: noFleet("no control plane"),
    source: { path: "w.yml" },
    clock,
    startedMonoMs: 0,
    signal: stop.signal,
    say: (level, line) => said.push(`${level}: ${line}`),
    random: seeded(7),
    fieldManager: "navarch-sim-test",
    isStrict: false,
    isDryRun: false,
    taints: false,
    async readText(path) {
      const text = files.get(path);
      if (text === undefined) throw new Error("no such file");
      return text;
    },
    pause: async () => {},
    ...given,
  };
  const perform = async (type: string, id: string, params: unknown = {}) => {
    const [prefix, found] = [`${type}/${id}: `, TASK_TYPES.get(type)];
    if (found === undefined) throw new Error(`no task type ${type}`);
    try {
      const work = found.read({ id, type, description: "", params })(run);
      let isOver = false;
      const over = work.finally(() => (isOver = true));
      over.catch(() => {});
      for (let step = 0; step < 5_000 && !isOver; step += 1) await clock.pass(50);
      await over;
      return null;
    } catch (cause) {
      if (!(cause instanceof TaskError)) throw cause;
      return `${prefix}${cause.message}`;
    }
  };
  return { run, server, clock, stop, said, files, perform };
}
