/** Restarts a Deployment as `kubectl rollout restart` does, and waits until it is rolled out. */
import { PATCH } from "../../../reconciler/kubernetes/api.ts";
import { type Fields, readList, readObject } from "../../../reconciler/kubernetes/read-field.ts";
import { type Run, TaskError } from "../task.ts";
import { wait } from "../wait.ts";
import { expired, listObjects, settle } from "../write.ts";
import type { RestartItem } from "./param.ts";
import { formatSelector } from "../selector.ts";

/** A rollout takes seconds at least. */
const LOOK_MS = 500;

export async function restartDeployment(
  run: Run,
  item: RestartItem,
  deadlineMs: number,
): Promise<void> {
  const { namespace } = item;
  const collection = `/apis/apps/v1/namespaces/${encodeURIComponent(namespace)}/deployments`;
  const name = "name" in item ? item.name : await find(run, collection, item.labels, deadlineMs);
  if (name === null) return;
  const path = `${collection}/${encodeURIComponent(name)}`;
  const what = `deployment ${namespace}/${name}`;
  const restartedAt = new Date(run.clock.wallMs()).toISOString();
  const annotations = { "kubectl.kubernetes.io/restartedAt": restartedAt };
  const body = { spec: { template: { metadata: { annotations } } } };
  const contentType = PATCH.merge;
  const request = { verb: "patch", path, contentType, body, lane: "status" } as const;
  const answer = await settle(run, `restarting ${what}`, request, deadlineMs);
  if (answer.kind === "refused") {
    throw new TaskError(`failed to restart ${what}: ${answer.message}`);
  }
  run.say("detail", `restarted ${what}`);
  await waitForRollout(run, path, what, deadlineMs);
}

/** `null`: none has the labels. */
async function find(
  run: Run,
  collection: string,
  labels: Readonly<Record<string, string>>,
  deadlineMs: number,
): Promise<string | null> {
  const labelSelector = formatSelector(labels);
  const read = (item: unknown) => {
    const { name } = readObject(readObject(item)["metadata"]);
    return typeof name === "string" ? name : null;
  };
  const ask = { path: collection, query: { labelSelector }, what: "deployments", read };
  const names = await listObjects(run, ask, deadlineMs);
  const [only] = names;
  if (names.length > 1) {
    throw new TaskError(`expected 1 deployment with labels ${labelSelector}, not ${names.length}`);
  }
  if (only === undefined) {
    run.say("warning", `no deployment has the labels ${labelSelector}: nothing is restarted`);
  }
  return only ?? null;
}

async function waitForRollout(
  run: Run,
  path: string,
  what: string,
  deadlineMs: number,
): Promise<void> {
  for (;;) {
    const request = { verb: "get", path, lane: "read" } as const;
    const answer = await settle(run, `waiting for ${what}`, request, deadlineMs);
    if (answer.kind === "refused") {
      throw new TaskError(`failed to restart ${what}: ${answer.message}`);
    }
    const missing = whatIsMissing(readObject(answer.body), what);
    if (missing === null) return;
    if (run.clock.monoMs() + LOOK_MS >= deadlineMs) {
      throw expired(`waiting for the rollout of ${what}`, missing);
    }
    await wait(run, LOOK_MS);
  }
}

/** `null`: every pod is of the new template and available. */
function whatIsMissing(deployment: Fields, what: string): string | null {
  const { metadata, spec, status } = deployment;
  const { replicas = 1, paused } = readObject(spec);
  if (paused === true) {
    throw new TaskError(`failed to restart ${what}: it is paused; resume its rollout first`);
  }
  const seen = readObject(status);
  const conditions = readList(seen["conditions"]).map((one) => readObject(one));
  const stuck = conditions.find(({ reason }) => reason === "ProgressDeadlineExceeded");
  if (stuck !== undefined) {
    throw new TaskError(`failed to restart ${what}: ${String(stuck["message"])}`);
  }
  const count = (key: string) => Number(seen[key] ?? 0);
  const [wanted, generation] = [Number(replicas), Number(readObject(metadata)["generation"])];
  if (count("observedGeneration") < generation) return "the change is not observed yet";
  const updated = count("updatedReplicas");
  if (updated < wanted) return `${updated} of ${wanted} pods are updated`;
  const old = count("replicas") - updated;
  if (old > 0) return `${old} old pods remain`;
  const available = count("availableReplicas");
  return available < wanted ? `${available} of ${wanted} pods are available` : null;
}
