/**
 * A Slurm controller in memory with the verbs as measured on 22.05.8 (docs/reference/slurm.md):
 * one reason, silent overwriting, `undrain` that leaves DOWN. Each call takes `latencyMs`.
 */
import type { Clock } from "../../reconciler/core/clock.ts";
import type {
  SlurmAnswer,
  SlurmClient,
  SlurmNodeChange,
} from "../../reconciler/core/slurm/client.ts";
import type { SlurmJob, SlurmNode, SlurmReservation } from "../../reconciler/core/slurm/object.ts";

type Read = "nodes" | "jobs" | "reservations";
export type SlurmCall = Read | "update" | "remove" | "requeue" | "signal";

export type MemorySlurm = {
  client: SlurmClient;
  nodes: Map<string, SlurmNode>;
  jobs: SlurmJob[];
  reservations: SlurmReservation[];
  /** Every call in order, as in `update n0 drain`. */
  calls: string[];
  latencyMs: number;
  /** What a call answers instead of reaching the controller; `null` = it answers. */
  trouble: ((call: SlurmCall) => string | null) | null;
  /** Runs when a call reaches the controller. */
  arrived: ((call: string) => void) | null;
  /** As a person with `scontrol update` does. */
  person(name: string, change: SlurmNodeChange): void;
  /** Puts a job on nodes, which are then ALLOCATED. */
  run(id: string, ...names: string[]): void;
  /** Ends a job; its nodes are COMPLETING until `settle`. */
  end(id: string): void;
  settle(id: string): void;
};

export function slurmNode(name: string, more: Partial<SlurmNode> = {}): SlurmNode {
  return {
    ...{ name, base: "IDLE", flags: [], reason: null, reasonBy: null, bootTime: 1_000 },
    reservation: null,
    ...{ slurmdStartedAt: 2_000, address: name, hostname: name, partitions: ["compute"] },
    ...{ gres: "gpu:h100:8", features: [] },
    ...more,
  };
}

export function slurmJob(id: string, more: Partial<SlurmJob> = {}): SlurmJob {
  return {
    ...{ id, state: "RUNNING", user: "alice", name: "train", partition: "compute" },
    ...{ reason: null, nodes: [], gpus: 8, nodeCount: 1, features: null },
    ...{ gpuTypes: [], requiredNodes: [] },
    ...{ submittedAt: 1_000, startedAt: 2_000, tasks: 1 },
    ...more,
  };
}

export function openMemorySlurm(clock: Clock, ...names: string[]): MemorySlurm {
  const nodes = new Map(names.map((name) => [name, slurmNode(name)]));
  const slurm: MemorySlurm = {
    ...{ nodes, jobs: [], reservations: [], calls: [] },
    ...{ latencyMs: 20, trouble: null, arrived: null },
    client: {
      describe: () => "memory, Slurm 22.05.8",
      nodes: (asked) => call("nodes", asked?.join() ?? "", () => listed(slurm, asked)),
      jobs: () => call("jobs", "", () => ok([...slurm.jobs])),
      reservations: () => call("reservations", "", () => ok([...slurm.reservations])),
      update: (asked, change) => {
        return call("update", `${asked.join()} ${change.state ?? "reason"}`, () => {
          return updated(slurm, asked, change, "navarch");
        });
      },
      remove: (asked) => call("remove", asked.join(), () => ok(null)),
      requeue: (id) => call("requeue", id, () => ok(null)),
      signal: (ids, signal) => call("signal", `${signal} ${ids.join()}`, () => ok(null)),
    },
    person: (name, change) => void updated(slurm, [name], change, "alice"),
    run(id, ...on) {
      slurm.jobs.push(slurmJob(id, { nodes: on }));
      for (const name of on) patch(slurm, name, { base: "ALLOCATED" });
    },
    end(id) {
      for (const job of slurm.jobs.filter((one) => one.id === id)) {
        job.state = "COMPLETING";
        for (const name of job.nodes) patch(slurm, name, { base: "IDLE" }, "COMPLETING");
      }
    },
    settle(id) {
      for (const { nodes: on } of slurm.jobs.filter((one) => one.id === id)) {
        for (const name of on) {
          const flags = slurm.nodes.get(name)?.flags.filter((flag) => flag !== "COMPLETING");
          patch(slurm, name, { flags: flags ?? [] });
        }
      }
      slurm.jobs = slurm.jobs.filter((one) => one.id !== id);
    },
  };
  async function call<T>(
    kind: SlurmCall,
    text: string,
    answer: () => SlurmAnswer<T>,
  ): Promise<SlurmAnswer<T>> {
    slurm.calls.push(`${kind} ${text}`.trim());
    const problem = slurm.trouble?.(kind) ?? null;
    await elapse(clock, slurm.latencyMs / 2);
    const arrived: SlurmAnswer<T> = problem === null ? answer() : failed(problem);
    if (problem === null) slurm.arrived?.(`${kind} ${text}`.trim());
    await elapse(clock, slurm.latencyMs / 2);
    return arrived;
  }
  return slurm;
}

function listed(
  { nodes }: MemorySlurm,
  asked: readonly string[] | undefined,
): SlurmAnswer<readonly SlurmNode[]> {
  const unknown = asked?.find((name) => !nodes.has(name));
  if (unknown !== undefined) return refused(`Node ${unknown} not found`);
  const list = asked ?? [...nodes.keys()];
  return ok(list.flatMap((name) => nodes.get(name) ?? []));
}

function updated(
  slurm: MemorySlurm,
  asked: readonly string[],
  { state, reason }: SlurmNodeChange,
  by: string,
): SlurmAnswer<null> {
  if (state === "drain" && reason === undefined) return refused("You must specify a reason");
  for (const name of asked) {
    const node = slurm.nodes.get(name);
    if (node === undefined) return refused(`Invalid node name specified: ${name}`);
    if (reason !== undefined) patch(slurm, name, { reason, reasonBy: by });
    if (state === "drain") patch(slurm, name, {}, "DRAIN");
    if (state === "down") patch(slurm, name, { base: "DOWN" });
    if (state !== "undrain" && state !== "resume") continue;
    patch(slurm, name, { flags: node.flags.filter((flag) => flag !== "DRAIN") });
    const base = state === "resume" ? "IDLE" : node.base;
    if (base !== "DOWN") patch(slurm, name, { base, reason: null, reasonBy: null });
  }
  return ok(null);
}

function patch(slurm: MemorySlurm, name: string, more: Partial<SlurmNode>, flag?: string): void {
  const node = slurm.nodes.get(name);
  if (node === undefined) throw new Error(`no node ${name}`);
  const flags = flag === undefined ? node.flags : [...new Set([...node.flags, flag])];
  slurm.nodes.set(name, { ...node, flags, ...more });
}

const ok = <T>(value: T): SlurmAnswer<T> => ({ kind: "ok", value });
const refused = (message: string): SlurmAnswer<never> => ({ kind: "refused", message });
const failed = (message: string): SlurmAnswer<never> => ({ kind: "failed", message });

function elapse(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}
