/**
 * Records a run: faults injected into machines (the ground truth), the product's committed events
 * and findings, calls to the clouds, and samples of the product's counts. Both sides are kept
 * apart, so that missed faults and false alarms can be counted.
 */
import type { Entry } from "../../reconciler/provider/fake/entry.ts";
import type { KubeWrite } from "../cluster/world.ts";
import type { Change } from "../../reconciler/core/store.ts";
import type { EventDraft } from "../../schema/event.ts";
import type { Cause, Failure } from "../scenario/fault.ts";
import type { Population, Member } from "../stack/population.ts";
import { explains, isSeenInEvent, type Injection } from "./detection.ts";

export type Sample = {
  atMs: number;
  total: number;
  healthy: number;
  unhealthy: number;
  degraded: number;
  failures: number;
  recoveries: number;
  outages: number;
};

/** One line of `events.jsonl`; `t_ms` counts from the start of the scenario. */
export type Line = { t_ms: number; source: string; kind: string; node: string | null } & Record<
  string,
  unknown
>;

/** A node's events shown in the report; its log has more. */
const NODE_EVENTS_MAX = 200;

export type NodeRecord = {
  failures: number;
  recoveries: number;
  events: NodeEvent[];
  /** Kinds of the product's events in order, for `event_order`. */
  kinds: string[];
};

export type NodeEvent = {
  atMs: number;
  type: string;
  status: string | null;
  message: string;
  failureType: string | null;
  xidCode: number | null;
  rule: string | null;
  result: string | null;
};

export class RunRecord {
  readonly injections: Injection[] = [];
  readonly timeline: Sample[] = [];
  readonly latencies: number[] = [];
  readonly replaceMs: number[] = [];
  readonly nodes = new Map<string, NodeRecord>();
  readonly rules = new Map<string, { hits: number; result: string }>();
  recoveries = 0;
  cascades = 0;
  outages = 0;
  activeOutages = 0;
  launches = 0;
  terminations = 0;
  undrained = 0;
  falsePositives = 0;
  unavailableMax = 0;
  frozenMs = 0;
  started = 0;
  /** When the last node registered, milliseconds of the run; `null` before the first. */
  registeredMs: number | null = null;
  /** What the policy made of each code that was reported. */
  readonly xidResults = new Map<number, string>();
  readonly #unavailable = new Set<string>();
  readonly #population: Population;
  readonly #elapsed: () => number;
  readonly #line: (line: Line) => void;
  readonly #byFailure = new Map<number, Injection>();
  /** Not yet seen by the product, by node. */
  readonly #open = new Map<string, Injection[]>();
  /** Failures that have not ended, by node. */
  readonly #active = new Map<string, Set<Injection>>();
  readonly #hurt = new Set<string>();
  readonly #drained = new Set<string>();
  readonly #served = new Set<string>();
  readonly #lost = new Set<string>();
  /** When the product first doubted a node, for how long its replacement took. */
  readonly #doubted = new Map<string, number>();
  /** What holds destruction back now: a person's freeze, and every scope whose breaker is open. */
  readonly #freezes = new Set<string>();
  #frozenSince: number | null = null;

  constructor(population: Population, elapsed: () => number, line: (line: Line) => void) {
    this.#population = population;
    this.#elapsed = elapsed;
    this.#line = line;
  }

  node(name: string): NodeRecord {
    let record = this.nodes.get(name);
    if (record === undefined) {
      record = { failures: 0, recoveries: 0, events: [], kinds: [] };
      this.nodes.set(name, record);
    }
    return record;
  }

  injected(
    member: Member,
    failure: Failure,
    from: { cause: Cause | "scenario"; depth: number; name: string | null },
  ): void {
    const atMs = this.#elapsed();
    const active = this.#active.get(member.name) ?? new Set();
    const known = [...active].some((one) => isSame(one.failure, failure));
    const isAlive = member.machine.isRunning() && !member.machine.isCut();
    const injection: Injection = {
      node: member.name,
      failure,
      atMs,
      ...from,
      detectedMs: null,
      endedMs: null,
      // Neither a known failure nor a machine without a network brings news.
      countable: !known && (isAlive || failure.type === "network"),
    };
    this.injections.push(injection);
    this.#active.set(member.name, active.add(injection));
    this.#byFailure.set(failure.id, injection);
    this.#hurt.add(member.name);
    if (from.cause === "cascade") this.cascades++;
    const open = this.#open.get(member.name) ?? [];
    this.#open.set(member.name, [...open, injection]);
    const { type, xidCode, gpuIndex, message } = failure;
    this.#tell(member.name, "failure", message ?? type, { type, xidCode });
    this.node(member.name).failures++;
    const more = { failure: type, xid: xidCode, gpu: gpuIndex, id: failure.id, ...from };
    this.line(from.cause === "scenario" ? "scenario" : "chaos", "inject", member.name, more);
  }

  recovered(member: Member, failure: Failure): void {
    const injection = this.#byFailure.get(failure.id);
    if (injection !== undefined) {
      injection.endedMs = this.#elapsed();
      this.#active.get(member.name)?.delete(injection);
    }
    this.recoveries++;
    this.node(member.name).recoveries++;
    this.#tell(member.name, "recovery", failure.type, failure);
    this.line("chaos", "recover", member.name, { failure: failure.type, id: failure.id });
  }

  outage(kind: "outage_start" | "outage_end", name: string, nodes: readonly string[]): void {
    if (kind === "outage_start") this.outages++;
    this.activeOutages += kind === "outage_start" ? 1 : -1;
    this.line("chaos", kind, null, { name, nodes });
  }

  /** What the product has just made durable. */
  committed(change: Change): void {
    for (const { node, finding } of change.findings) {
      const name = this.#population.nameOf(node);
      this.#detect(name, (injection) => explains(injection.failure, finding));
    }
    for (const event of change.events) this.#event(event);
    for (const node of change.nodes) {
      const name = this.#population.nameOf(node.id);
      const { kind } = node.phase;
      if (kind === "serving") this.#served.add(name);
      const out = this.#served.has(name) && kind !== "serving" && kind !== "gone";
      const cordoned = node.cordon.product !== null || node.cordon.human !== null;
      if (out || (cordoned && kind !== "gone")) this.#unavailable.add(name);
      else this.#unavailable.delete(name);
    }
    this.unavailableMax = Math.max(this.unavailableMax, this.#unavailable.size);
  }

  #detect(name: string, matches: (injection: Injection) => boolean): void {
    const open = this.#open.get(name);
    if (open === undefined) return;
    const left = open.filter((injection) => {
      if (!matches(injection)) return true;
      injection.detectedMs = this.#elapsed();
      return false;
    });
    if (left.length === 0) this.#open.delete(name);
    else this.#open.set(name, left);
  }

  #event(event: EventDraft): void {
    const { kind, message, actor, pool } = event;
    const name = event.node === null ? null : this.#population.nameOf(event.node);
    this.line("product", kind, name, { id: event.node, pool, actor, message });
    this.#freeze(kind, message);
    if (name === null) return;
    const judged = /\((healthy|degraded|unhealthy), rule (.+)\)$/.exec(message);
    const [, result = null, rule = null] = kind === "node.finding" ? (judged ?? []) : [];
    if (rule !== null && result !== null) {
      const hits = (this.rules.get(rule)?.hits ?? 0) + 1;
      this.rules.set(rule, { hits, result });
      const code = /^XID (\d+)/.exec(message)?.[1];
      if (code !== undefined) this.xidResults.set(Number(code), result);
    }
    this.#tell(name, kind, message, null, { rule, result });
    this.node(name).kinds.push(kind);
    this.#detect(name, (injection) => isSeenInEvent(injection.failure, kind));
    this.#story(name, kind);
  }

  #story(name: string, kind: EventDraft["kind"]): void {
    const now = this.#elapsed();
    switch (kind) {
      case "node.registered":
        this.registeredMs = now;
        break;
      case "node.unhealthy":
      case "node.silent":
        if (!this.#hurt.has(name)) this.falsePositives++;
        if (!this.#doubted.has(name)) this.#doubted.set(name, now);
        break;
      case "instance.lost":
        this.#lost.add(name);
        if (!this.#doubted.has(name)) this.#doubted.set(name, now);
        break;
      case "node.recovered":
        this.#doubted.delete(name);
        break;
      case "node.drained":
        this.#drained.add(name);
        break;
      case "node.replaced": {
        const from = this.#doubted.get(name);
        if (from !== undefined) this.replaceMs.push(now - from);
        break;
      }
      default:
        break;
    }
  }

  cloud(provider: string, entry: Entry): void {
    if (entry.kind === "create.accepted") {
      // Instances placed by the scenario were not bought in this run.
      if (entry.request.token.startsWith("scenario-")) return;
      this.launches++;
    } else if (entry.kind === "terminate.accepted") {
      const name = entry.nodeId === null ? null : this.#population.nameOf(entry.nodeId);
      if (name !== null) {
        this.terminations++;
        const served = this.#served.has(name) && !this.#lost.has(name);
        if (served && !this.#drained.has(name)) this.undrained++;
      }
    } else if (!["create.refused", "terminate.refused", "rebooted"].includes(entry.kind)) {
      return;
    }
    const node = "nodeId" in entry && entry.nodeId !== null ? entry.nodeId : null;
    const name = node === null ? null : this.#population.nameOf(node);
    this.line("cloud", entry.kind, name, { provider, id: node });
  }

  /** Every change in the cluster except leases. */
  kube({ verb, resource, namespace, name, manager, by }: KubeWrite): void {
    if (resource === "leases") return;
    const node = resource.startsWith("nodes") ? name : null;
    const object = namespace === "" ? name : `${namespace}/${name}`;
    this.line("kubernetes", `${verb} ${resource}`, node, { object, manager, by });
  }

  #freeze(kind: EventDraft["kind"], message: string): void {
    const [, scope = null, state = ""] = /^breaker of (\S+) is ([a-z-]+)/.exec(message) ?? [];
    if (kind === "safety.frozen") this.#freezes.add("person");
    else if (kind === "safety.released") this.#freezes.delete("person");
    else if (kind !== "safety.breaker" || scope === null) return;
    else if (state === "open") this.#freezes.add(scope);
    else this.#freezes.delete(scope);
    if (this.#freezes.size > 0) this.#frozenSince ??= this.#elapsed();
    else this.#thaw();
  }

  #thaw(): void {
    if (this.#frozenSince === null) return;
    this.frozenMs += this.#elapsed() - this.#frozenSince;
    this.#frozenSince = null;
  }

  /** Ends what is still open. */
  close(): void {
    this.#thaw();
  }

  line(source: string, kind: string, node: string | null, more: Record<string, unknown>): void {
    this.#line({ t_ms: this.#elapsed(), source, kind, node, ...more });
  }

  #tell(
    name: string,
    type: string,
    message: string,
    failure: { type: string; xidCode: number | null } | null,
    judged: { rule: string | null; result: string | null } = { rule: null, result: null },
  ): void {
    const { events } = this.node(name);
    if (events.length >= NODE_EVENTS_MAX) return;
    events.push({
      atMs: this.#elapsed(),
      type,
      status: null,
      message,
      failureType: failure?.type ?? null,
      xidCode: failure?.xidCode ?? null,
      ...judged,
    });
  }
}

function isSame(a: Failure, b: Failure): boolean {
  return a.type === b.type && a.xidCode === b.xidCode && a.gpuIndex === b.gpuIndex;
}
