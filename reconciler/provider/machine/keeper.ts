/**
 * Brings machines in line with the cloud's record, and the record in line with machines: what was
 * bought is booted, what is up is recorded as running, what was terminated is ended, and only what
 * is really gone is recorded as terminated. It works inside the journal's lock and remembers
 * nothing that another control plane could not read from the record and the machines again.
 */
import type { InstanceId } from "../../../schema/id.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { Scene } from "../fake/cloud.ts";
import type { Entry } from "../fake/entry.ts";
import type { Held } from "../fake/world.ts";
import type { MachineOrder, Machines } from "./port.ts";

/**
 * How soon to look again at a machine that is on its way: a boot takes half a second, and a look is
 * a few small files.
 */
const LOOK_MS = 50;

/** While the image is in the making, which takes half a minute. */
const NOT_READY_MS = 500;

export type KeeperOptions = {
  machines: Machines;
  /** From an accepted create to power on. */
  bootDelayMs: number;
  problem: (message: string) => void;
};

export class MachineKeeper {
  readonly #options: KeeperOptions;
  /** Instances that are on their way to somewhere. */
  readonly #open = new Set<InstanceId>();
  /** The public keys of an ask are in its entry and nowhere else. */
  readonly #sshKeys = new Map<InstanceId, readonly string[]>();
  /** Machines that do not boot, with why: reported once each. */
  readonly #failed = new Map<InstanceId, string>();

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Takes note of what happened, whoever wrote it and however long ago. */
  see(entries: readonly Entry[]): void {
    for (const entry of entries) {
      switch (entry.kind) {
        case "create.accepted":
          this.#sshKeys.set(entry.id, entry.request.sshKeys);
          break;
        case "landed":
          this.#open.add(entry.instance.id);
          break;
        case "rebooted":
        case "terminate.accepted":
          this.#failed.delete(entry.id);
          this.#open.add(entry.id);
          break;
        case "vanished":
        case "dropped":
          this.#forget(entry.id);
          break;
        default:
          break;
      }
    }
  }

  /** The first machine that does not boot, for a person; `null` while all do. */
  trouble(): string | null {
    const [first] = this.#failed;
    return first === undefined ? null : `${first[0]} does not boot: ${first[1]}`;
  }

  #forget(id: InstanceId): void {
    this.#open.delete(id);
    this.#sshKeys.delete(id);
    this.#failed.delete(id);
    this.#options.machines.remove(id);
  }

  /** When to call again, in milliseconds, or `null` when all is as it should be. */
  keep(scene: Scene): number | null {
    let soonMs: number | null = null;
    for (const id of this.#open) {
      const held = scene.world.instances.get(id);
      const waitMs = held === undefined ? null : this.#keepOne(scene, held);
      if (waitMs === null) this.#open.delete(id);
      else soonMs = Math.min(soonMs ?? Infinity, waitMs);
    }
    return soonMs;
  }

  /** How long until it must be looked at again, or `null`. */
  #keepOne(scene: Scene, held: Held): number | null {
    const { machines } = this.#options;
    switch (held.instance.state) {
      case "provisioning":
        return this.#raise(scene, held);
      case "running":
        if (held.reboots > 0) machines.reset(this.#orderOf(held), held.reboots);
        return null;
      case "terminating":
        return this.#lower(scene, held.instance.id);
      case "terminated":
      case "stopped":
        return null;
      default:
        return unreachable(held.instance.state);
    }
  }

  #orderOf({ instance: { id, name } }: Held): MachineOrder {
    return { id, name, sshKeys: this.#sshKeys.get(id) ?? [] };
  }

  #raise(scene: Scene, held: Held): number | null {
    const { machines, bootDelayMs, problem } = this.#options;
    const { id, createdAtMs } = held.instance;
    const waitMs = createdAtMs + bootDelayMs - scene.nowMs;
    if (waitMs > 0) return waitMs;
    let state = machines.look(id);
    if (state.kind === "absent") {
      if (!machines.ready()) return NOT_READY_MS;
      machines.boot(this.#orderOf(held));
      state = machines.look(id);
    }
    switch (state.kind) {
      case "up":
      case "off": {
        // Off already: it ran, however short, and is listed as stopped from now on.
        const internalIp = machines.facts(id)?.address ?? "";
        scene.record([{ kind: "running", atMs: scene.nowMs, id, internalIp }]);
        return null;
      }
      case "failed":
        // The instance stays as it is, a machine that never came up: the product must cope.
        if (!this.#failed.has(id)) problem(`${id} does not boot: ${state.why}`);
        this.#failed.set(id, state.why);
        return null;
      case "absent":
      case "booting":
      case "ending":
      case "gone":
        return LOOK_MS;
      default:
        return unreachable(state);
    }
  }

  #lower(scene: Scene, id: InstanceId): number | null {
    const { machines } = this.#options;
    if (machines.look(id).kind !== "gone") machines.end(id);
    if (machines.look(id).kind !== "gone") return LOOK_MS;
    scene.record([{ kind: "terminated", atMs: scene.nowMs, id }]);
    return null;
  }
}
