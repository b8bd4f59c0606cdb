/**
 * Sizes the StatefulSet whose pods are Slurm's nodes (`slurm.pods`) by the jobs of a partition, one
 * step at a time. Every step is derived from what the API server and slurmctld show, and what a
 * process keeps besides are waits: one that dies loses nothing, and another begins them again.
 */
import type { Config, SlurmConfig } from "../../../schema/config.ts";
import type { EventDraft } from "../../../schema/event.ts";
import { poolEvent } from "../../core/event-draft.ts";
import type { Clock, Log } from "../../core/clock.ts";
import type { Sight } from "../../core/fleet.ts";
import {
  decideAround,
  isOf,
  isOfPod,
  isPodUp,
  neededPods,
  podName,
  type PodNeed,
  type PodSight,
  type PodStep,
  Registrations,
} from "../../core/slurm/pod-scale.ts";
import type { PodPlace, PodSet, PodSetPort } from "../../core/slurm/pod-set.ts";
import { stepSurplus, type Surplus } from "../../core/scaling/surplus.ts";
import type { SlurmSink } from "../../core/slurm/sink.ts";
import type { UnitOfWork } from "../../core/unit-of-work.ts";
import type { Permit } from "./run.ts";

export type PodScalerPorts = {
  /** `null` = there is no cluster. */
  set: PodSetPort | null;
  slurm: SlurmSink;
  clock: Clock;
  log: Log;
  permit: Permit;
};

/** For people. */
export type PodStatus = {
  /** `null` = not read yet. */
  replicas: number | null;
  needed: PodNeed | null;
  state: "steady" | "step" | "wait" | "held" | "failed";
  why: string;
};

type Pods = SlurmConfig["pods"];
type Size = { place: PodPlace; partition: string; min: number; max: number; afterMs: number };
type Decided = { size: Size; set: PodSet; step: PodStep; need: PodNeed };
type Ok = { kind: "ok" } | { kind: "failed" | "refused"; message: string };

/** Between two looks at the StatefulSet; sooner after a step. */
const LOOK_MS = 5_000;
const AGAIN_MS = 1_000;
const CALL_MS = 10_000;
/** An image of tens of GB is pulled in that time; a node that is not up by then counts no more. */
const START_MS = 900_000;
/** Pods that are read in one step. */
const PODS_MAX = 64;

export class PodScaler {
  readonly #ports: PodScalerPorts;
  #surplus: Surplus | null = null;
  /** Since when nodes of pods have not been up; monotonic. */
  #downSince = new Map<string, number>();
  readonly #registrations = new Registrations();
  #status: PodStatus | null = null;
  #events: EventDraft[] = [];
  #isRunning = false;
  #nextMono = Number.NEGATIVE_INFINITY;

  constructor(ports: PodScalerPorts) {
    this.#ports = ports;
  }

  /** `null` = no StatefulSet is configured, or this process does not lead. */
  status(): PodStatus | null {
    return this.#status;
  }

  /** Called by every activation of the leader. */
  follow(
    { config, sight }: { config: Config; sight: Pick<Sight, "frozen"> },
    work: Pick<UnitOfWork, "tell">,
  ): void {
    if (this.#events.length > 0) work.tell(this.#events.splice(0));
    const size = sizeOf(config.slurm.pods);
    if (size === null) return this.#forget();
    if (this.#isRunning || this.#ports.clock.monoMs() < this.#nextMono) return;
    if (sight.frozen !== null) return this.#say("wait", `the fleet is frozen: ${sight.frozen}`);
    this.#isRunning = true;
    this.#nextMono = this.#ports.clock.monoMs() + LOOK_MS;
    void this.#step(size)
      .catch((error: unknown) => this.#say("failed", String(error)))
      .finally(() => (this.#isRunning = false));
  }

  #forget(): void {
    if (this.#status !== null) this.#ports.slurm.pods.attend(new Set());
    this.#status = null;
    this.#surplus = null;
    this.#downSince.clear();
  }

  async #step(size: Size): Promise<void> {
    const { set: sets, slurm, clock } = this.#ports;
    if (sets === null) return this.#say("failed", "no Kubernetes cluster is attached");
    const queue = slurm.queue();
    const dark = slurm.dark();
    if (dark !== null || queue === null) {
      return this.#say("wait", `stands still until Slurm answers: ${dark ?? "not listed yet"}`);
    }
    const read = await sets.read(size.place);
    if (read.kind !== "ok") return this.#say("failed", `StatefulSet: ${read.message}`);
    const set = read.value;
    const seen = { nodes: slurm.nodes().list, jobs: queue.jobs };
    const need = neededPods(set, seen, size, this.#late(set, seen));
    const now = clock.monoMs();
    const { to } = need;
    const next = stepSurplus(this.#surplus, { to, size: set.replicas }, size.afterMs, now);
    const goal = { to: next.to, drains: next.isDue };
    this.#surplus = next.surplus;
    this.#status = { replicas: set.replicas, needed: need, state: "steady", why: "" };
    const ready = new Set<string>();
    let step = decideAround(set, seen, goal);
    if (step.kind === "release") {
      for (const name of await this.#ready(sets, size.place, step.names, seen)) ready.add(name);
      step = decideAround(set, seen, goal, (name) => ready.has(name));
    }
    // What is given up is judged by answers of now, that are newer than the StatefulSet's version.
    if (step.kind === "lower") {
      const fresh = await slurm.pods.look((name) => isOf(set, name));
      if (fresh.kind !== "ok") return this.#say("failed", `Slurm: ${fresh.message}`);
      step = decideAround(set, fresh.value, goal, (name) => ready.has(name));
    }
    this.#await(step);
    await this.#act(sets, { size, set, step, need });
  }

  async #act(sets: PodSetPort, { size, set, step, need }: Decided): Promise<void> {
    const { slurm, permit } = this.#ports;
    const limitMs = Math.min(CALL_MS, permit.unfencedMs ?? CALL_MS);
    const leads = (): boolean => permit.leads();
    const of = set.name;
    switch (step.kind) {
      case "steady":
        return this.#say("steady", "");
      case "held":
        return this.#say("held", `${step.name} cannot be given up: ${step.why}`);
      case "wait":
        return this.#say("wait", step.why === "" ? this.#surplusFor(size) : step.why);
      case "grow":
      case "lower": {
        if (!leads()) return;
        const done = await sets.resize(size.place, set, step.to, limitMs);
        const why = step.kind === "grow" ? whyOf(need) : "those above are drained and empty";
        return this.#did(done, `${of}: ${set.replicas} → ${step.to} replicas: ${why}`);
      }
      case "drain": {
        const done = await slurm.pods.drain(step.names, step.reason, leads);
        const why = `not needed for ${Math.round(size.afterMs / 1_000)} s`;
        return this.#did(done, `${of}: ${say(step.names)} drained in Slurm: ${why}`);
      }
      case "release": {
        if (!leads()) return;
        const note = `released ${say(step.names)}`;
        const fenced = await sets.fence(size.place, set, `${note} ${this.#now()}`, limitMs);
        if (fenced.kind !== "ok") return this.#did(fenced, note);
        const done = await slurm.pods.release(step.names, leads);
        return this.#did(done, `${of}: ${say(step.names)} released in Slurm: ${whyOf(need)}`);
      }
    }
  }

  #now(): string {
    return new Date(this.#ports.clock.wallMs()).toISOString();
  }

  #did(done: Ok, what: string): void {
    if (done.kind !== "ok") return this.#say("failed", `not done: ${what}: ${done.message}`);
    this.#nextMono = this.#ports.clock.monoMs() + AGAIN_MS;
    this.#say("step", what);
    this.#events.push(poolEvent(null, this.#ports.clock.wallMs(), "slurm.pods", what));
  }

  #say(state: PodStatus["state"], why: string): void {
    const before = this.#status;
    const isNews = before?.state !== state || before.why !== why;
    const known = { replicas: before?.replicas ?? null, needed: before?.needed ?? null };
    this.#status = { ...known, state, why };
    if (!isNews || state === "steady" || state === "step") return;
    const level = state === "wait" ? "debug" : "warn";
    this.#ports.log(level, "Slurm pods stay as they are", { cause: why });
  }

  #surplusFor({ afterMs }: Size): string {
    const since = this.#surplus?.since ?? this.#ports.clock.monoMs();
    const restMs = Math.max(0, since + afterMs - this.#ports.clock.monoMs());
    return `fewer are needed: drained in ${Math.ceil(restMs / 1_000)} s if that stays so`;
  }

  /** Jobs that are awaited are listed more often. */
  #await(step: PodStep): void {
    const names = step.kind === "wait" || step.kind === "drain" ? step.names : [];
    const isWindow = step.kind === "wait" && step.why === "";
    this.#ports.slurm.pods.attend(new Set(isWindow ? [] : names));
  }

  /** Nodes below `replicas` that have not come up in the time that a pod needs. */
  #late(set: PodSet, { nodes }: PodSight): Set<string> {
    const now = this.#ports.clock.monoMs();
    const byName = new Map(nodes.map((node) => [node.name, node]));
    const down = new Map<string, number>();
    for (let index = 0; index < set.replicas; index += 1) {
      const name = podName(set, index);
      if (!isPodUp(byName.get(name))) down.set(name, this.#downSince.get(name) ?? now);
    }
    this.#downSince = down;
    return new Set([...down].flatMap(([name, since]) => (now - since >= START_MS ? name : [])));
  }

  /** Those whose slurmd registered from the pod that there is now, and not from one before it. */
  async #ready(
    sets: PodSetPort,
    place: PodPlace,
    names: readonly string[],
    seen: PodSight,
  ): Promise<string[]> {
    const ready: string[] = [];
    for (const name of names.slice(0, PODS_MAX)) {
      const node = seen.nodes.find((one) => one.name === name);
      // Both spare a read of the pod.
      if (node === undefined || !isOfPod(node, Number.NEGATIVE_INFINITY)) continue;
      if (!this.#registrations.isSettled(node, this.#ports.clock.monoMs())) continue;
      const born = await sets.bornAt(place, name);
      if (born.kind === "ok" && isOfPod(node, born.value)) ready.push(name);
    }
    return ready;
  }
}

function sizeOf(pods: Pods): Size | null {
  const { statefulSet: name, namespace, partition, maxReplicas: max } = pods;
  if (name === null || partition === null || max === null) return null;
  const { minReplicas: min, scaleDownAfterMs: afterMs } = pods;
  return { place: { namespace, name }, partition, min, max, afterMs };
}

const whyOf = ({ busy, pending }: PodNeed): string =>
  `${busy} with work, ${pending} more for pending jobs`;

const say = (names: readonly string[]): string => names.join(", ").slice(0, 300);
