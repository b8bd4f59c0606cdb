/**
 * Task `InjectFault`: hurts healthy serving machines of a simulated fleet, picked by the seeded
 * random source, or clears what was injected. The nodes are kept under the task's id.
 */
import * as v from "valibot";
import { formatFault, MachineFault } from "../../../schema/machine-fault.ts";
import { count } from "../../../schema/number.ts";
import { type FleetAnswer, type FleetNode, otherPool } from "../fleet.ts";
import { readParams } from "../param.ts";
import { unlessAborted } from "../repeat.ts";
import { formatSelectors, isSelected, type Labels, nodeSelectors, queryOf } from "../selector.ts";
import { readObject } from "../../../reconciler/kubernetes/read-field.ts";
import { type Run, TaskError, type TaskType } from "../task.ts";
import { listObjects } from "../write.ts";

const yes = v.optional(v.literal(true, "expected true"));
const Fault = v.strictObject({
  xid: v.optional(count),
  ecc: yes,
  thermal: yes,
  nvlink: yes,
  lost: yes,
  gpu: v.optional(count),
});

const Params = v.strictObject({
  selectors: v.nullish(nodeSelectors, null),
  pool: v.nullish(v.string(), null),
  refTaskId: v.nullish(v.string(), null),
  pick: v.nullish(count, null),
  fault: v.nullish(Fault, null),
  clear: v.nullish(v.boolean(), false),
});
type Params = v.InferOutput<typeof Params>;

/** Nodes are listed within this time, through a restart of the API server. */
const LIST_MS = 60_000;
/** Faults on their way at once: a hundred take a second. */
const AT_ONCE = 16;
/** Nodes that a message names. */
const NAMES_MAX = 10;

export const injectFault: TaskType = {
  name: "InjectFault",
  isPrefixed: true,
  runsDry: true,
  read({ id, params }) {
    const read = readParams(Params, params);
    const given = [read.selectors, read.pool, read.refTaskId].filter((one) => one !== null);
    if (given.length !== 1) {
      throw new TaskError("must specify one of 'selectors', 'pool' and 'refTaskId'");
    }
    const fault = faultOf(read);
    return async (run) => {
      if (run.isDryRun) {
        if (read.refTaskId !== null) run.state.nodes(read.refTaskId);
        return run.state.keepNodes(id, []);
      }
      const chosen = await choose(run, read, fault === null);
      run.state.keepNodes(
        id,
        chosen.map((node) => node.kubernetesNode ?? node.id),
      );
      const harm = fault === null ? "clear" : `inject ${formatFault(fault)} into`;
      const names = chosen.map((node) => node.id);
      run.say("info", `InjectFault/${id}: ${harm} ${namesOf(names) || "no node"}`);
      await hurt(run, names, fault);
    };
  },
};

/** `null`: clear. */
function faultOf({ fault, clear }: Params): MachineFault | null {
  if (clear) {
    if (fault === null) return null;
    throw new TaskError("'fault' and 'clear' exclude each other");
  }
  const { gpu, ...kinds } = fault ?? {};
  const [kind, ...others] = Object.keys(kinds);
  if (kind === undefined || others.length > 0) {
    const all = "xid, ecc, thermal, nvlink or lost";
    throw new TaskError(`must specify one 'fault' (${all}), or 'clear: true'`);
  }
  const asked = kind === "xid" ? { kind, code: kinds.xid, gpu } : { kind, gpu };
  const read = v.safeParse(MachineFault, asked);
  if (read.success) return read.output;
  const [issue] = read.issues;
  const path = v.getDotPath(issue) === "gpu" ? "fault.gpu" : "fault.xid";
  throw new TaskError(`failed to parse parameters: ${path}: ${issue.message}`);
}

async function choose(run: Run, params: Params, clears: boolean): Promise<FleetNode[]> {
  const all = await ask(run, run.fleet.nodes());
  const wanted = await candidates(run, params, all, clears);
  // A clearing task is about all that match; a later one finds what an earlier one kept.
  if (params.pick === null && (clears || params.refTaskId !== null)) return wanted.nodes;
  const pick = params.pick ?? 1;
  const { length } = wanted.nodes;
  if (pick < 1 || pick > length) {
    const hint = length === 0 ? "" : `: expected 1 to ${length}`;
    throw new TaskError(`cannot pick ${pick} of ${length} ${wanted.what}${hint}`);
  }
  return draw(wanted.nodes, pick, run.random);
}

type Candidates = { nodes: FleetNode[]; what: string };

/** Only healthy serving nodes are hurt: another one would prove nothing. */
async function candidates(
  run: Run,
  { pool, refTaskId, selectors }: Params,
  all: readonly FleetNode[],
  clears: boolean,
): Promise<Candidates> {
  const isFit = (node: FleetNode) => clears || (isServing(node) && node.isHealthy);
  const state = clears ? "nodes" : "healthy serving nodes";
  const byId = (a: FleetNode, b: FleetNode) => (a.id < b.id ? -1 : 1);
  const only = (what: string, isMeant: (node: FleetNode) => boolean): Candidates => {
    return { nodes: all.filter((node) => isMeant(node) && isFit(node)).sort(byId), what };
  };
  if (pool !== null) {
    const pools = [...new Set(all.flatMap((node) => node.pool ?? []))].sort();
    const hint = pools.includes(pool) ? "" : otherPool(pool, pools);
    return only(`${state} in pool ${pool}${hint}`, (node) => node.pool === pool);
  }
  const kept =
    refTaskId === null ? await labelled(run, selectors ?? []) : run.state.nodes(refTaskId);
  const names = new Set(kept);
  const isNamed = (node: FleetNode) => names.has(node.kubernetesNode ?? node.id);
  const whose = refTaskId === null ? formatSelectors(selectors ?? []) : `task ${refTaskId}`;
  return only(`${state} of ${whose}`, isNamed);
}

const isServing = (node: FleetNode) => node.phase === "serving" && !node.isCordoned;

/** Names of the Nodes that a selector matches. */
async function labelled(run: Run, selectors: readonly Labels[]): Promise<string[]> {
  const read = (item: unknown) => {
    const { name, labels } = readObject(readObject(item)["metadata"]);
    const isMeant = isSelected(selectors, readObject(labels) as Labels);
    return typeof name === "string" && isMeant ? name : null;
  };
  const from = { path: "/api/v1/nodes", query: queryOf(selectors), what: "nodes", read };
  return listObjects(run, from, run.clock.monoMs() + LIST_MS);
}

/** The first `pick` of a shuffle (Fisher and Yates): the same seed picks the same places. */
function draw(nodes: readonly FleetNode[], pick: number, random: () => number): FleetNode[] {
  const left = [...nodes];
  return Array.from({ length: pick }).flatMap(() => {
    return left.splice(Math.floor(random() * left.length), 1);
  });
}

async function hurt(run: Run, names: readonly string[], fault: MachineFault | null): Promise<void> {
  const done: string[] = [];
  for (let at = 0; at < names.length; at += AT_ONCE) {
    const some = names.slice(at, at + AT_ONCE);
    const asked = Promise.all(some.map((name) => run.fleet.inject(name, fault)));
    const answers = await unlessAborted(asked, run.signal);
    done.push(...some.filter((_, i) => answers[i]?.ok));
    const failed = answers.find((answer) => !answer.ok);
    if (failed === undefined) continue;
    const before = done.length === 0 ? "" : ` (done before: ${namesOf(done)})`;
    throw new TaskError(`${failed.message}${before}`);
  }
}

/** The first of them. */
function namesOf(names: readonly string[]): string {
  const more = names.length - NAMES_MAX;
  return `${names.slice(0, NAMES_MAX).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

async function ask<T>(run: Run, answer: Promise<FleetAnswer<T>>): Promise<T> {
  const read = await unlessAborted(answer, run.signal);
  if (read.ok) return read.value;
  throw new TaskError(read.message);
}
