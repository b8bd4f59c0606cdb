/**
 * A StatefulSet of Slurm's nodes in virtual time: its controller makes and ends pods, each pod's
 * slurmd registers some time later, and a pod that ends takes its node's jobs with it. Judges each
 * write: no pod with work, or without a drain of its own, is ever given up.
 */
import type { Config } from "../../../schema/config.ts";
import type { EventDraft } from "../../../schema/event.ts";
import type { SlurmClient } from "../../../reconciler/core/slurm/client.ts";
import { POD_MARK } from "../../../reconciler/core/slurm/pod-scale.ts";
import type { PodSet, PodSetAnswer, PodSetPort } from "../../../reconciler/core/slurm/pod-set.ts";
import { PodScaler } from "../../../reconciler/runtime/act/pod-scaler.ts";
import { ALWAYS } from "../../../reconciler/runtime/act/run.ts";
import { Slurm } from "../../../reconciler/slurm/slurm.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { VirtualSlurm } from "./controller.ts";
import { type FakeSlurm, openFakeSlurm } from "./fake.ts";

const NAME = "slurm-compute";
export const podOf = (index: number): string => `${NAME}-${index}`;

type Pods = Config["slurm"]["pods"];
export type PodWorldOptions = Partial<Pods> & {
  replicas: number;
  /** From a pod to the registration of its slurmd; `null` = never. */
  startMs?: (index: number) => number | null;
  random?: () => number;
};

/**
 * Where the process dies: before or after its n-th effect. `late`: it hangs for 40 s before it and
 * then has the effect, while another process has long taken over.
 */
export type Death = { effect: number; when: "before" | "after" | "late" };
const LATE_MS = 40_000;

export class PodWorld {
  readonly clock = new VirtualClock();
  readonly slurm = new VirtualSlurm(this.clock);
  readonly fake: FakeSlurm;
  readonly events: EventDraft[] = [];
  /** Writes of replicas by the product, as `3 → 2`. */
  readonly sizes: string[] = [];
  readonly wrong: string[] = [];
  /** Effects of all processes. */
  effects = 0;
  deaths: Death[] = [];
  frozen: string | null = null;
  /** Called when a process begins to hang. */
  hung: () => void = () => undefined;
  isKubeAway = false;
  replicas: number;
  #version = 1;
  #hasNotes = false;
  readonly #pods = new Map<number, number>();
  readonly #registered = new Map<number, number>();
  readonly #options: PodWorldOptions;
  readonly #wish: Pods;
  #process = 0;
  #scaler: PodScaler;
  #sink: Slurm;

  constructor(options: PodWorldOptions) {
    this.#options = options;
    const { startMs: _start, random: _random, replicas, ...pods } = options;
    this.#wish = {
      ...{ statefulSet: NAME, namespace: "slurm", partition: "compute", minReplicas: 0 },
      ...{ maxReplicas: 8, scaleDownAfterMs: 60_000 },
      ...pods,
    };
    this.replicas = replicas;
    this.fake = openFakeSlurm(this.slurm, this.clock, options.random ?? (() => 0.999_999));
    for (let index = 0; index < (this.#wish.maxReplicas ?? 0); index += 1) {
      this.slurm.add(podOf(index));
    }
    this.#settlePods();
    [this.#sink, this.#scaler] = this.#begin();
    this.#beat();
  }

  status() {
    return this.#scaler.status();
  }

  /** Another party. */
  setReplicas(to: number): void {
    this.replicas = to;
    this.#version += 1;
    this.#settlePods();
  }

  /** The process ends wherever it is, and another one begins. */
  restart(): void {
    this.#sink.stop();
    [this.#sink, this.#scaler] = this.#begin();
  }

  live(seconds: number): Promise<void> {
    return this.clock.pass(seconds * 1_000);
  }

  async until(what: () => boolean, seconds: number): Promise<boolean> {
    for (let i = 0; i < seconds && !what(); i += 1) await this.live(1);
    return what();
  }

  #begin(): [Slurm, PodScaler] {
    this.#process += 1;
    const own = this.#process;
    const { clock } = this;
    const log = (): void => undefined;
    const client = this.#mortal(own);
    const slurm = new Slurm({ client, clock, log, pollMs: 5_000 });
    slurm.start(() => undefined);
    const set = this.#portOf(own);
    return [slurm, new PodScaler({ set, slurm, clock, log, permit: ALWAYS })];
  }

  #beat(): void {
    const sight = { frozen: this.frozen };
    const config = { slurm: { pods: this.#wish } } as Config;
    const tell = (events: readonly EventDraft[]): void => void this.events.push(...events);
    this.#scaler.follow({ config, sight }, { tell });
    this.clock.after(1_000, () => this.#beat());
  }

  /** One effect of a process; one that is dead has none, and never hears an answer. */
  async #effect<T>(own: number, work: () => T | Promise<T>): Promise<T> {
    if (own !== this.#process) return never();
    const number = this.effects++;
    const death = this.deaths.find(({ effect }) => effect === number);
    if (death?.when === "late") {
      this.restart();
      this.hung();
      await new Promise<void>((resolve) => void this.clock.after(LATE_MS, resolve));
      await work();
      return never();
    }
    if (death?.when === "before") this.restart();
    if (own !== this.#process) return never();
    const done = await work();
    if (death?.when === "after") this.restart();
    return own === this.#process ? done : never();
  }

  #mortal(own: number): SlurmClient {
    const { fake } = this;
    return {
      ...fake,
      nodes: (names) => fake.nodes(names),
      jobs: () => fake.jobs(),
      update: (names, change) =>
        this.#effect(own, () => {
          for (const name of names) this.#judgeRelease(name, change.state);
          return fake.update(names, change);
        }),
    };
  }

  #portOf(own: number): PodSetPort {
    const away: PodSetAnswer<never> = { kind: "failed", message: "connect ECONNREFUSED" };
    const write = (seen: PodSet, work: () => void): Promise<PodSetAnswer<null>> =>
      this.#effect(own, () => {
        if (this.isKubeAway) return away;
        if (seen.version !== String(this.#version)) {
          return { kind: "failed", message: "the test failed: resourceVersion" };
        }
        work();
        this.#version += 1;
        return { kind: "ok", value: null };
      });
    return {
      read: async () => {
        if (this.isKubeAway) return away;
        const [uid, version] = ["u-1", String(this.#version)];
        const { replicas } = this;
        const hasNotes = this.#hasNotes;
        return { kind: "ok", value: { name: NAME, uid, version, replicas, first: 0, hasNotes } };
      },
      resize: (_place, seen, to) => write(seen, () => this.#resize(to)),
      fence: (_place, seen) => write(seen, () => void (this.#hasNotes = true)),
      bornAt: async (_place, pod) => {
        if (this.isKubeAway) return away;
        return { kind: "ok", value: this.#pods.get(Number(pod.slice(NAME.length + 1))) ?? null };
      },
    };
  }

  #resize(to: number): void {
    this.sizes.push(`${this.replicas} → ${to}`);
    const { minReplicas, maxReplicas } = this.#wish;
    if (to > (maxReplicas ?? 0) || to < minReplicas) this.wrong.push(`${to} replicas`);
    for (let index = to; index < this.replicas; index += 1) {
      const node = this.slurm.node(podOf(index));
      const jobs = this.slurm.jobsOn(podOf(index));
      const isOwn = node?.flags.includes("DRAIN") && node.reason?.startsWith(POD_MARK);
      if (jobs.length > 0) this.wrong.push(`${podOf(index)} went with jobs ${jobs.join()}`);
      if (isOwn !== true) this.wrong.push(`${podOf(index)} went without its drain`);
    }
    this.replicas = to;
    this.#settlePods();
  }

  #judgeRelease(name: string, state: string | undefined): void {
    const node = this.slurm.node(name);
    const isOwn = node?.reason?.startsWith(POD_MARK) === true;
    const isDrained = node?.flags.includes("DRAIN") === true;
    if (state === "drain") {
      if (isDrained && !isOwn) this.wrong.push(`${name} was drained over ${node.reason}`);
      return;
    }
    if (!isOwn) this.wrong.push(`${name} was released over ${node?.reason}`);
    const index = Number(name.slice(NAME.length + 1));
    const born = this.#pods.get(index) ?? Infinity;
    if ((this.#registered.get(index) ?? -1) < born) {
      this.wrong.push(`${name} was released before its pod had registered`);
    }
  }

  /** The StatefulSet controller and the kubelets. */
  #settlePods(): void {
    for (const index of this.#pods.keys()) {
      if (index < this.replicas) continue;
      this.#pods.delete(index);
      this.slurm.cut(podOf(index));
    }
    for (let index = 0; index < this.replicas; index += 1) {
      if (this.#pods.has(index)) continue;
      const born = this.clock.wallMs();
      this.#pods.set(index, born);
      const startMs = (this.#options.startMs ?? (() => 20_000))(index);
      if (startMs === null || this.slurm.node(podOf(index)) === null) continue;
      this.clock.after(startMs, () => {
        if (this.#pods.get(index) !== born) return;
        this.#registered.set(index, this.clock.wallMs());
        this.slurm.boot(podOf(index));
      });
    }
  }
}

const never = (): Promise<never> => new Promise(() => undefined);
