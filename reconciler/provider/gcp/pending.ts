/**
 * Purchases that were accepted and do not run yet (docs/reference/gce.md#accepted-is-not-created).
 * An instance whose insert fails is never listed, or disappears; its operation tells why. Pure
 * except for its memory, which holds what this process asked for or found among the operations.
 */
import type { Instance, RefusalClass } from "../../core/provider.ts";
import type { InstanceId } from "../../../schema/id.ts";

export type Pending = {
  /** The insert. */
  operation: string;
  zone: string;
  instance: Instance;
  /** Bought by this process. */
  isKnown: boolean;
  /** When its failure was first known. */
  failedMono: number | null;
};

/** How long a failed purchase stays listed: many listings, also of a standby. */
const SHOWN_MS = 15 * 60_000;
/** More than one control plane buys at once; the oldest is forgotten first. */
const PENDING_MAX = 10_000;

export class Pendings {
  readonly #all = new Map<InstanceId, Pending>();

  add(pending: Omit<Pending, "failedMono">): void {
    const { id } = pending.instance;
    if (this.#all.has(id)) return;
    this.#all.set(id, { ...pending, failedMono: null });
    const [oldest] = this.#all.keys();
    if (this.#all.size > PENDING_MAX && oldest !== undefined) this.#all.delete(oldest);
  }

  has(id: InstanceId): boolean {
    return this.#all.has(id);
  }

  drop(id: InstanceId): void {
    this.#all.delete(id);
  }

  fail(id: InstanceId, cls: RefusalClass, message: string, nowMono: number): void {
    const pending = this.#all.get(id);
    if (pending === undefined || pending.failedMono !== null) return;
    pending.failedMono = nowMono;
    const failure = { class: cls, message };
    pending.instance = { ...pending.instance, state: "terminated", failure };
  }

  /** Forgets those that came up, and returns the ones that the list does not show. */
  absent(listed: readonly Instance[], nowMono: number): Pending[] {
    for (const { id, state } of listed) if (state !== "provisioning") this.#all.delete(id);
    for (const [id, { failedMono }] of this.#all) {
      if (failedMono !== null && nowMono - failedMono > SHOWN_MS) this.#all.delete(id);
    }
    const shown = new Set(listed.map(({ id }) => id));
    return [...this.#all.values()].filter(({ instance }) => !shown.has(instance.id));
  }
}
