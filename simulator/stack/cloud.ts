/**
 * One provider of a simulated run: the product's own cloud in memory, with the troubles that a
 * scenario orders in front of it. An order that fails here never reaches the cloud, except a
 * timeout, whose effect lands and whose answer does not come: that is what a timeout is.
 */
import type {
  CreateAnswer,
  Instance,
  Provider,
  RefusalClass,
  TerminateAnswer,
} from "../../reconciler/core/provider.ts";
import type { Clock } from "../../reconciler/core/clock.ts";
import type { Entry } from "../../reconciler/provider/fake/entry.ts";
import { aroundProvider } from "../../reconciler/provider/around.ts";
import { openMemoryCloud, type FakeControl } from "../../reconciler/provider/fake/memory.ts";
import type { InstanceId } from "../../schema/id.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { ApiFault, SimNode } from "../scenario/scenario.ts";

export const FLEET_ID = "sim";
/** The cloud's part of a start; what the machine needs is its cold start. */
const BOOT_MS = 1_000;
const END_MS = 1_000;

export type CloudEvents = {
  running(provider: string, instance: Instance): void;
  ended(provider: string, id: InstanceId): void;
  rebooted(id: InstanceId): void;
  entry(provider: string, entry: Entry): void;
};

type Trouble =
  | { kind: "refused"; class: RefusalClass; message: string; retryAfterMs: null }
  | { kind: "ambiguous"; message: string; lands: boolean };

function troubleOf(fault: ApiFault): Trouble {
  const message = `${fault.kind} by order of the scenario`;
  const refused = (cls: RefusalClass): Trouble => {
    return { kind: "refused", class: cls, message, retryAfterMs: null };
  };
  switch (fault.kind) {
    case "capacity":
      return refused("capacity");
    case "quota":
      return refused("quota");
    case "auth":
      return refused("auth");
    case "throttle":
      return refused("rate_limit");
    case "timeout":
      return { kind: "ambiguous", message, lands: true };
    case "error":
      return { kind: "ambiguous", message, lands: false };
    default:
      return unreachable(fault.kind);
  }
}

export class SimCloud {
  readonly name: string;
  readonly provider: Provider;
  readonly control: FakeControl;
  readonly #raw: Provider & FakeControl;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #events: CloudEvents;
  #fault: ApiFault | null = null;
  #hidden = new Set<string>();

  constructor(name: string, clock: Clock, random: () => number, events: CloudEvents) {
    this.name = name;
    this.#clock = clock;
    this.#random = random;
    this.#events = events;
    this.#raw = openMemoryCloud({
      name,
      clock: { wallMs: () => clock.wallMs(), after: (ms, work) => void clock.after(ms, work) },
      random,
      fleetId: FLEET_ID,
      terms: { bootMs: BOOT_MS, terminateMs: END_MS },
      onEntry: (entry) => this.#onEntry(entry),
    });
    this.control = this.#raw;
    this.provider = this.#wrap();
  }

  /** The failure that the scenario ordered, until the next one; `null` ends it. */
  setFault(fault: ApiFault | null): void {
    this.#fault = fault;
  }

  /** Ends it, unless another one came since. */
  endFault(fault: ApiFault): void {
    if (this.#fault === fault) this.#fault = null;
  }

  /** Buys the instance of a node that the scenario lists, as an earlier life of the product did. */
  async place(node: SimNode, slot: number): Promise<InstanceId> {
    const { pool } = node;
    const of = pool === null ? {} : { "navarch-pool": pool, "navarch-slot": String(slot) };
    const answer = await this.#raw.create(
      {
        token: `scenario-${node.id}`,
        name: `scenario-${node.id}`
          .toLowerCase()
          .replaceAll(/[^a-z0-9-]/g, "-")
          .slice(0, 63),
        nodeId: node.id,
        region: node.region === "" ? null : node.region,
        zone: node.zone === "" ? null : node.zone,
        instanceType: node.instanceType,
        tags: {
          "navarch-fleet": FLEET_ID,
          "navarch-node": node.id,
          ...of,
          "navarch-gen": "0",
        },
        market: "on-demand",
        reservation: null,
        sshKeys: [],
      },
      { nodeId: node.id, fence: 0, sessionId: null },
      null,
    );
    if (answer.kind !== "ok") throw new Error(`cannot place ${node.id}: ${answer.message}`);
    return answer.instance.id;
  }

  /** Ended by the cloud itself: `listed` = shown as ended, otherwise as if it had never been. */
  take(id: InstanceId, listed: boolean): void {
    if (!listed) this.#hidden.add(id);
    this.#raw.deleteInstance(id);
  }

  #onEntry(entry: Entry): void {
    const soon = (atMs: number): void => {
      const waitMs = Math.max(0, atMs - this.#clock.wallMs());
      this.#clock.after(waitMs, () => this.#raw.advance());
    };
    // Told while this cloud is being opened, to whom may not be there yet.
    if (entry.kind === "opened") return;
    this.#events.entry(this.name, entry);
    if (entry.kind === "create.accepted") soon(entry.landAtMs);
    if (entry.kind === "landed") soon(entry.runningAtMs);
    if (entry.kind === "terminate.accepted") soon(entry.terminatedAtMs);
    if (entry.kind === "terminated") this.#events.ended(this.name, entry.id);
    if (entry.kind === "rebooted") this.#clock.after(0, () => this.#events.rebooted(entry.id));
    if (entry.kind !== "running") return;
    // The entry arrives while the world is changing, so it is read afterwards.
    this.#clock.after(0, () => {
      const held = this.#raw.world().instances.get(entry.id);
      if (held?.instance.state === "running") this.#events.running(this.name, held.instance);
    });
  }

  #trouble(): Trouble | null {
    const fault = this.#fault;
    if (fault === null || (fault.rate < 1 && this.#random() >= fault.rate)) return null;
    return troubleOf(fault);
  }

  #wrap(): Provider {
    const raw = this.#raw;
    return {
      ...aroundProvider(raw, (_, call) => call()),
      create: (request, fence, credential) =>
        this.#meet<CreateAnswer>(() => raw.create(request, fence, credential)),
      terminate: (id, fence) => this.#end(() => raw.terminate(id, fence)),
      reboot: (id, fence) => this.#end(() => raw.reboot(id, fence)),
      list: async () => {
        const trouble = this.#fault?.kind === "capacity" ? null : this.#trouble();
        if (trouble !== null && this.#fault?.kind !== "quota") {
          const auth = trouble.kind === "refused" && trouble.class === "auth";
          return { kind: "failed", class: auth ? "auth" : "unavailable", message: trouble.message };
        }
        const answer = await raw.list();
        if (answer.kind !== "ok" || this.#hidden.size === 0) return answer;
        const instances = answer.instances.filter(({ id }) => !this.#hidden.has(id));
        return { kind: "ok", instances };
      },
    };
  }

  /** What is there already needs neither room nor quota. */
  #end<A>(call: () => Promise<A>): Promise<A | TerminateAnswer> {
    const kind = this.#fault?.kind;
    return kind === "capacity" || kind === "quota" ? call() : this.#meet(call);
  }

  async #meet<A>(call: () => Promise<A>): Promise<A | Exclude<CreateAnswer, { kind: "ok" }>> {
    const trouble = this.#trouble();
    if (trouble === null) return call();
    if (trouble.kind === "refused") return trouble;
    if (trouble.lands) await call();
    return { kind: "ambiguous", message: trouble.message };
  }
}
