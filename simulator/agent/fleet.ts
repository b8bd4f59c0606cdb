/**
 * The simulated machines of all virtual Nodes of one provider, in this process: each runs the
 * agent's own core. A Node that goes takes its machine with it at once; one whose boot changed
 * boots; its annotation's faults are those of the machine.
 */
import type { Clock } from "../../agent/port/port.ts";
import { Machine, type MachineWorld } from "../machine/machine.ts";
import { failureOf, lastingFaults } from "./fault.ts";
import type { Wanted } from "./machine-of.ts";

export type FleetParts = {
  clock: Clock;
  random: () => number;
  /** Unique: findings are numbered in their stream, which a restart of this process loses. */
  newStream: () => string;
  openSender: NonNullable<MachineWorld["openSender"]>;
  /** Whether the agent's credential is here: it is not where another host runs the agents. */
  hasCredential(folder: string): boolean;
  adopt(machine: Machine, credential: string): void;
  /** The machine's power is off. */
  unplug(machine: Machine): void;
  /** The machine boots once more: its Node is to say so. */
  reboots(wanted: Wanted): void;
  log(line: string): void;
};

type Member = {
  wanted: Wanted;
  machine: Machine;
  /** Number of each injected fault, by its id. */
  numbers: Map<string, number>;
  /** Waits for its turn to start, or boots. */
  cancel: (() => void) | null;
};

/** Between two agents that start: a fleet that comes up at once would report at once for ever. */
const START_EVERY_MS = 5;
/** A reboot of a real machine takes minutes; a rehearsal is shorter. */
const REBOOT_MS = 5_000;

export class SimFleet {
  readonly #parts: FleetParts;
  readonly #members = new Map<string, Member>();
  readonly #byMachine = new Map<Machine, Member>();
  readonly #warned = new Set<string>();
  #serial = 0;
  /** Monotonic: when the next agent may start. */
  #turnMono = 0;

  constructor(parts: FleetParts) {
    this.#parts = parts;
  }

  /** Agents that run. */
  running(): number {
    return [...this.#members.values()].filter(({ machine }) => machine.isRunning()).length;
  }

  size(): number {
    return this.#members.size;
  }

  wantedOf(machine: Machine): Wanted | null {
    return this.#byMachine.get(machine)?.wanted ?? null;
  }

  /** A change of one Node, or its end. */
  take(before: Wanted | null, after: Wanted | null): void {
    if (before !== null && before.uid !== after?.uid) this.#end(before.uid);
    if (after === null) return;
    const member = this.#members.get(after.uid);
    if (member === undefined) return this.#begin(after);
    const isRebooted = member.wanted.boot.count !== after.boot.count;
    member.wanted = after;
    if (isRebooted) return this.#reboot(member);
    this.#setFaults(member);
  }

  /** Agents whose credential came after their Node. */
  retry(nodes: Iterable<Wanted>): void {
    for (const wanted of nodes) if (!this.#members.has(wanted.uid)) this.#begin(wanted);
  }

  /** With a last report of each, as systemd would stop them. */
  async stop(): Promise<void> {
    const all = [...this.#members.values()];
    for (const { cancel } of all) cancel?.();
    await Promise.all(all.map(({ machine }) => machine.stopAgent()));
  }

  #begin(wanted: Wanted): void {
    const { clock, hasCredential } = this.#parts;
    if (!hasCredential(wanted.folder)) {
      this.#warn(wanted, "its credential is not in this folder");
      return;
    }
    const machine = new Machine(wanted.identity, this.#world());
    const member: Member = { wanted, machine, numbers: new Map(), cancel: null };
    this.#members.set(wanted.uid, member);
    this.#byMachine.set(machine, member);
    const nowMono = clock.monoMs();
    this.#turnMono = Math.max(this.#turnMono + START_EVERY_MS, nowMono);
    this.#bootIn(member, this.#turnMono - nowMono);
  }

  #end(uid: string): void {
    const member = this.#members.get(uid);
    if (member === undefined) return;
    member.cancel?.();
    this.#powerOff(member);
    this.#members.delete(uid);
    this.#byMachine.delete(member.machine);
    this.#warned.delete(uid);
  }

  #reboot(member: Member): void {
    this.#powerOff(member);
    const sinceMs = this.#parts.clock.wallMs() - member.wanted.boot.atMs;
    this.#bootIn(member, Math.min(REBOOT_MS, Math.max(0, REBOOT_MS - sinceMs)));
  }

  #powerOff({ machine }: Member): void {
    machine.powerOff();
    this.#parts.unplug(machine);
  }

  #bootIn(member: Member, ms: number): void {
    member.cancel?.();
    member.cancel = this.#parts.clock.after(ms, () => {
      member.cancel = null;
      const { boot, bootId } = member.wanted;
      member.numbers.clear();
      member.machine.bootAs({ id: bootId, wallMs: boot.atMs });
      this.#setFaults(member);
    });
  }

  #setFaults(member: Member): void {
    const { machine, numbers, wanted } = member;
    const { faults } = wanted;
    if (!faults.ok) return this.#warn(wanted, faults.message);
    if (machine.bootId() === null) return;
    const lasting = lastingFaults(faults.faults, wanted.boot);
    const ids = new Set(lasting.map(({ id }) => id));
    for (const [id, number] of numbers) {
      if (ids.has(id)) continue;
      numbers.delete(id);
      machine.recover(number);
    }
    for (const fault of lasting) {
      if (numbers.has(fault.id)) continue;
      const number = ++this.#serial;
      numbers.set(fault.id, number);
      machine.inject(failureOf(fault, number), null, fault.atMs);
    }
  }

  #world(): MachineWorld {
    const { clock, random, newStream, openSender, adopt, reboots, log } = this.#parts;
    return {
      ...{ clock, random, openSender, adopt },
      deliver: () => Promise.resolve({ kind: "unreachable", message: "no connection" }),
      newStream,
      reboots: (machine) => {
        const wanted = this.wantedOf(machine);
        if (wanted !== null) reboots(wanted);
      },
      stirred: () => undefined,
      log: (machine, line) => {
        if (/^agent (warn|error) /.test(line)) log(`${machine.identity.name}: ${line}`);
      },
    };
  }

  /** Once for each Node: a fleet of them would fill the log. */
  #warn({ name, uid }: Wanted, why: string): void {
    if (this.#warned.has(uid)) return;
    this.#warned.add(uid);
    this.#parts.log(`Node ${name}: ${why}`);
  }
}
