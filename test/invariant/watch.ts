/**
 * Stands between the product and its world and writes down what passes: rows as they are committed,
 * calls at their first byte, what the cloud records. It changes nothing that passes. The rows it
 * keeps are the store's own words: what a commit wrote, and what a process found when it loaded.
 */
import type { Entry } from "../../reconciler/provider/fake/entry.ts";
import type { Fence, Instance, Provider } from "../../reconciler/core/provider.ts";
import { aroundProvider } from "../../reconciler/provider/around.ts";
import type { Scheduler } from "../../reconciler/core/kubernetes/scheduler.ts";
import type { Change, Snapshot, Store } from "../../reconciler/core/store.ts";
import type { InstanceId, NodeId, OperationId } from "../../schema/id.ts";
import type { OperationKind } from "../../schema/operation.ts";
import { factKey } from "../../schema/safety.ts";
import { aroundScheduler } from "../world/around.ts";
import type { Call, Commit, Live, Rows, SlurmWork } from "../world/observation.ts";

export type WatchPorts = {
  /** The control plane's wall clock, and the cloud's. Milliseconds. */
  wallMs(): number;
  cloudMs(): number;
  /** Why the product is blind by its newest sight. */
  blind(): readonly string[];
  fleetId: string;
  settleMs: number;
  /** Lists may lie now: each is compared with what the cloud bills. */
  doubtful(): boolean;
  /** The work of Slurm on a machine, by its controller. */
  workOn(machine: InstanceId): SlurmWork | null;
  /** Told of each commit at once, while `rows` are as it left them. */
  committed(commit: Commit): void;
  /** Told of everything that passes, in order: for the trace. */
  trace(line: string): void;
};

export class Watch {
  readonly rows: Rows = {
    nodes: new Map(),
    pools: new Map(),
    operations: new Map(),
    closed: new Map(),
  };
  readonly live = new Map<InstanceId, Live>();
  /** Instances put there by somebody else: their names, before they are asked for. */
  readonly foreign = new Map<string, { decoy: boolean }>();
  /** Grows with every change of `live`. */
  version = 0;
  private calls: Call[] = [];
  private commits: Commit[] = [];
  /** Commits, and letters taken in, over the whole run. */
  writes = 0;
  /** What the newest of them was about. */
  lastWrite = (): string => "none";
  /** Breakers that are not closed, by scope. */
  readonly breakers = new Set<string>();
  launches = 0;
  ends = 0;
  private readonly ports: WatchPorts;
  private readonly askedAt = new Map<InstanceId, { at: number; token: string; lost?: true }>();

  constructor(ports: WatchPorts) {
    this.ports = ports;
  }

  /** What passed since the last call. */
  take(): { calls: Call[]; commits: Commit[] } {
    const { calls, commits } = this;
    this.calls = [];
    this.commits = [];
    return { calls, commits };
  }

  /** The database is gone: nothing of it is known any more. */
  forget(): void {
    for (const part of Object.values(this.rows)) part.clear();
    this.breakers.clear();
    // What was asked for before lands in a world that cannot know of it.
    for (const asked of this.askedAt.values()) asked.lost = true;
  }

  /** `isStale`: another process has loaded since; what is told late of this one is known. */
  store(store: Store, isStale: () => boolean = () => false): Store {
    return new Proxy(store, {
      get: (target, name) => {
        if (name === "commit") {
          return async (change: Change): Promise<void> => {
            await target.commit(change);
            if (!isStale()) this.committed(change);
          };
        }
        if (name === "load") {
          return async (): Promise<Snapshot> => {
            const snapshot = await target.load();
            this.loaded(snapshot);
            return snapshot;
          };
        }
        if (name === "appendEntries") {
          return async (...args: Parameters<Store["appendEntries"]>): Promise<number[]> => {
            const ids = await target.appendEntries(...args);
            this.writes++;
            this.lastWrite = () => `letter of ${args[0].map((one) => one.entry.node).join(", ")}`;
            return ids;
          };
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  private loaded({ nodes, pools, openOperations }: Snapshot): void {
    const { rows } = this;
    const before = [...rows.operations.keys()];
    rows.nodes = new Map(nodes.map((node) => [node.id, node]));
    rows.pools = new Map(pools.map((pool) => [pool.name, pool]));
    rows.operations = new Map(openOperations.map((one) => [one.id, one]));
    for (const id of before) if (!rows.operations.has(id)) rows.closed.set(id, "done");
  }

  private committed(change: Change): void {
    // Forgetting what is long gone is no activity.
    const isNews = Object.entries(change).some(([k, v]) => k !== "removedNodes" && v.length > 0);
    if (isNews) this.writes++;
    this.lastWrite = () => `commit of ${JSON.stringify(change).slice(0, 300)}`;
    const { rows, ports } = this;
    const was = <Key, Value>(from: ReadonlyMap<Key, Value>, keys: Iterable<Key>) => {
      const out = new Map<Key, Value>();
      for (const key of keys) {
        const value = from.get(key);
        if (value !== undefined) out.set(key, value);
      }
      return out;
    };
    const commit: Commit = {
      at: ports.wallMs(),
      change,
      nodesBefore: was(
        rows.nodes,
        change.nodes.map((one) => one.id),
      ),
      poolsBefore: was(
        rows.pools,
        change.pools.map((one) => one.name),
      ),
      operationsBefore: was(
        rows.operations,
        change.operations.map((one) => one.id),
      ),
      nodes: rows.nodes,
      blind: ports.blind(),
    };
    for (const node of change.nodes) rows.nodes.set(node.id, node);
    for (const id of change.removedNodes) rows.nodes.delete(id);
    for (const pool of change.pools) rows.pools.set(pool.name, pool);
    for (const one of change.operations) {
      if (one.state === "asked") rows.operations.set(one.id, one);
      else {
        rows.operations.delete(one.id);
        rows.closed.set(one.id, one.state);
      }
    }
    for (const fact of change.facts) if (fact.kind === "breaker") this.breakers.add(factKey(fact));
    for (const key of change.removedFacts) this.breakers.delete(key);
    this.commits.push(commit);
    ports.committed(commit);
    for (const { at, kind, node, message } of change.events) {
      ports.trace(`event ${at} ${kind} ${node ?? "-"} ${message}`);
    }
  }

  /** Everything the product asks of the cloud passes here, and every list that it is given. */
  /** `isOurs`: its lists show this fleet's machines. */
  provider(provider: Provider, isOurs = true): Provider {
    return aroundProvider(provider, async (call, next) => {
      if ("fence" in call) this.called(call.op, call.fence, { ...call, provider: provider.name });
      const answer = await next();
      if (isOurs && "instances" in answer) this.listed(answer.instances);
      return answer;
    });
  }

  scheduler(scheduler: Scheduler): Scheduler {
    return aroundScheduler(scheduler, ({ op, fence }, next) => {
      this.called(op, fence, {});
      return next();
    });
  }

  private called(
    kind: OperationKind,
    { nodeId, fence, sessionId }: Fence,
    sent: { provider?: string; request?: Call["request"]; instanceId?: InstanceId },
  ): void {
    const id = `${nodeId}.${fence}.${kind}` as OperationId;
    const target = sent.instanceId === undefined ? undefined : this.live.get(sent.instanceId);
    this.calls.push({
      at: this.ports.wallMs(),
      kind,
      node: nodeId,
      fence,
      session: sessionId,
      provider: sent.provider ?? null,
      request: sent.request == null ? null : structuredClone(sent.request),
      instanceId: sent.instanceId ?? null,
      operation: this.rows.operations.get(id) ?? null,
      subject: this.rows.nodes.get(nodeId as NodeId) ?? null,
      blind: this.ports.blind(),
      target: target === undefined ? null : { ...target },
      slurm: target === undefined ? null : this.ports.workOn(target.id),
    });
    this.ports.trace(`call ${this.ports.cloudMs()} ${kind} ${nodeId} ${fence}`);
  }

  /** What a complete list left out, or showed as terminated, although the cloud bills it. */
  private listed(instances: readonly Instance[]): void {
    if (!this.ports.doubtful()) return;
    const now = this.ports.cloudMs();
    const shown = new Map(instances.map((one) => [one.id, one.state]));
    for (const live of this.live.values()) {
      if (live.fleet !== this.ports.fleetId) continue;
      const state = shown.get(live.id);
      if (state === "terminated") live.reportedGone = true;
      if (state !== undefined) {
        live.absentListings = 0;
        live.absentAt = null;
        continue;
      }
      live.absentListings++;
      live.absentAt ??= now;
      const settled = now - live.absentAt >= this.ports.settleMs;
      if (live.absentListings >= 2 && settled) live.reportedGone = true;
    }
  }

  /** The cloud's own record, entry by entry. */
  entry(entry: Entry): void {
    switch (entry.kind) {
      case "create.accepted":
        this.askedAt.set(entry.id, { at: entry.atMs, token: entry.request.token });
        break;
      case "dropped":
        this.askedAt.delete(entry.id);
        break;
      case "landed":
        this.landed(entry.instance, entry.atMs);
        break;
      case "running":
        this.enter(entry.id, "running");
        break;
      case "terminate.accepted":
        this.enter(entry.id, "terminating");
        break;
      case "terminated":
        this.live.delete(entry.id);
        this.ends++;
        break;
      default:
        return;
    }
    this.version++;
    this.ports.trace(`cloud ${entry.atMs} ${entry.kind} ${"id" in entry ? entry.id : ""}`);
  }

  private enter(id: InstanceId, state: string): void {
    const live = this.live.get(id);
    if (live !== undefined) live.state = state;
  }

  private landed(instance: Instance, atMs: number): void {
    const { id, name, tags, pricePerHour, state } = instance;
    const asked = this.askedAt.get(id);
    const planted = this.foreign.get(name);
    this.askedAt.delete(id);
    this.launches++;
    this.live.set(id, {
      id,
      name,
      token: asked?.token ?? "",
      slot: `${tags["navarch-pool"]}/${tags["navarch-slot"]}`,
      node: tags["navarch-node"] ?? "",
      fleet: tags["navarch-fleet"] ?? null,
      state,
      askedAt: asked?.at ?? atMs,
      landedAt: atMs,
      pricePerHour,
      foreign: planted !== undefined || asked?.lost === true,
      decoy: planted?.decoy ?? false,
      absentListings: 0,
      absentAt: null,
      reportedGone: false,
    });
  }
}
