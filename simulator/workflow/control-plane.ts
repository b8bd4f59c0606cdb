/**
 * The workflows of a control plane: they run on its own connection to the cluster, read no file of
 * its machine, and keep what they create apart from each other.
 */
import type { Clock } from "../../reconciler/core/clock.ts";
import { openNoWorkflows, type WorkflowRunner } from "../../reconciler/core/workflow.ts";
import type { KubeApi } from "../../reconciler/kubernetes/api.ts";
import { noFleet } from "./fleet.ts";
import { paced } from "./pace.ts";
import { openWorkflowRunner } from "./runner.ts";
import { State } from "./state.ts";
import { TaskError } from "./task.ts";

/** Calls a second: a rehearsal must not starve the marks and evictions of the same process. */
const PACE = { perSecond: 200, burst: 200 };
const CLEANUP_MS = 5 * 60_000;

const NO_CLUSTER =
  "this control plane has no Kubernetes cluster to run workflows on: see kubernetes.enabled";
const NO_FLEET =
  "fleet tasks do not run on the control plane; run the workflow with navarch sim workflow";

export function openPlaneWorkflows(from: {
  api: KubeApi | null;
  clock: Clock;
  random: () => number;
}): WorkflowRunner {
  const { api, clock, random } = from;
  if (api === null) return openNoWorkflows(NO_CLUSTER);
  return openWorkflowRunner({
    api: paced(api, PACE, clock),
    clock,
    random,
    state: new State({ isServer: true }),
    fleet: noFleet(NO_FLEET),
    isStrict: false,
    isDryRun: false,
    taints: false,
    async readText(path, { templates }) {
      const text = Object.hasOwn(templates, path) ? templates[path] : undefined;
      if (text !== undefined) return text;
      throw new TaskError(`failed to read ${path}: it was not sent with the workflow`);
    },
    shared: null,
    cleanupMs: CLEANUP_MS,
  });
}
