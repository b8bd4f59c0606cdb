/**
 * A workflow run against a real API server without the command around it: its tasks one by one,
 * what they said, and what they noted for `-cleanup`.
 *
 * Adapter: network, clock.
 */
import { openClient } from "../../../reconciler/kubernetes/client.ts";
import type { KubeApi } from "../../../reconciler/kubernetes/api.ts";
import {
  openTransport,
  REAL_CLOCK,
  type TransportSettings,
} from "../../../reconciler/kubernetes/connect.ts";
import { TASK_TYPES } from "../../../simulator/workflow/run/catalog.ts";
import { noFleet } from "../../world/no-fleet.ts";
import { Made } from "../../../simulator/workflow/made.ts";
import { State } from "../../../simulator/workflow/state.ts";
import type { Run } from "../../../simulator/workflow/task.ts";
import type { Cluster } from "../kubernetes/cluster.ts";

export type TestRun = {
  run: Run;
  lines: string[];
  /** Reads and runs one task. */
  task(type: string, params: unknown, id?: string): Promise<void>;
  stop: AbortController;
};

const never = () => Promise.reject(new Error("no file in this test"));

/** `around` may lose requests or replies. */
export async function openRun(
  cluster: Cluster,
  options: {
    manager?: string;
    around?: (api: KubeApi) => KubeApi;
    taints?: boolean;
    settings?: TransportSettings;
  } = {},
): Promise<TestRun> {
  const own = { enabled: true, kubeconfig: cluster.kubeconfig(), context: null };
  const settings = options.settings ?? own;
  const opened = await openTransport(settings, {});
  if (opened.kind !== "ok") throw new Error(JSON.stringify(opened));
  const clock = REAL_CLOCK;
  const ports = { clock, count: () => {}, userAgent: "navarch/test" };
  const client = openClient(opened.transport, ports);
  const { manager = "navarch-sim-test", around = (api) => api, taints = false } = options;
  const lines: string[] = [];
  const stop = new AbortController();
  const run: Run = {
    api: around(client),
    state: new State(),
    made: new Made(),
    fleet: noFleet("no control plane in this test"),
    source: { path: null },
    clock,
    startedMonoMs: clock.monoMs(),
    signal: stop.signal,
    say: (level, line) => lines.push(`${level}: ${line}`),
    random: Math.random,
    fieldManager: manager,
    isStrict: false,
    isDryRun: false,
    taints,
    readText: never,
    pause: () => Promise.resolve(),
  };
  return {
    run,
    lines,
    stop,
    task(type, params, id = "t") {
      const found = TASK_TYPES.get(type);
      if (found === undefined) throw new Error(`no task type ${type}`);
      return found.read({ id, type, description: "", params })(run);
    },
  };
}
