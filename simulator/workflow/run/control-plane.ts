/**
 * The workflows of a control plane: they run on its own connection to the cluster, read no file of
 * its machine, and keep what they create apart from each other.
 */
import type { Clock } from "../../../reconciler/core/clock.ts";
import {
  type AskSelf,
  openNoWorkflows,
  type WorkflowRunner,
} from "../../../reconciler/core/workflow.ts";
import type { KubeApi } from "../../../reconciler/kubernetes/api.ts";
import type { FleetAnswer } from "../fleet.ts";
import { paced } from "../pace.ts";
import { type Ask, openPlaneFleet } from "../plane-fleet.ts";
import { openWorkflowRunner } from "./runner.ts";
import { State } from "../state.ts";
import { TaskError } from "../task.ts";

/** Calls a second: a rehearsal must not starve the marks and evictions of the same process. */
const PACE = { perSecond: 200, burst: 200 };
const CLEANUP_MS = 5 * 60_000;

const NO_CLUSTER =
  "this control plane has no Kubernetes cluster to run workflows on: see kubernetes.enabled";

/** `ask` reaches the control plane's own API, for fleet tasks. */
export function openPlaneWorkflows(from: {
  api: KubeApi | null;
  clock: Clock;
  random: () => number;
  ask: AskSelf;
}): WorkflowRunner {
  const { api, clock, random, ask } = from;
  if (api === null) return openNoWorkflows(NO_CLUSTER);
  return openWorkflowRunner({
    api: paced(api, PACE, clock),
    clock,
    random,
    state: new State({ isServer: true }),
    fleet: openPlaneFleet(askOf(ask)),
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

function askOf(ask: AskSelf): Ask {
  return {
    async call(method, path, body) {
      const { status, text } = await ask(method, `/api/v1${path}`, body);
      const value = parse(text);
      if (status >= 200 && status < 300) return { ok: true, value };
      return failed(value, `${method} ${path}: HTTP ${status}`);
    },
    async page(path) {
      const { status, text } = await ask("GET", path);
      if (status === 200) return { ok: true, value: text };
      return failed(parse(text), `GET ${path}: HTTP ${status}`);
    },
  };
}

/** With the message of the API's error, if there is one. */
function failed(body: unknown, call: string): FleetAnswer<never> {
  const error: unknown = Reflect.get(Object(body), "error");
  const message: unknown = Reflect.get(Object(error), "message");
  return { ok: false, message: typeof message === "string" ? message : call };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
