/** The port to Slurm as a second scheduler, over any client: lists, work left, drains, releases. */
import type { DrainSight } from "../core/fleet.ts";
import type { Fence } from "../core/provider.ts";
import type { SlurmJob, SlurmNode } from "../core/slurm/object.ts";
import { workLeft } from "../core/slurm/left.ts";
import type { SlurmMark, SlurmRights, SlurmSink, SlurmStatus } from "../core/slurm/sink.ts";
import type { JobsTold, Undrain } from "../core/slurm/sink.ts";
import type { PowerMark } from "../core/slurm/power-save.ts";
import { Marker } from "./marker.ts";
import { askRights } from "./rights.ts";
import { PodMarks } from "./pod-marks.ts";
import { PowerMirror } from "./power-mirror.ts";
import { Watch, type WatchPorts } from "./watch.ts";

export class Slurm implements SlurmSink {
  readonly name = "slurm";
  readonly pods: PodMarks;
  readonly #ports: WatchPorts;
  readonly #watch: Watch;
  readonly #marker: Marker;
  readonly #power: PowerMirror;
  #attended: ReadonlySet<string> = new Set();
  #pods: ReadonlySet<string> = new Set();

  constructor(ports: WatchPorts) {
    this.#ports = ports;
    this.#watch = new Watch(ports);
    this.#marker = new Marker({ ...ports, watch: this.#watch });
    const note = this.#watch.note.bind(this.#watch);
    this.#power = new PowerMirror({ ...ports, note });
    const hurry = this.#watch.hurry.bind(this.#watch);
    this.pods = new PodMarks(ports.client, hurry, (names) => {
      this.#pods = names;
      this.attend(this.#attended);
    });
  }

  drain(nodeName: string, reason: string, fence: Fence): Promise<SlurmMark> {
    return this.#marker.drain(nodeName, reason, fence);
  }

  undrain(nodeName: string, fence: Fence, options: Undrain = {}): Promise<SlurmMark> {
    return this.#marker.undrain(nodeName, fence, options);
  }

  endJobs(
    nodeName: string,
    jobs: readonly string[],
    signal: string | null,
    fence: Fence,
  ): Promise<JobsTold> {
    return this.#marker.endJobs(nodeName, { jobs, signal }, fence);
  }

  nodes(): { version: number; known: boolean; list: readonly SlurmNode[] } {
    return this.#watch.nodes();
  }

  dark(): string | null {
    return this.#watch.dark();
  }

  left(nodeName: string): DrainSight {
    const dark = this.#watch.dark();
    if (dark !== null) return { kind: "dark", message: dark };
    const node = this.#watch.node(nodeName);
    return workLeft(node, this.#watch.jobsOn(nodeName), this.#watch.seenAt() ?? 0);
  }

  jobsOn(nodeName: string): readonly SlurmJob[] {
    return this.#watch.jobsOn(nodeName);
  }

  queue(): { jobs: readonly SlurmJob[]; observedAt: number } | null {
    return this.#watch.queue();
  }

  attend(nodeNames: ReadonlySet<string>): void {
    this.#attended = nodeNames;
    this.#watch.attend(new Set([...nodeNames, ...this.#power.awaited(), ...this.#pods]));
  }

  power(marks: readonly PowerMark[]): void {
    this.#power.show(marks, (name) => this.#watch.node(name));
    this.attend(this.#attended);
  }

  start(wakeUp: () => void): void {
    this.#watch.start(wakeUp);
  }

  stop(): void {
    this.#pods = new Set();
    this.#marker.stop();
    this.#power.stop();
    this.#watch.stop();
  }

  rights(): Promise<SlurmRights> {
    return askRights(this.#ports.client);
  }

  status(): SlurmStatus {
    return {
      server: this.#ports.client.describe(),
      nodes: this.#watch.nodes().list.length,
      ageMs: this.#watch.ageMs(),
      dark: this.#watch.dark(),
    };
  }
}
