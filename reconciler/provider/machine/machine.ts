/**
 * The `machine` provider: throw-away Debian machines on this computer, with a systemd, an sshd and
 * a disk of their own, bought and ended like any cloud's. It is of class `name`: a repeated create
 * with the same name is answered with the same instance. The control plane can be killed at any
 * instant and opened again, or share the bed with another one; machines do not notice.
 */
import type { InstanceId } from "../../../schema/id.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { Cloud } from "../fake/cloud.ts";
import type { CloudClock, FakeControl } from "../fake/cloud.ts";
import type { Faults } from "../fake/fault.ts";
import { DEFAULT_TERMS, isLive } from "../fake/world.ts";
import type { Terms } from "../fake/world.ts";
import type {
  CreateAnswer,
  CreateRequest,
  Fence,
  Instance,
  InstanceState,
  ListAnswer,
  Provider,
} from "../../core/provider.ts";
import { MachineGround } from "./ground.ts";
import { MACHINES_MAX } from "./place.ts";
import type { Machines } from "./port.ts";

export type MachineProviderOptions = {
  /** The provider's name in the configuration. */
  name: string;
  /** The bed's own folder; whoever has it has its machines. */
  stateDir: string;
  machines: Machines;
  bootDelayMs: number;
  clock: CloudClock;
  /** 0 ≤ x < 1. */
  random: () => number;
  fleetId: string;
  /** How the cloud's interface misbehaves from the beginning. */
  faults?: Faults;
  problem?: (message: string) => void;
  /** Why no machine at all can be booted; `null` = nothing known. */
  trouble?: () => string | null;
};

export type MachineProvider = Provider & FakeControl;

/** What a machine that ran is now, whoever made it so: the record says only what was ordered. */
function stateNow(machines: Machines, id: InstanceId): InstanceState {
  const { kind } = machines.look(id);
  switch (kind) {
    case "up":
    case "booting":
      return "running";
    case "off":
    case "failed":
      return "stopped";
    case "ending":
      return "terminating";
    case "gone":
    case "absent":
      return "terminated";
    default:
      return unreachable(kind);
  }
}

/** The instance as the record has it, with what only its machine can tell. */
function seen(machines: Machines, instance: Instance): Instance {
  const facts = machines.facts(instance.id);
  return {
    ...instance,
    ...(facts === null ? {} : { hostKeys: facts.hostKeys }),
  };
}

/**
 * An interface that lies or lags shows what it shows: only an instance that is running, and is told
 * so, is looked at for whether its machine is.
 */
function allSeen(machines: Machines, ground: MachineGround, all: readonly Instance[]): Instance[] {
  const done = ground.section(({ world: { instances } }) =>
    all.filter(({ id }) => instances.get(id)?.instance.state === "running"),
  );
  const running = new Set(done.kind === "ok" ? done.value.map(({ id }) => id) : []);
  return all.map((one): Instance => {
    const isTrue = one.state === "running" && running.has(one.id);
    return seen(machines, isTrue ? { ...one, state: stateNow(machines, one.id) } : one);
  });
}

/**
 * Opens the cloud in `stateDir`, making it if there is none. Throws an `Error` for a person if its
 * folder cannot be written or its journal is damaged.
 */
export function openMachineProvider(options: MachineProviderOptions): MachineProvider {
  const { stateDir, machines, clock, random, fleetId, bootDelayMs } = options;
  const terms: Terms = { ...DEFAULT_TERMS, class: "name", name: options.name };
  const problem = options.problem ?? (() => undefined);
  const ground = new MachineGround({
    stateDir,
    terms,
    clock,
    random,
    machines,
    bootDelayMs,
    problem,
  });
  const opened = ground.open();
  if (opened.kind === "busy") {
    ground.close();
    throw new Error(`provider ${options.name}: cannot open ${stateDir}: ${opened.message}`);
  }
  const faults = options.faults ?? {};
  const cloud = new Cloud({ clock, random, fleetId, terms, settleMs: 0, faults }, ground);
  const isFull = ({ name }: CreateRequest): boolean => {
    const done = ground.section(({ world: { instances, names } }) => {
      const live = [...instances.values()].filter((held) => isLive(held.instance));
      return live.length >= MACHINES_MAX && !names.has(name);
    });
    return done.kind === "ok" && done.value;
  };
  const create = async (
    request: CreateRequest,
    fence: Fence,
    credential: string | null,
  ): Promise<CreateAnswer> => {
    if (isFull(request)) {
      const message = `this computer has ${MACHINES_MAX} machines`;
      return { kind: "refused", class: "quota", message, retryAfterMs: null };
    }
    const answer = await cloud.create(request, fence, credential);
    return answer.kind === "ok"
      ? { kind: "ok", instance: seen(machines, answer.instance) }
      : answer;
  };
  const list = async (): Promise<ListAnswer> => {
    const answer = await cloud.list();
    if (answer.kind !== "ok") return answer;
    return { kind: "ok", instances: allSeen(machines, ground, answer.instances) };
  };
  return {
    name: options.name,
    type: "machine",
    class: "name",
    settleMs: 0,
    bringsAgent: false,
    canReboot: true,
    pricePerHour: () => null,
    create,
    trouble: () => options.trouble?.() ?? ground.trouble(),
    list,
    terminate: (id, fence) => cloud.terminate(id, fence),
    reboot: (id, fence) => cloud.reboot(id, fence),
    close: async () => ground.close(),
    setFaults: (next) => cloud.setFaults(next),
    world: () => cloud.world(),
    advance: () => cloud.advance(),
    nextDueMs: () => cloud.nextDueMs(),
    reality: () => cloud.reality(),
    deleteInstance: (id) => cloud.deleteInstance(id),
  };
}
