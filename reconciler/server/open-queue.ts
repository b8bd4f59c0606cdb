/**
 * Opens the demand queue of one term. The loop reads its demand and the queue reads the fleet, so
 * the one is opened after the other, and until then no task asks for anything.
 */
import type { Clock, Log } from "../core/clock.ts";
import { capacityOf } from "../core/console/capacity.ts";
import { type DemandQueue, noDemandQueue, type TaskDemand } from "../core/console/demand.ts";
import type { Store } from "../core/store.ts";
import { LedQueue } from "../runtime/demand-queue.ts";
import type { Reconciler } from "../runtime/loop.ts";

type Parts = { clock: Clock; log: Log; newId(): string; dryRun: boolean };

type Term = { reconciler: Reconciler; leads(): boolean };

const DRY = "the queue takes no tasks: this control plane runs with --dry-run";

export type LateQueue = {
  demandOf: TaskDemand;
  open(parts: Parts, store: Store, term: Term): Promise<DemandQueue>;
  start(): void;
  stop(): Promise<void>;
};

export function lateQueue(): LateQueue {
  let queue: LedQueue | null = null;
  return {
    demandOf: (pool) => queue?.demandOf(pool) ?? null,
    async open({ clock, log, newId, dryRun }, store, { reconciler, leads }) {
      if (dryRun) return noDemandQueue(DRY);
      const settings = () => {
        const { reservedPercent, backlogPerSlot, leaseMs } = reconciler.activeConfig().queue;
        return { reserved: reservedPercent / 100, backlog: backlogPerSlot, leaseMs };
      };
      const capacity = (): number => capacityOf(reconciler.fleet());
      const table = store.taskTable();
      queue = await LedQueue.open({ table, clock, log, newId, leads, settings, capacity });
      return queue;
    },
    start: () => queue?.start(),
    stop: async () => queue?.stop(),
  };
}
