/**
 * Machines that exist as words only, for tests of the provider without root: each does at once what
 * it is ordered to, and keeps count.
 */
import type { InstanceId } from "../../../schema/id.ts";
import type { MachineFacts, MachineOrder, MachineState, Machines } from "./port.ts";

export type FakeMachines = Machines & {
  /** Of a machine that was booted. */
  set(id: InstanceId, state: MachineState): void;
  isReady: boolean;
  readonly boots: InstanceId[];
  readonly resets: InstanceId[];
  readonly credentials: Map<InstanceId, string>;
  readonly orders: Map<InstanceId, MachineOrder>;
};

export function openFakeMachines(): FakeMachines {
  const states = new Map<InstanceId, MachineState>();
  const facts = new Map<InstanceId, MachineFacts>();
  const done = new Map<InstanceId, number>();
  return {
    isReady: true,
    boots: [],
    resets: [],
    credentials: new Map(),
    orders: new Map(),
    ready() {
      return this.isReady;
    },
    set: (id, state) => void states.set(id, state),
    prepare(id, credential) {
      if (credential !== null) this.credentials.set(id, credential);
    },
    boot(order) {
      this.boots.push(order.id);
      this.orders.set(order.id, order);
      const address = `192.0.2.${10 + facts.size}`;
      facts.set(order.id, { address, hostKeys: [`ssh-ed25519 key-of-${order.name}`] });
      states.set(order.id, { kind: "up" });
    },
    look: (id) => states.get(id) ?? { kind: "absent" },
    facts: (id) => facts.get(id) ?? null,
    reset(order, count) {
      if (count <= (done.get(order.id) ?? 0)) return;
      done.set(order.id, count);
      this.resets.push(order.id);
      states.set(order.id, { kind: "up" });
    },
    end: (id) => void states.set(id, { kind: "gone" }),
    remove(id) {
      states.delete(id);
      facts.delete(id);
    },
  };
}
