/**
 * The copy of the durable fleet in memory: one writer, one transaction at a time. During an
 * activation it includes staged changes, so that the plan uses the facts just folded, and both are
 * written in one transaction before any call starts. After a transaction with an unknown outcome
 * the store is read again.
 */
import type { Command } from "../../schema/command.ts";
import type { Config } from "../../schema/config.ts";
import type { CommandId, NodeId } from "../../schema/id.ts";
import type { ClusterInformer } from "./cluster-informer.ts";
import type { Clock } from "../core/clock.ts";
import {
  UnitOfWork,
  mergeChanges,
  type Mirror,
  mirrorChange,
  newMirror,
} from "../core/unit-of-work.ts";
import type { Fleet } from "../core/fleet.ts";
import { newPoolState } from "../core/fold/new-pool.ts";
import { recoverSnapshot } from "../core/fold/unreadable.ts";
import { deliveriesOf } from "../core/notify.ts";
import { type InboxBounds, takeFairly } from "./inbox.ts";
import { serial } from "../store/serial.ts";
import { type Change, emptyChange, isEmptyChange } from "../core/store.ts";
import type { Store, StoredEntry } from "../core/store.ts";

/** Far more orders than people give between a commit and its reload. */
const SETTLED_MAX = 1_000;

type LedgerFrom = {
  store: Store;
  clock: Clock;
  config(): Config;
  fleetId: string;
  committed: (change: Change) => void;
  informer: Pick<ClusterInformer, "told" | "doubt">;
};

export class Ledger {
  private readonly from: LedgerFrom;
  private mirror: Mirror = newMirror();
  private entries: StoredEntry[] = [];
  /** Highest inbox id taken in: ids grow, and this process is the only writer. */
  private newestEntry = 0;
  private commands: Command[] = [];
  /** Recently applied orders, so that none that a reload returns is applied twice. */
  private readonly settled = new Set<CommandId>();
  private readonly waiters = new Map<CommandId, (command: Command) => void>();
  private stale = true;
  /** Visible in memory, not written yet. */
  private staged: Change | null = null;
  /** Runs one task at a time: a second would overwrite what the first has not committed. */
  readonly alone = serial();

  constructor(from: LedgerFrom) {
    this.from = from;
  }

  fleet(): Fleet {
    const { nodes, pools, operations, facts } = this.mirror;
    return { fleetId: this.from.fleetId, nodes, pools, operations, facts };
  }

  /** `<provider>/<instance id>` → node. */
  nodeOfInstance(key: string): NodeId | null {
    return this.mirror.byInstance.get(key) ?? null;
  }

  /** The live node with this id, compared without case. */
  nodeLike(id: NodeId): NodeId | null {
    return this.mirror.byLowerCase.get(id.toLowerCase()) ?? null;
  }

  /** The live node whose Kubernetes object has the name, unless it is matched by the name alone. */
  nodesOfObject(name: string): NodeId[] {
    const id = this.mirror.byObject.get(name);
    const by = id === undefined ? undefined : this.mirror.nodes.get(id)?.kube?.by;
    return id === undefined || by === "agent_name" ? [] : [id];
  }

  work(): UnitOfWork {
    return new UnitOfWork(this.mirror);
  }

  /** Makes a unit of work visible to this activation; `flush` writes all staged changes. */
  stage(work: UnitOfWork): void {
    const change = this.finish(work);
    if (change === null) return;
    mirrorChange(this.mirror, change);
    this.staged = this.staged === null ? change : mergeChanges(this.staged, change);
  }

  private finish(work: UnitOfWork): Change | null {
    const change = work.finish();
    if (change === null) return null;
    stampEpoch(change, this.from.store.epoch ?? 0);
    change.deliveries = deliveriesOf(change.events, this.from.config().server.notifier);
    return change;
  }

  /** Writes the staged changes in one transaction. Rejects if they may not have been written. */
  async flush(): Promise<void> {
    const change = this.staged;
    if (change === null) return;
    this.staged = null;
    await this.write(change);
    this.told(change);
  }

  /** Writes what a person asked for, and only then shows it. Nothing may be staged. */
  async commit(work: UnitOfWork): Promise<void> {
    const change = this.finish(work);
    if (change === null) return;
    await this.write(change);
    mirrorChange(this.mirror, change);
    this.told(change);
  }

  private async write(change: Change): Promise<void> {
    try {
      await this.from.store.commit(change);
    } catch (error) {
      this.stale = true;
      throw error;
    }
  }

  private told(change: Change): void {
    this.from.informer.told(change);
    this.from.committed(change);
  }

  /** Marks the copy in memory as possibly wrong. */
  doubt(): void {
    this.stale = true;
  }

  /** Reads the store again after `doubt`. Every open operation then counts as sent. */
  async refresh(): Promise<void> {
    // Changes that were staged and never written are dropped.
    if (this.staged !== null) this.stale = true;
    this.staged = null;
    if (!this.stale) return;
    const now = this.from.clock.wallMs();
    const { snapshot, change } = recoverSnapshot(await this.from.store.load(), now);
    const mirror = newMirror();
    mirrorChange(mirror, {
      ...emptyChange(),
      nodes: snapshot.nodes,
      pools: snapshot.pools,
      facts: snapshot.facts,
      // They may have been sent just now: the settle time of a tag-only provider starts here.
      operations: snapshot.openOperations.map((operation) => ({
        ...operation,
        attempts: Math.max(operation.attempts, 1),
        ...(operation.payload.kind === "create" ? { askedAt: now, lookups: 0 } : {}),
      })),
    });
    for (const { name, scaling } of this.from.config().pools) {
      if (mirror.pools.has(name)) continue;
      mirror.pools.set(name, newPoolState(name, scaling.minNodes, now));
    }
    this.mirror = mirror;
    this.stale = false;
    this.entries = snapshot.entries;
    this.raiseNewest(snapshot.entries);
    this.commands = snapshot.openCommands;
    // A standby shows the recovered rows, and the leader writes them.
    if (this.from.store.epoch !== null && !isEmptyChange(change)) {
      change.deliveries = deliveriesOf(change.events, this.from.config().server.notifier);
      this.staged = change;
    }
    // The cluster's last state may have been folded and not written.
    this.from.informer.doubt();
  }

  /** Adds stored entries; those that a refresh has already read are skipped. */
  addEntries(entries: StoredEntry[]): void {
    for (const entry of entries) if (entry.id > this.newestEntry) this.entries.push(entry);
    this.raiseNewest(entries);
  }

  takeEntries(bounds: InboxBounds): StoredEntry[] {
    return takeFairly(this.entries, bounds);
  }

  hasEntries(): boolean {
    return this.entries.length > 0;
  }

  /** Adds a stored order; resolves with its result. */
  addCommand(command: Command): Promise<Command> {
    const { id } = command;
    const known = this.settled.has(id) || this.commands.some((one) => one.id === id);
    if (!known) this.commands.push(command);
    const { promise, resolve } = Promise.withResolvers<Command>();
    this.waiters.set(id, resolve);
    return promise;
  }

  takeCommands(): Command[] {
    return this.commands.splice(0);
  }

  settle(command: Command): void {
    this.settled.add(command.id);
    for (const id of this.settled) {
      if (this.settled.size <= SETTLED_MAX) break;
      this.settled.delete(id);
    }
    this.waiters.get(command.id)?.(command);
    this.waiters.delete(command.id);
  }

  private raiseNewest(entries: StoredEntry[]): void {
    this.newestEntry = Math.max(this.newestEntry, entries[entries.length - 1]?.id ?? 0);
  }
}

/** New operations and sessions record the leader's epoch (docs/reference/invariants.md, I1). */
function stampEpoch(change: Change, epoch: number): void {
  change.operations = change.operations.map((one) => (one.epoch === 0 ? { ...one, epoch } : one));
  change.nodes = change.nodes.map((node) => {
    if (node.session === null || node.session.epoch !== 0) return node;
    return { ...node, session: { ...node.session, epoch } };
  });
}
