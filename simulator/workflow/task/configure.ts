/**
 * Task `Configure`: brings virtual nodes, namespaces, configmaps and priority classes to the wanted
 * state, in parallel, then restarts deployments in order.
 */
import {
  configureConfigMap,
  configureNamespace,
  configurePriorityClass,
} from "../configure/object.ts";
import { type ConfigureParams, readConfigure, readNodes } from "../configure/param.ts";
import { restartDeployment } from "../configure/restart.ts";
import { applyNodes } from "../node-set/apply.ts";
import { type Run, TaskError, type TaskType } from "../task.ts";
import { forEach } from "../write.ts";

/** Objects of one kind written at once. */
const AT_ONCE = 8;

export const configure: TaskType = {
  name: "Configure",
  isPrefixed: true,
  read({ params: given }) {
    const params = readConfigure(given);
    // A bad entry is reported before the first task runs.
    if (params.nodes !== null) readNodes(params.nodes, false);
    return async (run) => {
      if (run.isDryRun) return;
      const deadlineMs = run.clock.monoMs() + params.timeoutMs;
      await inParallel(run, (inner) => groups(inner, params, deadlineMs));
      for (const item of params.restarts) await restartDeployment(run, item, deadlineMs);
    };
  },
};

function groups(run: Run, params: ConfigureParams, deadlineMs: number): Promise<void>[] {
  const { nodes, namespaces, configMaps, priorityClasses } = params;
  const configured = forEach(namespaces, AT_ONCE, async (item) => {
    await configureNamespace(run, item, deadlineMs);
    run.say("detail", `namespace ${item.name}: ${item.op} done`);
  });
  // A configmap may be meant for one of the task's own namespaces.
  const filled = configured.then(() =>
    forEach(configMaps, AT_ONCE, async (item) => {
      await configureConfigMap(run, item, deadlineMs);
      run.say("detail", `configmap ${item.namespace}/${item.name}: ${item.op} done`);
    }),
  );
  const ranked = forEach(priorityClasses, AT_ONCE, async (item) => {
    await configurePriorityClass(run, item, deadlineMs);
    run.say("detail", `PriorityClass ${item.name}: ${item.op} done`);
  });
  return [filled, ranked, ...(nodes === null ? [] : [configureNodes(run, nodes, deadlineMs)])];
}

async function configureNodes(run: Run, nodes: unknown[], deadlineMs: number): Promise<void> {
  const { entries, warnings } = readNodes(nodes, run.taints);
  for (const warning of warnings) run.say("warning", warning);
  const counts = await applyNodes(run, entries, deadlineMs);
  const { created, patched, removed, kept, cordoned } = counts;
  const done = `${created} created, ${kept} kept, ${patched} patched, ${removed} deleted`;
  run.say("detail", `virtual nodes: ${done}`);
  if (cordoned > 0) {
    const many = cordoned === 1 ? "1 kept virtual node is" : `${cordoned} kept virtual nodes are`;
    run.say("warning", `${many} cordoned; uncordon with UpdateNodes or delete the set first`);
  }
}

/** Runs all groups; the first failure stops the others and is thrown once all have ended. */
async function inParallel(run: Run, start: (inner: Run) => Promise<void>[]): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([run.signal, stop.signal]);
  let failure: { cause: unknown } | null = null;
  const ends = start({ ...run, signal }).map((group) =>
    group.catch((cause: unknown) => {
      failure ??= { cause };
      stop.abort();
    }),
  );
  await Promise.all(ends);
  if (run.signal.aborted) throw new TaskError("interrupted");
  if (failure !== null) throw (failure as { cause: unknown }).cause;
}
